package manage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// revokedAtOnce is how many keys one transaction of RevokeAll ends.
const revokedAtOnce = 200

// Selection says which keys to revoke: those that meet all criteria that are
// set. The zero value is refused.
type Selection struct {
	// All is required where no other criterion is set.
	All bool
	// Creator and Owner are user ids.
	Creator, Owner string
	// CreatedBefore selects keys issued before a moment.
	CreatedBefore time.Time
}

// RevokeAll revokes the selected keys of the actor's organisation, expired and
// legacy ones too, in batches that are one transaction each; progress, which may
// be nil, hears after each how many are done. It returns that number also when
// it fails; call it again to go on. Keys created while it runs are revoked too,
// if they are selected. What it refuses with: 403 forbidden, 400
// invalid_request; and 503 outcome_unknown.
func (s *Service) RevokeAll(ctx context.Context, a storage.Actor, sel Selection, reason string, progress func(done int)) (int, error) {
	if err := s.authorize(ctx, a, ActionRevokeAll, storage.Key{Organisation: a.Organisation}); err != nil {
		return 0, err
	}
	if sel == (Selection{}) {
		return 0, invalid("selection", "say which keys to revoke; all of them must be asked for as such")
	}
	if err := checkReason(reason); err != nil {
		return 0, err
	}
	done := 0
	for { // until a whole pass finds nothing: keys may be created meanwhile
		found, err := s.revokePass(ctx, a, sel, func(batch []storage.Key) error {
			n, err := s.revokeBatch(ctx, a, batch, reason)
			done += n
			if progress != nil && n > 0 {
				progress(done)
			}
			return err
		})
		if err != nil || !found {
			return done, err
		}
	}
}

// revokePass goes through the organisation's unrevoked keys once.
func (s *Service) revokePass(ctx context.Context, a storage.Actor, sel Selection, revoke func([]storage.Key) error) (found bool, err error) {
	q := storage.Query{Organisation: a.Organisation, Status: storage.Unrevoked, Now: s.now(), Limit: revokedAtOnce}
	for {
		page, next, err := s.c.Keys.ListKeys(ctx, q)
		if err != nil {
			return found, told(err, "listing keys")
		}
		if page = slices.DeleteFunc(page, func(k storage.Key) bool { return !sel.selects(k) }); len(page) > 0 {
			found = true
			if err := revoke(page); err != nil {
				return found, err
			}
		}
		if q.Cursor = next; next == "" {
			return found, nil
		}
	}
}

// revokeBatch revokes keys in one transaction, or one by one where somebody
// else changes one of them at the same time.
func (s *Service) revokeBatch(ctx context.Context, a storage.Actor, batch []storage.Key, reason string) (int, error) {
	now := s.now()
	var changes []change
	for _, k := range batch {
		if err := s.authorize(ctx, a, ActionRevokeAll, k); err != nil {
			return 0, err
		}
		changes = append(changes, revocation(k, reason, now))
	}
	err := s.commit(ctx, a, now, nil, changes...)
	if err == nil {
		return len(batch), nil
	}
	if !isConflict(err) && !errors.Is(err, storage.ErrNotFound) {
		return 0, err
	}
	for i, k := range batch {
		if err := s.revokeOne(ctx, a, k, reason); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

// revokeOne revokes a key whatever else happens to it.
func (s *Service) revokeOne(ctx context.Context, a storage.Actor, k storage.Key, reason string) error {
	for {
		if !k.Revoked.IsZero() {
			return nil
		}
		now := s.now()
		err := s.commit(ctx, a, now, nil, revocation(k, reason, now))
		if err == nil || errors.Is(err, storage.ErrNotFound) { // erased meanwhile
			return nil
		}
		if !isConflict(err) {
			return err
		}
		if k, err = s.c.Keys.Key(ctx, k.Organisation, k.ID); err != nil {
			if errors.Is(err, storage.ErrNotFound) {
				return nil
			}
			return told(err, "finding the key")
		}
	}
}

func (sel Selection) selects(k storage.Key) bool {
	return (sel.Creator == "" || k.Creator == sel.Creator) &&
		(sel.Owner == "" || k.Owner == sel.Owner) &&
		(sel.CreatedBefore.IsZero() || k.Created.Before(sel.CreatedBefore))
}
