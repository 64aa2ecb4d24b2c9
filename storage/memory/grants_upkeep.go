package memory

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Push implements [storage.Grants].
func (s *Store) Push(ctx context.Context, p storage.Pushed) error {
	if err := p.Check(); err != nil {
		return err
	}
	unlock, err := s.writing(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, taken := s.grants.pushed[p.Hash]; taken {
		return storage.ErrConflict
	}
	p.Expires = micros(p.Expires)
	s.grants.pushed[p.Hash] = p
	return nil
}

// TakePushed implements [storage.Grants].
func (s *Store) TakePushed(ctx context.Context, hash [32]byte, now time.Time) (storage.Pushed, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return storage.Pushed{}, err
	}
	defer unlock()
	p, ok := s.grants.pushed[hash]
	if !ok {
		return storage.Pushed{}, storage.ErrNotFound
	}
	delete(s.grants.pushed, hash)
	if !now.Before(p.Expires) {
		return storage.Pushed{}, storage.ErrExpired
	}
	return p, nil
}

// UseOnce implements [storage.Grants].
func (s *Store) UseOnce(ctx context.Context, hash [32]byte, now, expires time.Time) (bool, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	if until, used := s.grants.once[hash]; used && now.Before(until) {
		return false, nil
	}
	s.grants.once[hash] = micros(expires)
	return true, nil
}

// PruneGrants implements [storage.Grants]. It looks at every record.
func (s *Store) PruneGrants(ctx context.Context, before time.Time, limit int) (int, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	limit, before = storage.BatchSize(limit), micros(before)
	over := func(id string) bool { return ended(s.grants.byID[id], before) }
	removed := prune(s.grants.codes, limit, func(c storage.Code) bool { return c.Expires.Before(before) || over(c.Grant) })
	removed += prune(s.grants.tokens, limit, func(t storage.Token) bool {
		return t.Rotated.IsZero() && t.Expires.Before(before) || over(t.Grant)
	})
	removed += prune(s.grants.pushed, limit, func(p storage.Pushed) bool { return p.Expires.Before(before) })
	removed += prune(s.grants.once, limit, func(until time.Time) bool { return until.Before(before) })
	holding := s.holding()
	return removed + prune(s.grants.byID, limit, func(g storage.Grant) bool { return ended(g, before) && !holding[g.ID] }), nil
}

// ended reports whether g ended, or was revoked, before a moment.
func ended(g storage.Grant, before time.Time) bool {
	return g.Expires.Before(before) || !g.Revoked.IsZero() && g.Revoked.Before(before)
}

// holding returns the grants of which there are codes or tokens.
func (s *Store) holding() map[string]bool {
	ids := make(map[string]bool)
	for _, c := range s.grants.codes {
		ids[c.Grant] = true
	}
	for _, t := range s.grants.tokens {
		ids[t.Grant] = true
	}
	return ids
}

// prune removes up to limit of those that f is true for.
func prune[K comparable, V any](from map[K]V, limit int, f func(V) bool) int {
	n := 0
	for k, v := range from {
		if n == limit {
			break
		}
		if f(v) {
			delete(from, k)
			n++
		}
	}
	return n
}

// eraseGrants removes an organisation's apps with their grants everywhere, its
// grants, consents and blocks. The caller holds the lock for writing.
func (s *Store) eraseGrants(name string) (apps []string, gone []storage.Grant) {
	own := make(map[string]bool)
	for id, a := range s.apps.byID {
		if a.Organisation == name && name != "" {
			delete(s.apps.byID, id)
			own[id] = true
			apps = append(apps, id)
		}
	}
	for block := range s.apps.blocks {
		if block.organisation == name {
			delete(s.apps.blocks, block)
			if !own[block.clientID] {
				apps = append(apps, block.clientID)
			}
		}
	}
	s.forget(func(c storage.Consent) bool { return c.Organisation == name || own[c.ClientID] })
	over := make(map[string]bool)
	for id, g := range s.grants.byID {
		if g.Organisation == name || own[g.ClientID] {
			delete(s.grants.byID, id)
			over[id] = true
			g.Version = 0 // as every watcher is told of what was own
			gone = append(gone, g)
		}
	}
	prune(s.grants.codes, len(s.grants.codes), func(c storage.Code) bool { return over[c.Grant] })
	prune(s.grants.tokens, len(s.grants.tokens), func(t storage.Token) bool { return over[t.Grant] })
	prune(s.grants.pushed, len(s.grants.pushed), func(p storage.Pushed) bool { return own[p.ClientID] })
	return apps, gone
}
