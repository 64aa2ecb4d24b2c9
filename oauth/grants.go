package oauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// grants finds out what the own authorization server's tokens are worth.
type grants struct {
	resource *Resource
	store    storage.Grants
	machines strikeplate.Access
	gate     *gate
	flights  singleflight.Group
	// memory is where answers go before those who wait for them are let on, so that
	// whoever comes next finds them there. Nil: the caller keeps them.
	memory *core
}

func newGrants(r *Resource, store storage.Grants, machines strikeplate.Access) *grants {
	return &grants{resource: r, store: store, machines: machines, gate: newGate(64, 1024, &r.counts.shed)}
}

// answer is an entry, and whether it may be remembered.
type answer struct {
	entry *entry
	keep  bool
}

// examine asks the store, once for all that want to know at the same time. Who
// comes after a change doesn't join a question that was put before it, and while
// the feed isn't healthy everybody asks alone: what another one read may be too
// old.
func (g *grants) examine(ctx context.Context, hash, name digest) (*entry, bool, error) {
	r := g.resource
	_, age := r.clock()
	if r.config.Feed == nil || !r.tracker.IsFresh(age) {
		a, err := g.ask(ctx, hash, name)
		return a.entry, false, err
	}
	flight := g.flights.DoChan(fmt.Sprintf("%x %d", hash, r.sink.changes.Load()), func() (any, error) {
		return g.askOnce(context.WithoutCancel(ctx), hash, name)
	})
	select {
	case result := <-flight:
		a, _ := result.Val.(answer)
		return a.entry, a.keep, result.Err
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

const (
	errUnknown = invalid("The access token is unknown.")
	errKind    = invalid("This is a refresh token. Exchange it for an access token first.")
)

// askOnce asks unless the answer came since the caller looked.
func (g *grants) askOnce(ctx context.Context, hash, name digest) (answer, error) {
	if g.memory == nil {
		return g.ask(ctx, hash, name)
	}
	_, age := g.resource.clock()
	if e, ok := g.memory.known(name, age); ok {
		return answer{e, true}, nil
	}
	a, err := g.ask(ctx, hash, name)
	if err == nil && a.keep {
		g.memory.tokens.Set(name, a.entry)
	}
	return a, err
}

func (g *grants) ask(ctx context.Context, hash, name digest) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	leave, err := g.gate.enter(ctx)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	r := g.resource
	r.counts.asked.Add(1)
	before := r.sink.changes.Load()
	p, err := g.store.Presented(ctx, hash)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return answer{}, errUnknown
	case err != nil:
		return answer{}, fmt.Errorf("store of grants: %w", err)
	}
	now, _ := r.clock()
	e, err := g.entry(&p, name, now)
	if err != nil {
		return answer{}, err
	}
	e.grant = r.tracker.Stamp(p.Grant.ID, "")
	e.app = r.tracker.Stamp(p.App.ClientID, "")
	return answer{e, r.sink.changes.Load() == before}, nil
}

// entry judges a token by all that the store has of it.
func (g *grants) entry(p *storage.Presented, name digest, now time.Time) (*entry, error) {
	r := g.resource
	switch {
	case p.Token.Kind != storage.AccessToken:
		return nil, errKind
	case !p.Grant.Revoked.IsZero() || !p.App.Revoked.IsZero() || p.Blocked:
		return nil, errRevoked
	case len(p.Token.Resources) > 0 && !r.isAudience(p.Token.Resources):
		return nil, errAudience
	case p.Grant.Subject == "" && g.machines == "":
		return nil, errMachine
	}
	e := &entry{until: forever, followed: true}
	e.binding = binding{thumbprint: p.Token.Thumbprint, certificate: p.Token.Certificate}
	e.authenticated = p.Grant.Authenticated
	e.principal = strikeplate.Principal{
		Kind: strikeplate.KindToken, Environment: strikeplate.Live, Access: strikeplate.UserFull, Expires: p.Token.Expires,
		Credential: "token_" + short(name[:]), Lineage: p.Grant.ID, ClientID: p.Grant.ClientID,
		Organisation: p.Grant.Organisation, Subject: p.Grant.Subject,
		Scopes: r.narrowed(intersect(intersect(p.Token.Scopes, p.Grant.Scopes), p.App.Scopes)),
	}
	if p.Grant.Subject == "" {
		e.principal.Access = g.machines
	}
	if end := p.Grant.Expires; !end.IsZero() && end.Before(e.principal.Expires) {
		e.principal.Expires = end
	}
	if err := e.timely(now); err != nil {
		return nil, err
	}
	return e, nil
}
