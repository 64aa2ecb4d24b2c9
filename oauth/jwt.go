package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// JWTConfig wires a [JWT].
type JWTConfig struct {
	// Resource is required.
	Resource *Resource
	// Issuers are those whose tokens are accepted. At least one; each token is
	// checked by the keys and the rules of the issuer that it names, and no other.
	Issuers []Issuer
	// Fetch says how they are asked for their keys.
	Fetch Fetch
	// Skew is how far an issuer's clock may be off; zero: 30 s, at most 5 min.
	// Negative: not at all.
	Skew time.Duration
}

// JWT accepts JWT access tokens (RFC 9068). It is safe for concurrent use.
type JWT struct {
	core    *core
	issuers map[string]*issuer
	skew    time.Duration
}

// NewJWT checks c and begins to fetch the issuers' keys. Closing the Resource ends
// that.
func NewJWT(c JWTConfig) (*JWT, error) {
	if c.Resource == nil {
		return nil, errNoResource
	}
	if err := c.Fetch.settle(); err != nil {
		return nil, fmt.Errorf("oauth: Fetch.%w", err)
	}
	j := &JWT{issuers: make(map[string]*issuer)}
	var err error
	if j.skew, err = settleSkew(c.Skew); err != nil {
		return nil, err
	}
	if len(c.Issuers) == 0 {
		return nil, errors.New("oauth: at least one of Issuers is required")
	}
	for n, one := range c.Issuers {
		i, err := newIssuer(one, c.Resource, c.Fetch)
		if err != nil {
			return nil, fmt.Errorf("oauth: Issuers[%d]: %w", n, err)
		}
		if j.issuers[one.URL] != nil {
			return nil, fmt.Errorf("oauth: Issuers[%d]: %q is listed twice", n, one.URL)
		}
		j.issuers[one.URL] = i
	}
	if j.core, err = newCore(c.Resource, j); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	for _, i := range j.issuers {
		c.Resource.background(func() { i.keys.run(c.Resource.closing) })
	}
	return j, nil
}

var errNoResource = errors.New("oauth: a Resource is required")

func settleSkew(d time.Duration) (time.Duration, error) {
	switch {
	case d < 0:
		return 0, nil
	case d == 0:
		return 30 * time.Second, nil
	case d > 5*time.Minute:
		return 0, errors.New("oauth: Skew must be at most 5m")
	}
	return d, nil
}

// Authenticate implements [strikeplate.Authenticator]. What it refuses with: 401
// missing_api_key; 401 invalid_token, also for what is no JWT, which leaves other
// authenticators their turn; 401 invalid_dpop_proof and use_dpop_nonce; 401
// inactive_owner; 402 subscription_required; and 503 temporarily_unavailable where
// it could not be checked.
func (j *JWT) Authenticate(r *http.Request) (*strikeplate.Principal, error) {
	return j.core.authenticate(r)
}

// Verify checks a token that came otherwise than in an HTTP request, as in gRPC
// metadata or a job. peer is the certificate that the caller's TLS connection
// proved, for tokens bound to one; nil: none. Tokens bound to a DPoP key are
// refused. It refuses as Authenticate does.
func (j *JWT) Verify(ctx context.Context, token string, peer *x509.Certificate) (*strikeplate.Principal, error) {
	return j.core.verify(ctx, token, peer)
}

// Invalidate forgets what was found out about the tokens of a subject of one
// issuer: [Issuer.Revoked] is asked again about each. Call it when a token or a
// session was revoked elsewhere. It is about this process alone; on the others of
// a fleet call it as well.
func (j *JWT) Invalidate(issuer, subject string) {
	j.core.resource.sink.Changed(storage.GrantChanged, "", subjectRecord(issuer, subject), 0)
}

// subjectRecord is what the tracker knows a subject's tokens by.
func subjectRecord(issuer, subject string) string { return issuer + "|" + subject }

func (j *JWT) claims(token string) bool { return looksCompact(token) }

const (
	errIssuer    = invalid("The access token's issuer is not trusted here.")
	errAlgorithm = invalid("The access token is signed with an algorithm that is not accepted from its issuer.")
	errForged    = invalid("The access token's signature is wrong.")
	errType      = invalid("The JWT is not an access token: its typ must be at+jwt.")
	errAudience  = invalid("The access token is for another audience.")
	errNoEnd     = invalid("The access token has no expiry.")
	errNoSubject = invalid("The access token has no subject.")
	errFuture    = invalid("The access token was issued in the future.")
	errRevoked   = invalid("The access token has been revoked.")
	errRecord    = invalid("The access token says something else than its record.")
	errBadClaims = invalid("The access token's claims are malformed.")
)

