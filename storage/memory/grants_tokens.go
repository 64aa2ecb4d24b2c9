package memory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Code implements [storage.Grants].
func (s *Store) Code(ctx context.Context, hash [32]byte) (storage.Code, storage.Grant, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return storage.Code{}, storage.Grant{}, err
	}
	defer unlock()
	c, ok := s.grants.codes[hash]
	if !ok {
		return storage.Code{}, storage.Grant{}, storage.ErrNotFound
	}
	return c, copiedGrant(s.grants.byID[c.Grant]), nil
}

// UseCode implements [storage.Grants].
func (s *Store) UseCode(ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
	defer s.writes.begin()()
	gone, err := s.applyCode(ctx, hash, now, tokens)
	s.tell(gone)
	return err
}

// applyCode returns the grant if it was revoked.
func (s *Store) applyCode(ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) ([]storage.Grant, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, ok := s.grants.codes[hash]
	if !ok {
		return nil, storage.ErrNotFound
	}
	if err := c.Buys(now, tokens); err != nil {
		return nil, err
	}
	g := s.grants.byID[c.Grant]
	err = c.Usable(now, g, s.apps.byID[g.ClientID], s.blocked(g))
	switch {
	case errors.Is(err, storage.ErrReused):
		return s.reused(g, now), err
	case err == nil && s.anyTaken(tokens):
		return nil, storage.ErrConflict
	case err == nil:
		s.putTokens(tokens)
	}
	c.Used = micros(now)
	s.grants.codes[hash] = c
	return nil, err
}

// reused revokes the grant whose code or token was used twice, and returns it if
// it was not revoked before.
func (s *Store) reused(g storage.Grant, now time.Time) []storage.Grant {
	if !g.Revoked.IsZero() {
		return nil
	}
	g, entry := g.Reuse(micros(now))
	s.grants.byID[g.ID] = g
	s.log([]storage.Entry{entry})
	return []storage.Grant{g}
}

// Presented implements [storage.Grants].
func (s *Store) Presented(ctx context.Context, hash [32]byte) (storage.Presented, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return storage.Presented{}, err
	}
	defer unlock()
	t, ok := s.grants.tokens[hash]
	if !ok {
		return storage.Presented{}, storage.ErrNotFound
	}
	return s.presented(t), nil
}

func (s *Store) presented(t storage.Token) storage.Presented {
	g := s.grants.byID[t.Grant]
	return storage.Presented{
		Token: copiedToken(t), Grant: copiedGrant(g), App: copiedApp(s.apps.byID[g.ClientID]), Blocked: s.blocked(g),
	}
}

// Rotate implements [storage.Grants].
func (s *Store) Rotate(ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
	if err := r.Check(); err != nil {
		return storage.Token{}, false, err
	}
	defer s.writes.begin()()
	access, repeated, gone, err := s.applyRotation(ctx, r)
	s.tell(gone)
	return access, repeated, err
}

// applyRotation returns the grant too if it was revoked.
func (s *Store) applyRotation(ctx context.Context, r storage.Rotation) (access storage.Token, repeated bool, gone []storage.Grant, err error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return storage.Token{}, false, nil, err
	}
	defer unlock()
	t, ok := s.grants.tokens[r.Old]
	if !ok {
		return storage.Token{}, false, nil, storage.ErrNotFound
	}
	old, access := s.presented(t), s.grants.tokens[r.Access.Hash]
	repeated, err = r.Judge(old, s.grants.tokens[t.Successor], access)
	fresh := []storage.Token{r.Access, r.Refresh}
	switch {
	case errors.Is(err, storage.ErrReused):
		return storage.Token{}, false, s.reused(old.Grant, r.Now), err
	case err != nil:
		return storage.Token{}, false, nil, err
	case repeated:
		return copiedToken(access), true, nil, nil
	case s.anyTaken(fresh):
		return storage.Token{}, false, nil, storage.ErrConflict
	}
	s.putTokens(fresh)
	t.Rotated, t.Successor = micros(r.Now), r.Refresh.Hash
	s.grants.tokens[r.Old] = t
	return copiedToken(r.Access), false, nil, nil
}

// DropToken implements [storage.Grants].
func (s *Store) DropToken(ctx context.Context, hash [32]byte) error {
	defer s.writes.begin()()
	changed, err := s.drop(ctx, hash)
	s.tell(changed)
	return err
}

// drop returns the grant if it has changed.
func (s *Store) drop(ctx context.Context, hash [32]byte) ([]storage.Grant, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	t, ok := s.grants.tokens[hash]
	if !ok || t.Kind != storage.AccessToken {
		return nil, nil
	}
	delete(s.grants.tokens, hash)
	g := s.grants.byID[t.Grant]
	if !g.Revoked.IsZero() {
		return nil, nil
	}
	g.Version++
	s.grants.byID[g.ID] = g
	return []storage.Grant{g}, nil
}

func (s *Store) anyTaken(tokens []storage.Token) bool {
	return slices.ContainsFunc(tokens, func(t storage.Token) bool {
		_, taken := s.grants.tokens[t.Hash]
		return taken
	})
}

func (s *Store) putTokens(tokens []storage.Token) {
	for _, t := range tokens {
		s.grants.tokens[t.Hash] = copiedToken(t)
	}
}

// copiedToken returns t with its own slices, normalised as the contract says.
func copiedToken(t storage.Token) storage.Token {
	t.Scopes, t.Resources = nilIfEmpty(t.Scopes), nilIfEmpty(t.Resources)
	t.Created, t.Expires, t.Rotated = micros(t.Created), micros(t.Expires), micros(t.Rotated)
	return t
}
