package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// IntrospectionConfig wires an [Introspection].
type IntrospectionConfig struct {
	// Resource is required.
	Resource *Resource
	// Issuer is the authorization server that is asked, by its identifier. Required.
	Issuer string
	// Endpoint is where (RFC 7662 2); empty: where the issuer's metadata says.
	Endpoint string
	// InsecureHTTP allows http on the loopback interface.
	InsecureHTTP bool
	// Trust says for whom it may speak.
	Trust Trust
	// ClientID and ClientSecret are the API's own at the authorization server, sent
	// as RFC 6749 2.3.1 has it.
	ClientID     string
	ClientSecret strikeplate.Secret
	// Authorize authenticates the API otherwise, on each request to the endpoint.
	// Nil: ClientID and ClientSecret are required.
	Authorize func(*http.Request) error
	// Prefix is what tokens begin with; others are left to other authenticators.
	// Empty: every token is asked about, so this authenticator stands last.
	Prefix string
	// InsecureNoAudience accepts tokens of which the endpoint doesn't say whom they
	// are for.
	InsecureNoAudience bool
	// Fetch says how the endpoint is asked; its Timeout counts.
	Fetch Fetch
	// Remember is how long an answer counts for a good token, which is how late a
	// revocation may be noticed; zero: 30 s, at most 15 min. Tokens that aren't good
	// are remembered for 5 s, or as long as that if it is shorter.
	Remember time.Duration
	// Skew is how far the issuer's clock may be off: see [JWTConfig].
	Skew time.Duration
}

// How much strangers may ask of an introspection endpoint through us.
const (
	askingAtOnce = 32
	askersQueued = 512
	badTokens    = 10_000
	badFor       = 5 * time.Second
)

// Introspection accepts tokens of any form by asking the authorization server that
// issued them (RFC 7662). It is safe for concurrent use.
type Introspection struct {
	core     *core
	config   IntrospectionConfig
	endpoint endpoint
	bad      *otter.Cache[digest, badToken]
	gate     *gate
	flights  singleflight.Group
}

// badToken is why a token was refused, and until when that is remembered.
type badToken struct {
	why   invalid
	until time.Duration
}

