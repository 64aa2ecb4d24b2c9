package memory

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Grants = (*Store)(nil)

// grants is what apps were let do, and all that comes from it.
type grants struct {
	byID     map[string]storage.Grant
	consents map[agreement]storage.Consent
	codes    map[[32]byte]storage.Code
	tokens   map[[32]byte]storage.Token
	pushed   map[[32]byte]storage.Pushed
	once     map[[32]byte]time.Time // until when
}

// agreement names a consent.
type agreement struct{ organisation, subject, clientID string }

func newGrants() grants {
	return grants{
		byID:     make(map[string]storage.Grant),
		consents: make(map[agreement]storage.Consent),
		codes:    make(map[[32]byte]storage.Code),
		tokens:   make(map[[32]byte]storage.Token),
		pushed:   make(map[[32]byte]storage.Pushed),
		once:     make(map[[32]byte]time.Time),
	}
}

// BeginGrant implements [storage.Grants].
func (s *Store) BeginGrant(ctx context.Context, n storage.NewGrant) error {
	if err := n.Check(); err != nil {
		return err
	}
	unlock, err := s.writing(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.judgeGrant(n); err != nil {
		return err
	}
	g := copiedGrant(n.Grant)
	g.Version = 1
	s.grants.byID[g.ID] = g
	if c := n.Consent; c != nil {
		name := agreement{c.Organisation, c.Subject, c.ClientID}
		s.grants.consents[name] = copiedConsent(s.grants.consents[name].With(*c))
	}
	if n.Code != nil {
		c := *n.Code
		c.Expires = micros(c.Expires)
		s.grants.codes[c.Hash] = c
	}
	s.putTokens(n.Tokens)
	s.log(n.Audit)
	return nil
}

func (s *Store) judgeGrant(n storage.NewGrant) error {
	app, ok := s.apps.byID[n.Grant.ClientID]
	if !ok {
		return storage.ErrNotFound
	}
	if !app.Revoked.IsZero() {
		return storage.ErrRevoked
	}
	if s.blocked(n.Grant) {
		return storage.ErrBlocked
	}
	if _, taken := s.grants.byID[n.Grant.ID]; taken || s.anyTaken(n.Tokens) {
		return storage.ErrConflict
	}
	if n.Code != nil {
		if _, taken := s.grants.codes[n.Code.Hash]; taken {
			return storage.ErrConflict
		}
	}
	return nil
}

func (s *Store) blocked(g storage.Grant) bool {
	_, ok := s.apps.blocks[member{g.Organisation, g.ClientID}]
	return ok
}

// Grant implements [storage.Grants].
func (s *Store) Grant(ctx context.Context, organisation, id string) (storage.Grant, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return storage.Grant{}, err
	}
	defer unlock()
	g, ok := s.grants.byID[id]
	if !ok || g.Organisation != organisation {
		return storage.Grant{}, storage.ErrNotFound
	}
	return copiedGrant(g), nil
}

// ListGrants implements [storage.Grants]. It looks at every grant.
func (s *Store) ListGrants(ctx context.Context, q storage.GrantQuery) ([]storage.Grant, string, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	all := storage.GrantRevocation{Organisation: q.Organisation, Subject: q.Subject, ClientID: q.ClientID}
	var found []listed[storage.Grant]
	for _, g := range s.grants.byID {
		if all.Matches(g) && g.Status(q.Now).In(q.Status) {
			found = append(found, listed[storage.Grant]{g.Created, g.ID, g})
		}
	}
	return newestFirst(found, q.Query, copiedGrant)
}

// RevokeGrants implements [storage.Grants].
func (s *Store) RevokeGrants(ctx context.Context, r storage.GrantRevocation) (int, error) {
	if err := r.Check(); err != nil {
		return 0, err
	}
	defer s.writes.begin()()
	gone, err := s.applyRevocation(ctx, r)
	s.tell(gone)
	return len(gone), err
}

func (s *Store) applyRevocation(ctx context.Context, r storage.GrantRevocation) ([]storage.Grant, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if g, ok := s.grants.byID[r.ID]; r.ID != "" && (!ok || g.Organisation != r.Organisation) {
		return nil, storage.ErrNotFound
	}
	gone := s.revoke(r.Now, r.Because, r.Matches)
	if forgotten := s.forgetFor(r); forgotten+len(gone) > 0 {
		s.log(r.Audit)
	}
	return gone, nil
}

// revoke revokes those that f is true for and that are not revoked yet, and
// returns them. The caller holds the lock for writing, and tells the watchers.
func (s *Store) revoke(now time.Time, because string, f func(storage.Grant) bool) []storage.Grant {
	var gone []storage.Grant
	for id, g := range s.grants.byID {
		if g.Revoked.IsZero() && f(g) {
			g.Version++
			g.Revoked, g.RevokedBecause = micros(now), because
			s.grants.byID[id] = g
			gone = append(gone, g)
		}
	}
	return gone
}

// tell tells the watchers of changed grants. It is called without any lock.
func (s *Store) tell(changed []storage.Grant) {
	for _, g := range changed {
		s.watchers.Changed(storage.GrantChanged, g.Organisation, g.ID, g.Version)
	}
}

// forgetFor forgets the consents that a revocation names.
func (s *Store) forgetFor(r storage.GrantRevocation) int {
	if r.ID != "" {
		return 0
	}
	return s.forget(func(c storage.Consent) bool {
		return r.Matches(storage.Grant{Organisation: c.Organisation, Subject: c.Subject, ClientID: c.ClientID})
	})
}

func (s *Store) forget(f func(storage.Consent) bool) int {
	n := 0
	for name, c := range s.grants.consents {
		if f(c) {
			delete(s.grants.consents, name)
			n++
		}
	}
	return n
}

// Consent implements [storage.Grants].
func (s *Store) Consent(ctx context.Context, organisation, subject, clientID string) (storage.Consent, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return storage.Consent{}, err
	}
	defer unlock()
	c, ok := s.grants.consents[agreement{organisation, subject, clientID}]
	if !ok {
		return storage.Consent{}, storage.ErrNotFound
	}
	return copiedConsent(c), nil
}

// copiedGrant returns g with its own slices, normalised as the contract says.
func copiedGrant(g storage.Grant) storage.Grant {
	g.Scopes, g.Resources = nilIfEmpty(g.Scopes), nilIfEmpty(g.Resources)
	for _, t := range []*time.Time{&g.Authenticated, &g.Created, &g.Expires, &g.Revoked} {
		*t = micros(*t)
	}
	return g
}

func copiedConsent(c storage.Consent) storage.Consent {
	c.Scopes = nilIfEmpty(c.Scopes)
	c.Given = micros(c.Given)
	return c
}
