package oauth_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

func TestJWTMakesAPrincipal(t *testing.T) {
	s, store := newServer(t), newStore(t)
	user := s.URL + "|ada"
	putUser(t, store, storage.User{ID: user, Organisation: "acme", Active: true, Scopes: []string{"meetings:read"}})
	catalog, err := scope.NewCatalog(scope.Entry{Scope: "meetings:read", Description: "Read meetings"},
		scope.Entry{Scope: "meetings:write", Description: "Write meetings"})
	if err != nil {
		t.Fatal(err)
	}
	r := newResource(t, func(c *oauth.ResourceConfig) {
		c.InsecureNoDirectory, c.Directory, c.Feed, c.Catalog = false, store, store, catalog
	})
	j := newJWT(t, r, s.issuer())
	for alg, key := range map[jose.SignatureAlgorithm]any{"RS256": rsaKey, "ES256": ecKey, "EdDSA": edKey} {
		kid := map[jose.SignatureAlgorithm]string{"RS256": "rsa", "ES256": "ec", "EdDSA": "ed"}[alg]
		c := s.claims(claims{"scope": "openid meetings:read meetings:write"})
		p := letIn(t, j, bearer(sign(t, alg, key, header{"kid": kid}, c)))
		want := &strikeplate.Principal{
			Kind: strikeplate.KindToken, Environment: strikeplate.Live, Access: strikeplate.UserFull,
			Expires: time.Unix(c["exp"].(int64), 0), ClientID: "app", Organisation: "acme", Subject: user, Plan: "pro",
			Scopes: []string{"meetings:read"}, Settings: map[string]any{"region": "eu"},
		}
		if diff := cmp.Diff(want, p, cmpopts.IgnoreFields(strikeplate.Principal{}, "Credential", "Lineage")); diff != "" {
			t.Errorf("%s: -want +got\n%s", alg, diff)
		}
		if !strings.HasPrefix(p.Credential, "token_") || !strings.HasPrefix(p.Lineage, "grant_") {
			t.Errorf("%s: credential %q, lineage %q", alg, p.Credential, p.Lineage)
		}
	}
}

// The lineage is what quota and usage count by: the same for all tokens of one
// client and subject, and no one else's.
func TestJWTLineageIsTheClientsAndTheSubjects(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, nil), s.issuer())
	of := func(change claims) *strikeplate.Principal { return letIn(t, j, bearer(s.token(t, change))) }
	a, b := of(nil), of(nil)
	if a.Lineage != b.Lineage || a.Credential == b.Credential {
		t.Errorf("two tokens of one grant: %q %q, %q %q", a.Lineage, b.Lineage, a.Credential, b.Credential)
	}
	for name, change := range map[string]claims{"subject": {"sub": "eve"}, "client": {"client_id": "other"}} {
		if of(change).Lineage == a.Lineage {
			t.Errorf("another %s has the same lineage", name)
		}
	}
}

