package manage

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// maxCounted is where counting the keys of an unlimited organisation stops.
const maxCounted = 10_000

// Slots say how many active keys an organisation has and may have. Expired and
// revoked keys take none; a rotated key in its overlap takes one.
type Slots struct {
	// Used is exact below the bound, and at most 10,000 where there is none.
	Used int `json:"used"`
	// Max is [Unlimited] where there is no bound.
	Max int `json:"max"`
}

func (s *Service) slots(ctx context.Context, organisation string, now time.Time) (Slots, error) {
	most, err := s.maxKeys(ctx, organisation)
	if err != nil {
		return Slots{}, err
	}
	used, err := s.countActive(ctx, organisation, now)
	return Slots{Used: used, Max: most}, err
}

// maxKeys is the organisation's bound.
func (s *Service) maxKeys(ctx context.Context, organisation string) (int, error) {
	if s.c.MaxKeysOf == nil {
		return s.c.MaxKeys, nil
	}
	most, err := s.c.MaxKeysOf(ctx, organisation)
	switch {
	case err != nil:
		return 0, fmt.Errorf("manage: asking for the key limit: %w", err)
	case most == 0:
		return s.c.MaxKeys, nil
	case most < 0 && most != Unlimited:
		return 0, fmt.Errorf("manage: MaxKeysOf returned %d", most)
	}
	return most, nil
}

func (s *Service) countActive(ctx context.Context, organisation string, now time.Time) (int, error) {
	q := storage.Query{Organisation: organisation, Status: storage.Active, Now: now, Limit: 1000}
	used := 0
	for {
		page, next, err := s.c.Keys.ListKeys(ctx, q)
		if err != nil {
			return 0, fmt.Errorf("manage: counting keys: %w", err)
		}
		used += len(page)
		if next == "" || used >= maxCounted {
			return min(used, maxCounted), nil
		}
		q.Cursor = next
	}
}

// room returns the limit that a commit must keep, nil for none. Where it is
// reached already it says so before a secret is hashed: minting goes before all
// verification, so a script must not be able to make it happen in vain. The
// commit decides, since others create at the same time. freed are the slots
// that the mutation gives back.
func (s *Service) room(ctx context.Context, organisation string, now time.Time, freed int) (*storage.Limit, error) {
	most, err := s.maxKeys(ctx, organisation)
	if err != nil || most == Unlimited {
		return nil, err
	}
	used, err := s.countActive(ctx, organisation, now)
	if err != nil {
		return nil, err
	}
	if used-freed >= most {
		return nil, limitReached(most)
	}
	return &storage.Limit{Organisation: organisation, Max: most}, nil
}

func limitReached(most int) *strikeplate.Error {
	return refuse(http.StatusConflict, CodeLimit,
		"Your organisation has reached its limit of %d active API keys. Revoke one that is no longer used; its slot is free at once.", most)
}

// limitReachedRotating names the way that needs no slot.
func limitReachedRotating(most int) *strikeplate.Error {
	return refuse(http.StatusConflict, CodeLimit,
		"A rotated key's successor takes a slot, and your organisation has reached its limit of %d active API keys. "+
			"Regenerate the key instead, or revoke one that is no longer used.", most)
}
