package manage

import (
	"context"
	"errors"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Revoke ends a key at once and for ever, erases a kept secret, and keeps the
// reason: at most 500 characters, or none. Revoking a revoked key changes
// nothing and succeeds. What it refuses with: 403 forbidden, 404 key_not_found,
// 400 invalid_request; and 503 outcome_unknown.
func (s *Service) Revoke(ctx context.Context, a storage.Actor, id, reason string) (Key, error) {
	for {
		now := s.now()
		key, err := s.find(ctx, a, ActionRevoke, id)
		if err != nil {
			return Key{}, err
		}
		if err := checkReason(reason); err != nil {
			return Key{}, err
		}
		if !key.Revoked.IsZero() {
			return s.view(key, now), nil
		}
		c := revocation(key, reason, now)
		err = s.commit(ctx, a, now, nil, c)
		if err == nil {
			c.after.Version++
			return s.view(c.after, now), nil
		}
		if !isConflict(err) { // else: changed meanwhile, and still to be revoked
			return Key{}, err
		}
	}
}

// isConflict: somebody else wrote the record since it was read.
func isConflict(err error) bool {
	return errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrRevoked)
}

func revocation(key storage.Key, reason string, now time.Time) change {
	before := key
	key.Revoked, key.RevokedBecause, key.Sealed = now, reason, nil
	return change{action: ActionRevoke, before: &before, after: key}
}