func TestJWTRefusals(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, nil), s.issuer())
	now := time.Now()
	for _, c := range []struct {
		name   string
		change claims
		why    string
	}{
		{"expired", claims{"exp": now.Add(-time.Minute).Unix()}, "has expired"},
		{"no expiry", claims{"exp": nil}, "no expiry"},
		{"expiry is null", claims{"exp": nil, "nbf": 0}, "no expiry"},
		{"expiry is text", claims{"exp": "soon"}, "malformed"},
		{"expiry is absurd", claims{"exp": 1e300}, "malformed"},
		{"expiry is negative", claims{"exp": -1}, "malformed"},
		{"not yet valid", claims{"nbf": now.Add(time.Minute).Unix()}, "not valid yet"},
		{"from the future", claims{"iat": now.Add(time.Minute).Unix()}, "in the future"},
		{"another audience", claims{"aud": "https://other.example.com"}, "another audience"},
		{"an audience that is almost ours", claims{"aud": api + "/"}, "another audience"},
		{"no audience", claims{"aud": nil}, "another audience"},
		{"audiences without ours", claims{"aud": []string{"a", "b"}}, "another audience"},
		{"no subject", claims{"sub": nil}, "no subject"},
		{"a subject with a line break", claims{"sub": "ada\nroot"}, "malformed"},
		{"a subject of any length", claims{"sub": strings.Repeat("a", 600)}, "malformed"},
		{"another issuer", claims{"iss": "https://evil.example.com"}, "not trusted"},
		{"no issuer", claims{"iss": nil}, "not trusted"},
		{"for a client itself", claims{"sub": "app"}, "without a user"},
		{"a confirmation that is a text", claims{"cnf": "x"}, "malformed"},
		{"an unknown confirmation", claims{"cnf": claims{"kid": "x"}}, "not supported"},
		{"an empty confirmation", claims{"cnf": claims{}}, "not supported"},
	} {
		t.Run(c.name, func(t *testing.T) { invalid(t, j, s.token(t, c.change), c.why) })
	}
	letIn(t, j, bearer(s.token(t, claims{"aud": []string{"https://other.example.com", api}})))
	letIn(t, j, bearer(s.token(t, claims{"exp": float64(now.Unix()) + 0.5})))
	letIn(t, j, bearer(s.token(t, claims{"exp": now.Add(-10 * time.Second).Unix()}))) // within the skew
}

func TestJWTIsAskedForOnlyWhatIsOne(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, nil), s.issuer())
	missing := bearer("")
	missing.Header.Del("Authorization")
	if e := refused(t, j, missing, 401, strikeplate.CodeMissing); !errors.Is(e, strikeplate.ErrNotMine) {
		t.Error("a request without a token isn't left to others")
	}
	for _, text := range []string{"mvo_live_abc", "a.b.c", "eyJhbGciOiJub25lIn0.e30", "eyJh.eyJh.a.b.c", strings.Repeat("e", 20_000), ""} {
		if e := refused(t, j, bearer(text), 401, oauth.CodeToken); !errors.Is(e, strikeplate.ErrNotMine) {
			t.Errorf("%.20q isn't left to others", text)
		}
	}
	two := bearer(s.token(t, nil))
	two.Header.Add("Authorization", two.Header.Get("Authorization"))
	refused(t, j, two, 401, oauth.CodeToken)
	query := bearer("")
	query.Header.Del("Authorization")
	query.URL.RawQuery = "access_token=" + s.token(t, nil)
	refused(t, j, query, 401, strikeplate.CodeMissing) // RFC 9700 4.3.2
}

func TestJWTOfAClientItself(t *testing.T) {
	s := newServer(t)
	i := s.issuer()
	i.Trust.Machines = strikeplate.OrganisationLimited
	p := letIn(t, newJWT(t, newResource(t, nil), i), bearer(s.token(t, claims{"sub": "app"})))
	if p.Access != strikeplate.OrganisationLimited || p.Subject != "" {
		t.Errorf("access %q, subject %q", p.Access, p.Subject)
	}
}

