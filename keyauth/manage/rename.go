package manage

import (
	"context"
	"strings"

	"github.com/strikeplate/strikeplate/storage"
)

// Rename gives a key another name, 1 to 100 characters after trimming, and
// touches nothing else: credentials go on working, and cost no new hash. What it
// refuses with: 403 forbidden, 404 key_not_found, 400 invalid_request, 409
// revoked_api_key, 409 legacy_key; and 503 outcome_unknown.
func (s *Service) Rename(ctx context.Context, a storage.Actor, id, name string) (Key, error) {
	name = strings.TrimSpace(name)
	for {
		now := s.now()
		key, err := s.find(ctx, a, ActionRename, id)
		if err != nil {
			return Key{}, err
		}
		if err := checkName(name); err != nil {
			return Key{}, err
		}
		if err := changeable(key); err != nil {
			return Key{}, err
		}
		if key.Name == name {
			return s.view(key, now), nil
		}
		before := key
		key.Name = name
		err = s.commit(ctx, a, now, nil, change{action: ActionRename, before: &before, after: key})
		if err == nil {
			key.Version++
			return s.view(key, now), nil
		}
		if !isConflict(err) { // else: something else of it changed, and the name still shall
			return Key{}, err
		}
	}
}