// NewIntrospection checks c.
func NewIntrospection(c IntrospectionConfig) (*Introspection, error) {
	if c.Resource == nil {
		return nil, errNoResource
	}
	if err := c.settle(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	var err error
	if c.Skew, err = settleSkew(c.Skew); err != nil {
		return nil, err
	}
	i := &Introspection{config: c, gate: newGate(askingAtOnce, askersQueued, &c.Resource.counts.shed)}
	i.endpoint.url = c.Endpoint
	if i.bad, err = otter.New(&otter.Options[digest, badToken]{MaximumSize: badTokens}); err != nil {
		return nil, fmt.Errorf("oauth: cache: %w", err)
	}
	if i.core, err = newCore(c.Resource, i); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	return i, nil
}

func (c *IntrospectionConfig) settle() error {
	if _, err := parseURL(c.Issuer, c.InsecureHTTP); err != nil {
		return fmt.Errorf("Issuer: %w", err)
	}
	if _, err := parseURL(c.Endpoint, c.InsecureHTTP); c.Endpoint != "" && err != nil {
		return fmt.Errorf("Endpoint: %w", err)
	}
	if strings.Contains(c.Issuer, "|") {
		return errors.New("Issuer must not contain '|'")
	}
	if (c.ClientID == "") == (c.Authorize == nil) {
		return errors.New("either ClientID and ClientSecret or Authorize is required")
	}
	if err := c.Trust.settle(); err != nil {
		return fmt.Errorf("Trust: %w", err)
	}
	if err := settleDuration(&c.Remember, 30*time.Second, 15*time.Minute); err != nil {
		return fmt.Errorf("Remember %w", err)
	}
	if err := c.Fetch.settle(); err != nil {
		return fmt.Errorf("Fetch.%w", err)
	}
	return nil
}

// Authenticate implements [strikeplate.Authenticator]. It refuses as
// [JWT.Authenticate] does; an endpoint that can't be asked is 503.
func (i *Introspection) Authenticate(r *http.Request) (*strikeplate.Principal, error) {
	return i.core.authenticate(r)
}

// Verify checks a token that came otherwise than in an HTTP request: see
// [JWT.Verify].
func (i *Introspection) Verify(ctx context.Context, token string, peer *x509.Certificate) (*strikeplate.Principal, error) {
	return i.core.verify(ctx, token, peer)
}

// Invalidate forgets what the endpoint said of a subject's tokens, in this process.
func (i *Introspection) Invalidate(subject string) {
	i.core.resource.sink.Changed(storage.GrantChanged, "", subjectRecord(i.config.Issuer, subject), 0)
}

func (i *Introspection) claims(token string) bool {
	return strings.HasPrefix(token, i.config.Prefix) && isToken68(token)
}

// examine asks the endpoint, once for all that want to know at the same time.
func (i *Introspection) examine(ctx context.Context, token string, d digest) (*entry, bool, error) {
	r := i.core.resource
	_, age := r.clock()
	if b, ok := i.bad.GetIfPresent(d); ok && age < b.until {
		return nil, false, b.why
	}
	flight := i.flights.DoChan(fmt.Sprintf("%x %d", d, r.sink.changes.Load()), func() (any, error) {
		return i.ask(context.WithoutCancel(ctx), token, d)
	})
	select {
	case result := <-flight:
		a, _ := result.Val.(answer)
		return a.entry, a.keep, result.Err
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

const errInactive = invalid("The access token is not active: it is unknown, expired or revoked.")

func (i *Introspection) ask(ctx context.Context, token string, d digest) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, i.config.Fetch.Timeout)
	defer cancel()
	leave, err := i.gate.enter(ctx)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	r := i.core.resource
	r.counts.asked.Add(1)
	before := r.sink.changes.Load()
	_, age := r.clock()
	body, err := i.post(ctx, token)
	if err != nil {
		return answer{}, err
	}
	e, err := i.read(ctx, body, d)
	var wrong invalid
	if errors.As(err, &wrong) {
		i.bad.Set(d, badToken{wrong, age + min(badFor, i.config.Remember)})
	}
	if err != nil {
		return answer{}, err
	}
	e.until = age + i.config.Remember
	return answer{e, r.sink.changes.Load() == before}, nil
}

// read judges the endpoint's answer. The endpoint knows the token, but not what it
// is presented for.
func (i *Introspection) read(ctx context.Context, body []byte, d digest) (*entry, error) {
	c, w, err := parseClaims(body)
	if err != nil || w.Active == nil {
		return nil, fmt.Errorf("the introspection endpoint's answer is not as in RFC 7662: %w", errors.Join(err, errNotClaims))
	}
	r := i.core.resource
	now, _ := r.clock()
	switch {
	case !*w.Active:
		return nil, errInactive
	case c.Issuer != "" && c.Issuer != i.config.Issuer:
		return nil, errIssuer
	case !r.isAudience(c.Audience) && (len(c.Audience) > 0 || !i.config.InsecureNoAudience):
		return nil, errAudience
	case strings.EqualFold(w.TokenType, "refresh_token"):
		return nil, errKind
	case c.IssuedAt.After(now.Add(i.config.Skew)):
		return nil, errFuture
	case strings.EqualFold(w.TokenType, "DPoP") && c.binding.thumbprint == "":
		c.binding.unknown = true // bound to a key that we aren't told
	}
	c.Issuer = i.config.Issuer
	e := &entry{grant: r.tracker.Stamp(subjectRecord(c.Issuer, c.Subject), "")}
	if e.facts, err = i.config.Trust.facts(ctx, r, c, d, i.config.Skew); err != nil {
		return nil, err
	}
	if err := e.timely(now); err != nil {
		return nil, err
	}
	return e, nil
}

// ready asks nothing: an endpoint that is asked at each probe is a burden.
func (i *Introspection) ready(context.Context) error { return nil }

func (i *Introspection) post(ctx context.Context, token string) ([]byte, error) {
	place, err := i.endpoint.find(ctx, &i.config)
	if err != nil {
		return nil, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, place, strings.NewReader(form.Encode())) //nolint:gosec // likewise: the configuration's or the issuer's
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if i.config.Authorize != nil {
		err = i.config.Authorize(req)
	} else {
		req.SetBasicAuth(url.QueryEscape(i.config.ClientID), url.QueryEscape(i.config.ClientSecret.Reveal()))
	}
	if err != nil {
		return nil, fmt.Errorf("authenticating at the introspection endpoint: %w", err)
	}
	body, err := i.config.Fetch.do(req)
	if err != nil {
		return nil, fmt.Errorf("introspection endpoint: %w", err)
	}
	return body, nil
}