func TestJWTIdentify(t *testing.T) {
	s := newServer(t)
	i := s.issuer()
	refuse := errors.New("the directory is down")
	i.Trust.Identify = func(_ context.Context, c oauth.Claims) (oauth.Identity, error) {
		var more struct {
			Tenant string `json:"https://example.com/tenant"`
			Fail   bool   `json:"fail"`
		}
		if err := c.Decode(&more); err != nil {
			return oauth.Identity{}, err
		}
		if more.Fail {
			return oauth.Identity{}, refuse
		}
		return oauth.Identity{Organisation: more.Tenant, User: "user_7", Access: strikeplate.UserLimited,
			Environment: strikeplate.Test, Plan: "gold", Scopes: []string{"meetings:read", "admin:all"}}, nil
	}
	j := newJWT(t, newResource(t, nil), i)
	p := letIn(t, j, bearer(s.token(t, claims{"https://example.com/tenant": "acme"})))
	want := &strikeplate.Principal{Kind: strikeplate.KindToken, Environment: strikeplate.Test, Access: strikeplate.UserLimited,
		ClientID: "app", Organisation: "acme", Subject: "user_7", Plan: "gold", Scopes: []string{"meetings:read"}}
	if diff := cmp.Diff(want, p, cmpopts.IgnoreFields(strikeplate.Principal{}, "Credential", "Lineage", "Expires")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	invalid(t, j, s.token(t, claims{"https://example.com/tenant": "evil"}), "does not speak for")
	e := refused(t, j, bearer(s.token(t, claims{"fail": true})), 503, strikeplate.CodeUnavailable)
	if !errors.Is(e, refuse) {
		t.Errorf("the cause is %v", e.Err)
	}
}

func TestJWTStandingIsThatOfKeys(t *testing.T) {
	s, store := newServer(t), newStore(t)
	user := storage.User{ID: s.URL + "|ada", Organisation: "acme", Active: true}
	putUser(t, store, user)
	r := newResource(t, func(c *oauth.ResourceConfig) { c.InsecureNoDirectory, c.Directory, c.Feed = false, store, store })
	waitUntil(t, "the feed is fresh", func() bool { return r.Stats().Fresh })
	j := newJWT(t, r, s.issuer())
	token := s.token(t, nil)
	letIn(t, j, bearer(token))

	user.Active = false
	putUser(t, store, user)
	if e := refused(t, j, bearer(token), 401, strikeplate.CodeInactive); !strings.Contains(e.Challenge[0], `error="invalid_token"`) {
		t.Errorf("challenge %q", e.Challenge)
	}
	user.Active = true
	putUser(t, store, user)
	putAccount(t, store, storage.Account{Organisation: "acme", Lapsed: true})
	if e := refused(t, j, bearer(token), 402, strikeplate.CodeLapsed); e.Principal == nil || e.Principal.Organisation != "acme" {
		t.Errorf("the refusal's Principal is %+v", e.Principal)
	}
	putAccount(t, store, storage.Account{Organisation: "acme", Plan: "team"})
	if p := letIn(t, j, bearer(token)); p.Plan != "team" {
		t.Errorf("plan %q", p.Plan)
	}
	refused(t, j, bearer(s.token(t, claims{"sub": "stranger"})), 401, strikeplate.CodeInactive)
}

func TestJWTRevoked(t *testing.T) {
	s := newServer(t)
	i := s.issuer()
	var revoked atomic.Bool
	var asked atomic.Int64
	i.Revoked = func(_ context.Context, c oauth.Claims) (bool, error) {
		asked.Add(1)
		return revoked.Load() && c.Subject == "ada", nil
	}
	j := newJWT(t, newResource(t, nil), i)
	ada, eve := s.token(t, nil), s.token(t, claims{"sub": "eve"})
	for range 3 {
		letIn(t, j, bearer(ada))
		letIn(t, j, bearer(eve))
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times about two tokens", n)
	}
	revoked.Store(true)
	letIn(t, j, bearer(ada)) // nobody said anything
	j.Invalidate(s.URL, "ada")
	invalid(t, j, ada, "revoked")
	letIn(t, j, bearer(eve))
}

// A revocation that comes while a token is being examined is not overwritten by
// what was found out before it.
func TestJWTRevokedWhileExamined(t *testing.T) {
	s := newServer(t)
	i := s.issuer()
	var revoked atomic.Bool
	var j *oauth.JWT
	i.Revoked = func(context.Context, oauth.Claims) (bool, error) {
		before := revoked.Load()
		revoked.Store(true)
		j.Invalidate(s.URL, "ada")
		return before, nil
	}
	j = newJWT(t, newResource(t, nil), i)
	token := s.token(t, nil)
	letIn(t, j, bearer(token)) // it began before the revocation
	invalid(t, j, token, "revoked")
}

func TestJWTVerify(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, nil), s.issuer())
	p, err := j.Verify(t.Context(), s.token(t, nil), nil)
	if err != nil || p.Organisation != "acme" {
		t.Errorf("%+v, %v", p, err)
	}
	for text, code := range map[string]string{"": strikeplate.CodeMissing, "x": oauth.CodeToken, s.token(t, claims{"exp": 1}): oauth.CodeToken} {
		if _, err := j.Verify(t.Context(), text, nil); refusal(t, err).Code != code {
			t.Errorf("%.10q: %v", text, err)
		}
	}
}