// examine checks a JWT from scratch (RFC 9068 4, RFC 8725 3).
func (j *JWT) examine(ctx context.Context, token string, d digest) (*entry, bool, error) {
	parsed, err := parseCompact(token)
	if err != nil {
		return nil, false, err
	}
	claims, _, err := parseClaims(parsed.payload)
	if err != nil {
		return nil, false, errBadClaims
	}
	i := j.issuers[claims.Issuer] // nothing else is believed before the signature is checked
	if i == nil {
		return nil, false, errIssuer
	}
	key, err := i.verify(ctx, parsed)
	if err != nil {
		return nil, false, err
	}
	r := j.core.resource
	now, _ := r.clock()
	if err := i.accept(r, parsed, claims, now.Add(j.skew)); err != nil {
		return nil, false, err
	}
	if i.grants != nil {
		return i.ours(ctx, claims, d, now)
	}
	e := &entry{key: key, until: forever, grant: r.tracker.Stamp(subjectRecord(claims.Issuer, claims.Subject), "")}
	if err := i.unrevoked(ctx, claims); err != nil {
		return nil, false, err
	}
	if e.facts, err = i.Trust.facts(ctx, r, claims, d, j.skew); err != nil {
		return nil, false, err
	}
	if err := e.timely(now); err != nil {
		return nil, false, err
	}
	return e, true, nil
}

// ours asks the own authorization server's store about one of its JWTs, which says
// no more than the record does.
func (i *issuer) ours(ctx context.Context, claims *Claims, d digest, now time.Time) (*entry, bool, error) {
	// The record's hash is the jti: a JWT that is issued again has another signature,
	// and is the same token.
	hash, err := decodeStrict(claims.ID)
	if err != nil || len(hash) != len(d) {
		return nil, false, errRecord
	}
	e, keep, err := i.grants.examine(ctx, digest(hash), d)
	switch {
	case err != nil:
		return nil, false, err
	case e.binding != claims.binding || !now.Before(claims.Expires):
		return nil, false, errRecord
	}
	return e, keep, nil
}

// unrevoked asks the embedder. Who comes later than [JWT.Invalidate] asks again.
func (i *issuer) unrevoked(ctx context.Context, claims *Claims) error {
	if i.Revoked == nil {
		return nil
	}
	revoked, err := i.Revoked(ctx, *claims)
	switch {
	case err != nil:
		return fmt.Errorf("Revoked: %w", err)
	case revoked:
		return errRevoked
	}
	return nil
}

// verify checks the signature, by the one key that the token may be signed with.
func (i *issuer) verify(ctx context.Context, c *compact) (*signingKey, error) {
	a := i.algorithms.find(c.header.Algorithm)
	if a == nil {
		return nil, errAlgorithm
	}
	key, err := i.keys.find(ctx, c.header.KeyID, a)
	if err != nil {
		return nil, err
	}
	if a.verify(key.public, c.signed, c.signature) != nil {
		return nil, errForged
	}
	return key, nil
}

// accept judges what the token says. latest is the latest time that it may be.
func (i *issuer) accept(r *Resource, c *compact, claims *Claims, latest time.Time) error {
	switch {
	case !i.InsecureAnyType && !isAccessTokenType(c.header.Type):
		return errType
	case !r.isAudience(claims.Audience):
		return errAudience
	case claims.Expires.IsZero():
		return errNoEnd
	case claims.Subject == "":
		return errNoSubject
	case claims.IssuedAt.After(latest):
		return errFuture
	}
	return nil
}

// isAccessTokenType is RFC 9068 2.1 and 4; media types have no case.
func isAccessTokenType(typ string) bool {
	return strings.EqualFold(typ, "at+jwt") || strings.EqualFold(typ, "application/at+jwt")
}

func (r *Resource) isAudience(audience []string) bool {
	return slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(r.audiences, a) })
}

// facts reads what a proven token says.
func (t *Trust) facts(ctx context.Context, r *Resource, c *Claims, d digest, skew time.Duration) (facts, error) {
	p, err := t.principal(ctx, r, c, d)
	return facts{principal: p, binding: c.binding, notBefore: c.notBefore, leeway: skew, acr: c.acr, authenticated: c.authenticated}, err
}

func (j *JWT) ready(ctx context.Context) error {
	for _, i := range j.issuers {
		if err := i.keys.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}
