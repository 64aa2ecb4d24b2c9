package manage

import (
	"context"
	"errors"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// Get returns one key, whatever its status. What it refuses with: 403
// forbidden; 404 key_not_found, also for another organisation's key.
func (s *Service) Get(ctx context.Context, a storage.Actor, id string) (Key, error) {
	key, err := s.find(ctx, a, ActionView, id)
	if err != nil {
		return Key{}, err
	}
	views := []Key{s.view(key, s.now())}
	s.complete(ctx, a.Organisation, views)
	return views[0], nil
}

// find returns a key that the actor may do the action to. Whether a key exists
// is told only to who may do the action at all.
func (s *Service) find(ctx context.Context, a storage.Actor, action, id string) (storage.Key, error) {
	key, err := s.read(ctx, a, id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return key, told(err, "finding the key")
	}
	key.Organisation = a.Organisation
	if refused := s.authorize(ctx, a, action, key); refused != nil {
		return storage.Key{}, refused
	}
	return key, told(err, "finding the key")
}

// findSecret is find for actions that hand out a secret.
func (s *Service) findSecret(ctx context.Context, a storage.Actor, action, id string) (storage.Key, error) {
	key, err := s.find(ctx, a, action, id)
	if err != nil {
		return key, err
	}
	return key, s.audited(ctx, a, action, id, s.within(ctx, a, key))
}

// read asks the store, unless the actor is nobody.
func (s *Service) read(ctx context.Context, a storage.Actor, id string) (storage.Key, error) {
	if a.User == "" || a.Organisation == "" {
		return storage.Key{}, storage.ErrNotFound
	}
	return s.c.Keys.Key(ctx, a.Organisation, id)
}

// changeable refuses keys that nothing may change any more, or ever.
func changeable(k storage.Key) error {
	switch {
	case !k.Revoked.IsZero():
		return revoked()
	case k.Access == strikeplate.Legacy:
		return legacy()
	}
	return nil
}
