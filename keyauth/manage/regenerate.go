package manage

import (
	"context"
	"errors"

	"github.com/strikeplate/strikeplate/storage"
)

// Regenerate gives a key a new secret under the same id and dates; the old
// secret is dead at once. It takes no slot and needs no subscription. What it
// refuses with: 403 forbidden, 404 key_not_found, 409 revoked_api_key, 409
// expired_api_key, 409 legacy_key, 400 invalid_request where the key's format is
// no longer issued, 409 conflict where somebody else regenerated it meanwhile;
// and 503 outcome_unknown.
func (s *Service) Regenerate(ctx context.Context, a storage.Actor, id string) (Created, error) {
	before, err := s.findSecret(ctx, a, ActionRegenerate, id)
	if err != nil {
		return Created{}, err
	}
	if err := regenerable(before, s); err != nil {
		return Created{}, err
	}
	fresh := before
	fresh.SecretVersion++
	secret, err := s.mint(ctx, before.Format, &fresh)
	if err != nil {
		return Created{}, err
	}
	for {
		now := s.now()
		key := before
		key.Lookup, key.Last4, key.Hash, key.Sealed, key.SecretVersion = fresh.Lookup, fresh.Last4, fresh.Hash, fresh.Sealed, fresh.SecretVersion
		key.Regenerated = now
		err := s.commit(ctx, a, now, nil, change{action: ActionRegenerate, before: &before, after: key})
		if err == nil {
			key.Version++
			return Created{Key: s.view(key, now), Secret: secret}, nil
		}
		if !errors.Is(err, storage.ErrConflict) {
			return Created{}, err
		}
		if before, err = s.findSecret(ctx, a, ActionRegenerate, id); err != nil {
			return Created{}, err
		}
		if before.SecretVersion+1 != fresh.SecretVersion {
			return Created{}, conflict()
		}
		if err := regenerable(before, s); err != nil {
			return Created{}, err
		}
	}
}

func regenerable(k storage.Key, s *Service) error {
	if err := changeable(k); err != nil {
		return err
	}
	if k.Status(s.now()) == storage.Expired {
		return expired("regenerated")
	}
	return nil
}