// 64 goroutines present the same new tokens; each gets its own token's Principal.
func TestJWTConcurrently(t *testing.T) {
	s := newServer(t)
	r := newResource(t, nil)
	j := newJWT(t, r, s.issuer())
	var tokens []string
	for _, sub := range []string{"a", "b", "c", "d"} {
		tokens = append(tokens, s.token(t, claims{"sub": sub}))
	}
	start := make(chan struct{})
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() {
			<-start
			for i := range 50 {
				k := (n + i) % len(tokens)
				p, err := j.Authenticate(bearer(tokens[k]))
				if err != nil || p.Subject != s.URL+"|"+string("abcd"[k]) {
					t.Errorf("%+v, %v", p, err)
					return
				}
			}
		})
	}
	close(start)
	all.Wait()
	if n := r.Stats().Remembered; n != len(tokens) {
		t.Errorf("%d tokens remembered", n)
	}
}

func TestNewJWTRefusesBadConfigurations(t *testing.T) {
	r := newResource(t, nil)
	good := oauth.Issuer{URL: "https://login.example.com", Trust: oauth.Trust{Organisations: []string{"acme"}}}
	with := func(change func(*oauth.Issuer)) []oauth.Issuer {
		i := good
		change(&i)
		return []oauth.Issuer{i}
	}
	for name, c := range map[string]oauth.JWTConfig{
		"no resource":     {Issuers: []oauth.Issuer{good}},
		"no issuer":       {Resource: r},
		"twice":           {Resource: r, Issuers: []oauth.Issuer{good, good}},
		"much skew":       {Resource: r, Issuers: []oauth.Issuer{good}, Skew: time.Hour},
		"http":            {Resource: r, Issuers: with(func(i *oauth.Issuer) { i.URL = "http://login.example.com"; i.InsecureHTTP = true })},
		"loopback http":   {Resource: r, Issuers: with(func(i *oauth.Issuer) { i.URL = "http://127.0.0.1" })},
		"a bar":           {Resource: r, Issuers: with(func(i *oauth.Issuer) { i.URL = "https://login.example.com/a|b" })},
		"no organisation": {Resource: r, Issuers: with(func(i *oauth.Issuer) { i.Trust = oauth.Trust{} })},
		"alg none":        {Resource: r, Issuers: with(func(i *oauth.Issuer) { i.Algorithms = []string{"none"} })},
		"alg HS256":       {Resource: r, Issuers: with(func(i *oauth.Issuer) { i.Algorithms = []string{"RS256", "HS256"} })},
		"bad keys":        {Resource: r, Issuers: with(func(i *oauth.Issuer) { i.Keys = []byte(`{"keys":[]}`) })},
		"keys twice":      {Resource: r, Issuers: with(func(i *oauth.Issuer) { i.Keys = []byte(`{}`); i.KeysURL = "https://x.example/" })},
		"keys by http":    {Resource: r, Issuers: with(func(i *oauth.Issuer) { i.KeysURL = "http://x.example/" })},
		"machine as user": {Resource: r, Issuers: with(func(i *oauth.Issuer) { i.Trust.Machines = strikeplate.UserFull })},
		"a long timeout":  {Resource: r, Issuers: []oauth.Issuer{good}, Fetch: oauth.Fetch{Timeout: time.Hour}},
	} {
		if j, err := oauth.NewJWT(c); err == nil || j != nil || !strings.HasPrefix(err.Error(), "oauth: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
