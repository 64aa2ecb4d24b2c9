package manage

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Update says what of a key to change; nil fields leave what is there. Scopes,
// access, owner and environment are permanent, so there are no fields for them.
type Update struct {
	// Version is the [Key.Version] that the change is based on; required.
	Version int64
	// Allow replaces the allowlist; an empty one admits every address.
	Allow *[]netip.Prefix
	// Expires replaces the end; the zero time means never, where the service's
	// terms know that.
	Expires *time.Time
	// Metadata replaces all entries; an empty map removes them.
	Metadata *map[string]string
}

// Update changes what may be changed of a key. An expired key is not revived,
// and a rotated one not prolonged. What it refuses with: 403 forbidden, 404
// key_not_found, 409 revoked_api_key, 409 legacy_key, 409 conflict where the key
// is no longer of u.Version, 400 invalid_request, 409 expired_api_key, 409
// already_rotated, 403 plan_required; and 503 outcome_unknown.
func (s *Service) Update(ctx context.Context, a storage.Actor, id string, u Update) (Key, error) {
	now := s.now()
	before, err := s.find(ctx, a, ActionUpdate, id)
	if err != nil {
		return Key{}, err
	}
	if err := changeable(before); err != nil {
		return Key{}, err
	}
	if u.Version != before.Version {
		return Key{}, conflict()
	}
	key := before
	if err := s.apply(ctx, a, u, &key, now); err != nil {
		return Key{}, err
	}
	if slices.Equal(key.Allow, before.Allow) && key.Expires.Equal(before.Expires) && maps.Equal(key.Metadata, before.Metadata) {
		return s.view(before, now), nil
	}
	if err := s.commit(ctx, a, now, nil, change{action: ActionUpdate, before: &before, after: key}); err != nil {
		return Key{}, err
	}
	key.Version++
	return s.view(key, now), nil
}

func (s *Service) apply(ctx context.Context, a storage.Actor, u Update, key *storage.Key, now time.Time) error {
	if u.Metadata != nil {
		if err := checkMetadata(*u.Metadata); err != nil {
			return err
		}
		key.Metadata = nil
		if len(*u.Metadata) > 0 {
			key.Metadata = maps.Clone(*u.Metadata)
		}
	}
	if u.Expires != nil {
		expires, err := s.prolonged(ctx, *key, *u.Expires, now)
		if err != nil {
			return err
		}
		key.Expires = expires
	}
	if u.Allow == nil {
		return nil
	}
	allow, err := settleAllow(*u.Allow)
	if err != nil {
		return err
	}
	if len(allow) > 0 && !slices.Equal(allow, key.Allow) {
		if err := s.planNow(ctx, a, key.ID); err != nil {
			return err
		}
	}
	key.Allow = allow
	return nil
}

// prolonged judges a new end of a key.
func (s *Service) prolonged(ctx context.Context, key storage.Key, expires, now time.Time) (time.Time, error) {
	expires = micros(expires)
	if expires.Equal(key.Expires) {
		return key.Expires, nil
	}
	if key.Status(now) == storage.Expired {
		return expires, expired("prolonged")
	}
	if err := s.c.Terms.checkExpiry(expires, key.Created, now); err != nil {
		return expires, err
	}
	if key.Expires.IsZero() || !expires.IsZero() && expires.Before(key.Expires) {
		return expires, nil // sooner than it was
	}
	successors, err := s.successors(ctx, key)
	if err != nil {
		return expires, err
	}
	if len(successors) > 0 {
		return expires, alreadyRotated(key, successors[0])
	}
	return expires, nil
}

// planNow refuses another allowlist where the organisation's plan has none.
func (s *Service) planNow(ctx context.Context, a storage.Actor, id string) error {
	if s.c.Terms.AllowlistPlans == nil {
		return nil
	}
	account, err := s.c.Directory.Account(ctx, a.Organisation)
	if err != nil && !errors.Is(err, storage.ErrNotFound) { // no account has no plan
		return told(err, "asking for the account")
	}
	return s.audited(ctx, a, ActionUpdate, id, s.c.Terms.planAllows(account))
}
