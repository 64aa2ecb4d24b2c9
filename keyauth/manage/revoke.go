package manage

import (
	"context"
	"errors"

	"github.com/strikeplate/strikeplate/storage"
)

// Revoke ends a key at once and for ever, and keeps the reason. Revoking a
// revoked key changes nothing and succeeds. What it refuses with: 403
// forbidden, 404 key_not_found.
func (s *Service) Revoke(ctx context.Context, a storage.Actor, id, reason string) (Key, error) {
	for {
		key, err := s.find(ctx, a, ActionRevoke, id)
		if err != nil {
			return Key{}, err
		}
		if !key.Revoked.IsZero() {
			return show(key, s.Now()), nil
		}
		before := key
		key.Revoked, key.RevokedBecause, key.Sealed = s.Now(), reason, nil
		err = s.commit(ctx, a, ActionRevoke, &before, key, nil)
		if err == nil {
			key.Version++
			return show(key, s.Now()), nil
		}
		if !isConflict(err) { // else: changed meanwhile, and still to be revoked
			return Key{}, err
		}
	}
}

// find returns a key that the actor may do the action to.
func (s *Service) find(ctx context.Context, a storage.Actor, action, id string) (storage.Key, error) {
	// Asked before the store is: who may not manage keys learns nothing of them.
	if err := s.authorize(ctx, a, action, storage.Key{Organisation: a.Organisation}); err != nil {
		return storage.Key{}, err
	}
	key, err := s.Keys.Key(ctx, a.Organisation, id)
	if err != nil {
		return storage.Key{}, told(err, "finding the key")
	}
	return key, s.authorize(ctx, a, action, key)
}

func isConflict(err error) bool {
	return errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrRevoked)
}
