package manage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// Rotated is a key's successor, its secret, which can't be had again, and the
// key that it takes the place of.
type Rotated struct {
	Created
	Predecessor Key `json:"predecessor"`
}

// Rotate makes a successor of a key, alike in all but its id, secret, creator
// and dates: same name, scopes, access, owner, environment, format, allowlist,
// metadata and lineage, so that both share one quota. The old key goes on
// working for the overlap, from 0 (it ends at once) to Terms.MaxOverlap, but
// never longer than it would have. The successor lives as long as the old key
// was meant to, within the service's terms.
//
// The successor takes a slot and needs an active subscription and owner. A key
// has one successor at a time: while that one is active, rotating the old key
// again is refused, and rotating the successor is what to do.
//
// What it refuses with: 403 forbidden, 404 key_not_found, 400 invalid_request,
// 409 revoked_api_key, 409 expired_api_key, 409 legacy_key, 409 already_rotated,
// 402 subscription_required, 409 key_limit_reached, 409 conflict; and 503
// outcome_unknown.
func (s *Service) Rotate(ctx context.Context, a storage.Actor, id string, overlap time.Duration) (Rotated, error) {
	old, err := s.findSecret(ctx, a, ActionRotate, id)
	if err != nil {
		return Rotated{}, err
	}
	if overlap < 0 || overlap > s.c.Terms.MaxOverlap {
		return Rotated{}, invalid("overlap", "the old key may go on working for at most %s", inWords(s.c.Terms.MaxOverlap))
	}
	var minted *storage.Key
	var secret strikeplate.Secret
	for {
		now := s.now()
		next, limit, err := s.succession(ctx, old, now, overlap)
		if err != nil {
			return Rotated{}, err
		}
		next.Creator = a.User
		if minted == nil {
			if secret, err = s.mint(ctx, old.Format, &next); err != nil {
				return Rotated{}, err
			}
		} else { // the secret is sealed to the id
			next.ID, next.Lookup, next.Last4, next.Hash, next.Sealed = minted.ID, minted.Lookup, minted.Last4, minted.Hash, minted.Sealed
		}
		minted = &next
		ended := ending(old, now, overlap)
		err = s.commit(ctx, a, now, limit, change{action: ActionRotate, before: &old, after: ended},
			change{action: ActionCreate, after: next})
		if err == nil {
			next.Version++
			ended.Version++
			return Rotated{Created{s.view(next, now), secret}, s.view(ended, now)}, nil
		}
		if errors.Is(err, storage.ErrLimit) {
			return Rotated{}, limitReachedRotating(limit.Max)
		}
		if !errors.Is(err, storage.ErrConflict) {
			return Rotated{}, err
		}
		if old, err = s.findSecret(ctx, a, ActionRotate, id); err != nil { // renamed or used for the first time meanwhile
			return Rotated{}, err
		}
	}
}

// succession drafts the successor and says which limit it must keep, or why
// there can't be one.
func (s *Service) succession(ctx context.Context, old storage.Key, now time.Time, overlap time.Duration) (storage.Key, *storage.Limit, error) {
	if err := changeable(old); err != nil {
		return storage.Key{}, nil, err
	}
	if old.Status(now) == storage.Expired {
		return storage.Key{}, nil, expired("rotated")
	}
	earlier, err := s.successors(ctx, old)
	if err != nil {
		return storage.Key{}, nil, err
	}
	meant := lifetime(old)
	if len(earlier) > 0 { // old's own end was brought forward
		meant = lifetime(earlier[len(earlier)-1])
	}
	for _, k := range earlier {
		if k.Status(now) == storage.Active {
			return storage.Key{}, nil, alreadyRotated(old, k)
		}
	}
	if _, err := s.subscribed(ctx, old.Organisation); err != nil {
		return storage.Key{}, nil, err
	}
	if err := s.ownedByMember(ctx, old.Organisation, old.Owner); err != nil {
		return storage.Key{}, nil, err
	}
	freed := 0
	if ending(old, now, overlap).Status(now) == storage.Expired {
		freed = 1
	}
	limit, err := s.room(ctx, old.Organisation, now, freed)
	var full *strikeplate.Error
	if errors.As(err, &full) && full.Code == CodeLimit {
		most, _ := s.maxKeys(ctx, old.Organisation)
		return storage.Key{}, nil, limitReachedRotating(most)
	}
	if err != nil {
		return storage.Key{}, nil, err
	}
	return s.successor(old, now, meant), limit, nil
}

// successor is alike in what a quota, a policy or an integration looks at.
func (s *Service) successor(old storage.Key, now time.Time, meant time.Duration) storage.Key {
	next := old
	next.ID = newID()
	next.Lookup, next.Last4, next.Hash, next.Sealed = "", "", "", nil
	next.Lineage = lineage(old)
	next.Version, next.SecretVersion, next.Regenerated = 0, 1, time.Time{}
	// Who is the successor of whom is told by the date.
	next.Created = now
	if !now.After(old.Created) {
		next.Created = old.Created.Add(time.Microsecond)
	}
	next.Expires = s.c.Terms.successorExpiry(meant, next.Created)
	return next
}

// ending is old with its end brought forward.
func ending(old storage.Key, now time.Time, overlap time.Duration) storage.Key {
	end := micros(now.Add(overlap))
	if old.Expires.IsZero() || end.Before(old.Expires) {
		old.Expires = end
	}
	if old.Status(now) == storage.Expired {
		old.Sealed = nil
	}
	return old
}

func lineage(k storage.Key) string {
	if k.Lineage == "" {
		return k.ID
	}
	return k.Lineage
}

// successors returns the keys that were rotated from key, directly or not,
// oldest first. Lists come newest first, so that only later ones are read.
func (s *Service) successors(ctx context.Context, key storage.Key) ([]storage.Key, error) {
	q := storage.Query{Organisation: key.Organisation, Lineage: lineage(key), Limit: 100}
	var found []storage.Key
	for {
		page, next, err := s.c.Keys.ListKeys(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("manage: listing successors: %w", err)
		}
		for _, k := range page {
			if !k.Created.After(key.Created) {
				next = ""
				break
			}
			found = append(found, k)
		}
		if q.Cursor = next; next == "" {
			slices.Reverse(found)
			return found, nil
		}
	}
}

func alreadyRotated(old, successor storage.Key) *strikeplate.Error {
	e := refuse(http.StatusConflict, CodeRotated,
		"The key was rotated already, and ends for good at %s. Go on with its successor, which ends in %q.",
		old.Expires.UTC().Format(time.RFC3339), successor.Last4)
	e.Params = map[string]string{"successor": successor.ID}
	return e
}
