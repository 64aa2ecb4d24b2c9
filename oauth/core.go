package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/strikeplate/strikeplate"
)

// source is one way to find out what a token is worth.
type source interface {
	// claims reports whether a text has the shape of this source's tokens.
	claims(token string) bool
	// examine finds out about a token that isn't remembered. It fails with invalid,
	// or else because it couldn't tell. keep says whether the entry may be
	// remembered; otherwise it answers the request that asked, and no other.
	examine(ctx context.Context, token string, d digest) (e *entry, keep bool, err error)
	// ready reports why tokens can't be examined.
	ready(ctx context.Context) error
}

// core is what the authenticators have in common: they remember tokens, join
// them with the directory, and check what they are bound to.
type core struct {
	resource *Resource
	source   source
	tokens   *otter.Cache[digest, *entry]
}

func newCore(r *Resource, s source) (*core, error) {
	tokens, err := otter.New(&otter.Options[digest, *entry]{MaximumSize: r.config.Cache.Tokens})
	if err != nil {
		return nil, fmt.Errorf("token cache: %w", err)
	}
	c := &core{resource: r, source: s, tokens: tokens}
	r.add(c)
	return c, nil
}

// authenticate implements [strikeplate.Authenticator].
func (c *core) authenticate(req *http.Request) (*strikeplate.Principal, error) {
	cred, kind := c.resource.find(req)
	switch {
	case kind == absent:
		return nil, c.resource.missing()
	case kind == unreadable || !c.source.claims(cred.token):
		return nil, c.resource.strange(cred.scheme)
	}
	return c.check(req.Context(), &cred)
}

// verify checks a token that came otherwise than by HTTP.
func (c *core) verify(ctx context.Context, token string, peer *x509.Certificate) (*strikeplate.Principal, error) {
	switch {
	case token == "":
		return nil, c.resource.missing()
	case len(token) > maxToken || !c.source.claims(token):
		return nil, c.resource.strange(bearerScheme)
	}
	return c.check(ctx, &credential{token: token, scheme: bearerScheme, peer: peer})
}

// check answers for one credential.
func (c *core) check(ctx context.Context, cred *credential) (*strikeplate.Principal, error) {
	e, err := c.entry(ctx, cred.token)
	if err == nil {
		err = c.resource.bound(e, cred)
	}
	if err != nil {
		return nil, c.resource.refuse(cred.scheme, err)
	}
	return c.verdict(ctx, e, cred.scheme)
}

// judge is check without the proof of possession.
func (c *core) judge(ctx context.Context, cred *credential) (*strikeplate.Principal, error) {
	e, err := c.entry(ctx, cred.token)
	if err != nil {
		return nil, c.resource.refuse(cred.scheme, err)
	}
	return c.verdict(ctx, e, cred.scheme)
}

// verdict says what the token's account and user mean for the request.
func (c *core) verdict(ctx context.Context, e *entry, used scheme) (*strikeplate.Principal, error) {
	s, err := c.standing(ctx, e)
	switch {
	case err != nil:
		return nil, c.resource.refuse(used, err)
	case s.inactive:
		return nil, c.resource.unauthorized(used, strikeplate.CodeInactive,
			"The user this access token was issued for is deactivated.")
	case s.lapsed:
		return nil, lapsed(&s.principal)
	}
	return &s.principal, nil
}

// entry returns what is known of a token that counts, finding it out if need be.
func (c *core) entry(ctx context.Context, token string) (*entry, error) {
	r := c.resource
	d := digestOf(token)
	now, age := r.clock()
	e, ok := c.known(d, age)
	if !ok {
		r.counts.examined.Add(1)
		fresh, keep, err := c.source.examine(ctx, token, d)
		if err != nil {
			if _, wrong := err.(invalid); ok && wrong { //nolint:errorlint // a source's own
				c.tokens.Invalidate(d)
			}
			return nil, err
		}
		if e = fresh; keep {
			c.tokens.Set(d, e)
		}
	}
	if err := e.timely(now); err != nil {
		return nil, err
	}
	return e, nil
}

// known returns what is remembered of a token and still counts.
func (c *core) known(d digest, age time.Duration) (*entry, bool) {
	e, ok := c.tokens.GetIfPresent(d)
	return e, ok && e.counts(c.resource.tracker, age)
}

// standing joins a token with the directory, which is asked again when its
// answer is too old.
func (c *core) standing(ctx context.Context, e *entry) (*state, error) {
	r := c.resource
	_, age := r.clock()
	if s := e.state.Load(); s != nil && age < s.until && r.tracker.OrganisationUnchanged(&s.stamp) {
		return s, nil
	}
	p := &e.principal
	stamp := r.tracker.Stamp("", p.Organisation)
	st, err := r.standing.Check(ctx, p.Organisation, p.Subject)
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	s := e.apply(st, stamp)
	e.state.Store(s)
	return s, nil
}

// digestOf hashes a token. Most fit on the stack, where a copy costs nothing to
// speak of; an allocation of a kilobyte costs a fifth of the hash.
func digestOf(token string) digest {
	var b [1 << 10]byte
	if len(token) > len(b) {
		return sha256.Sum256([]byte(token))
	}
	return sha256.Sum256(b[:copy(b[:], token)])
}
