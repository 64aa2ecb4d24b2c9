package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Apps = (*Store)(nil)

// apps are all OAuth clients, and the organisations that keep some out.
type apps struct {
	byID   map[string]storage.App
	blocks map[member]storage.Block
}

// member is an app in an organisation.
type member struct{ organisation, clientID string }

// App implements [storage.Apps].
func (s *Store) App(ctx context.Context, clientID string) (storage.App, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return storage.App{}, err
	}
	defer unlock()
	a, ok := s.apps.byID[clientID]
	if !ok {
		return storage.App{}, storage.ErrNotFound
	}
	return copiedApp(a), nil
}

// ListApps implements [storage.Apps]. It looks at every app.
func (s *Store) ListApps(ctx context.Context, q storage.Query) ([]storage.App, string, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	var found []listed[storage.App]
	for _, a := range s.apps.byID {
		if a.Organisation == q.Organisation && q.Organisation != "" && a.Status().In(q.Status) {
			found = append(found, listed[storage.App]{a.Created, a.ClientID, a})
		}
	}
	return newestFirst(found, q, copiedApp)
}

// CommitApp implements [storage.Apps].
func (s *Store) CommitApp(ctx context.Context, m storage.AppMutation) error {
	if err := m.Check(); err != nil {
		return err
	}
	defer s.writes.begin()()
	version, gone, err := s.applyApp(ctx, m)
	if err != nil {
		return err
	}
	s.watchers.Changed(storage.AppChanged, m.Put.Organisation, m.Put.ClientID, version)
	s.tell(gone)
	return nil
}

// applyApp returns the app's new version and the grants that went with it.
func (s *Store) applyApp(ctx context.Context, m storage.AppMutation) (int64, []storage.Grant, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer unlock()
	a := copiedApp(m.Put)
	stored, exists := s.apps.byID[a.ClientID]
	if !exists && a.Version != 0 {
		return 0, nil, storage.ErrNotFound
	}
	if exists {
		if err := a.Replaces(stored); err != nil {
			return 0, nil, err
		}
	} else if a.Revoked.IsZero() && a.Organisation != "" && s.unrevokedApps(a.Organisation) >= storage.MaxApps {
		return 0, nil, storage.ErrLimit
	}
	a.Version++
	s.apps.byID[a.ClientID] = a
	s.log(m.Audit)
	if a.Revoked.IsZero() {
		return a.Version, nil, nil
	}
	s.forget(func(c storage.Consent) bool { return c.ClientID == a.ClientID })
	return a.Version, s.revoke(a.Revoked, a.RevokedBecause, func(g storage.Grant) bool { return g.ClientID == a.ClientID }), nil
}

func (s *Store) unrevokedApps(organisation string) int {
	n := 0
	for _, a := range s.apps.byID {
		if a.Organisation == organisation && a.Revoked.IsZero() {
			n++
		}
	}
	return n
}

// BlockApp implements [storage.Apps].
func (s *Store) BlockApp(ctx context.Context, b storage.Block, audit []storage.Entry) error {
	if err := b.Check(audit); err != nil {
		return err
	}
	defer s.writes.begin()()
	gone, err := s.applyBlock(ctx, b, audit)
	if err != nil {
		return err
	}
	s.watchers.Changed(storage.AppChanged, b.Organisation, b.ClientID, 0)
	s.tell(gone)
	return nil
}

func (s *Store) applyBlock(ctx context.Context, b storage.Block, audit []storage.Entry) ([]storage.Grant, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	name := member{b.Organisation, b.ClientID}
	if _, ok := s.apps.blocks[name]; ok {
		return nil, nil
	}
	b.At = micros(b.At)
	s.apps.blocks[name] = b
	s.log(audit)
	r := storage.GrantRevocation{Organisation: b.Organisation, ClientID: b.ClientID}
	s.forgetFor(r)
	return s.revoke(b.At, b.Because, r.Matches), nil
}

// UnblockApp implements [storage.Apps].
func (s *Store) UnblockApp(ctx context.Context, organisation, clientID string, audit []storage.Entry) error {
	if err := (storage.Block{Organisation: organisation, ClientID: clientID}).CheckLifted(audit); err != nil {
		return err
	}
	defer s.writes.begin()()
	if err := s.applyUnblock(ctx, member{organisation, clientID}, audit); err != nil {
		return err
	}
	s.watchers.Changed(storage.AppChanged, organisation, clientID, 0)
	return nil
}

func (s *Store) applyUnblock(ctx context.Context, name member, audit []storage.Entry) error {
	unlock, err := s.writing(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, ok := s.apps.blocks[name]; !ok {
		return storage.ErrNotFound
	}
	delete(s.apps.blocks, name)
	s.log(audit)
	return nil
}

// Blocks implements [storage.Apps].
func (s *Store) Blocks(ctx context.Context, organisation string) ([]storage.Block, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var found []storage.Block
	for name, b := range s.apps.blocks {
		if name.organisation == organisation {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b storage.Block) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(b.ClientID, a.ClientID))
	})
	return found[:min(len(found), storage.MaxBlocks)], nil
}

// PruneApps implements [storage.Apps]. It looks at every app and grant.
func (s *Store) PruneApps(ctx context.Context, before time.Time, limit int) (int, error) {
	defer s.writes.begin()()
	gone, err := s.pruneApps(ctx, before, storage.BatchSize(limit))
	for _, id := range gone {
		s.watchers.Changed(storage.AppChanged, "", id, 0)
	}
	return len(gone), err
}

func (s *Store) pruneApps(ctx context.Context, before time.Time, limit int) ([]string, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	used := make(map[string]bool)
	for _, g := range s.grants.byID {
		used[g.ClientID] = true
	}
	var gone []string
	for id, a := range s.apps.byID {
		if len(gone) == limit {
			break
		}
		if a.Organisation == "" && a.Revoked.IsZero() && a.Created.Before(before) && !used[id] {
			delete(s.apps.byID, id)
			s.forget(func(c storage.Consent) bool { return c.ClientID == id })
			gone = append(gone, id)
		}
	}
	return gone, nil
}

// copiedApp returns a with its own slices, normalised as the contract says.
func copiedApp(a storage.App) storage.App {
	a.Secrets = nilIfEmpty(a.Secrets)
	for i := range a.Secrets {
		a.Secrets[i].Created, a.Secrets[i].Expires = micros(a.Secrets[i].Created), micros(a.Secrets[i].Expires)
	}
	a.RedirectURIs, a.Origins, a.Scopes = nilIfEmpty(a.RedirectURIs), nilIfEmpty(a.Origins), nilIfEmpty(a.Scopes)
	a.Created, a.Revoked = micros(a.Created), micros(a.Revoked)
	return a
}
