package oauth_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// grants is the part of a store that validation reads. Its changes reach the feed
// of the memory store whose accounts and users it goes with.
type grants struct {
	storage.Grants // nil: anything but Presented panics
	mu             sync.Mutex
	tokens         map[[32]byte]storage.Presented
	sinks          []storage.Sink
	asked          atomic.Int64
	down           atomic.Bool
	during         func() // called while a read is under way
	store          *memory.Store
}

var errDown = errors.New("the store is down")

func (g *grants) Presented(_ context.Context, hash [32]byte) (storage.Presented, error) {
	g.asked.Add(1)
	if g.down.Load() {
		return storage.Presented{}, errDown
	}
	g.mu.Lock()
	p, ok := g.tokens[hash]
	g.mu.Unlock()
	if g.during != nil {
		g.during()
	}
	if !ok {
		return storage.Presented{}, storage.ErrNotFound
	}
	return p, nil
}

// Watch joins the store's feed.
func (g *grants) Watch(ctx context.Context, s storage.Sink) error {
	g.mu.Lock()
	g.sinks = append(g.sinks, s)
	g.mu.Unlock()
	return g.store.Watch(ctx, s)
}

// change alters a token's record, and tells the feed.
func (g *grants) change(token string, f func(*storage.Presented)) {
	g.mu.Lock()
	hash := sha256.Sum256([]byte(token))
	p := g.tokens[hash]
	before := p
	f(&p)
	g.tokens[hash] = p
	sinks := g.sinks
	g.mu.Unlock()
	for _, s := range sinks {
		if before.Blocked != p.Blocked || !cmp.Equal(before.App, p.App) {
			s.Changed(storage.AppChanged, p.Grant.Organisation, p.App.ClientID, 2)
		} else {
			s.Changed(storage.GrantChanged, p.Grant.Organisation, p.Grant.ID, 2)
		}
	}
}

// issue stores a token that ada let the app have.
func (g *grants) issue(t testing.TB, change func(*storage.Presented)) string {
	t.Helper()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	token := "mvo_at_" + base64.RawURLEncoding.EncodeToString(secret)
	all := []string{"meetings:read", "meetings:write", "notes:read"}
	p := storage.Presented{
		Token: storage.Token{Kind: storage.AccessToken, Grant: "grant_1", Scopes: all[:2], Expires: time.Now().Add(time.Hour)},
		Grant: storage.Grant{ID: "grant_1", ClientID: "app_1", Organisation: "acme", Subject: "ada", Scopes: all, Expires: time.Now().Add(24 * time.Hour)},
		App:   storage.App{ClientID: "app_1", Scopes: all},
	}
	if change != nil {
		change(&p)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens[sha256.Sum256([]byte(token))] = p
	return token
}

func newOpaque(t testing.TB, change func(*oauth.ResourceConfig)) (*oauth.Opaque, *grants, *oauth.Resource) {
	t.Helper()
	store := newStore(t)
	putUser(t, store, storage.User{ID: "ada", Organisation: "acme", Active: true})
	g := &grants{tokens: make(map[[32]byte]storage.Presented), store: store}
	r := newResource(t, func(c *oauth.ResourceConfig) {
		c.InsecureNoDirectory, c.Directory, c.Feed = false, store, g
		if change != nil {
			change(c)
		}
	})
	if change == nil {
		waitUntil(t, "the feed is fresh", func() bool { return r.Stats().Fresh })
	}
	o, err := oauth.NewOpaque(oauth.OpaqueConfig{Resource: r, Grants: g, Prefix: "mvo_"})
	if err != nil {
		t.Fatal(err)
	}
	return o, g, r
}

// SENTENCES 000-25.
func TestOpaqueMakesAPrincipal(t *testing.T) {
	catalog, err := scope.NewCatalog(scope.Entry{Scope: "meetings:read", Description: "Read"}, scope.Entry{Scope: "notes:read", Description: "Read"})
	if err != nil {
		t.Fatal(err)
	}
	o, g, r := newOpaque(t, func(c *oauth.ResourceConfig) { c.Catalog = catalog })
	expires := time.Now().Add(time.Hour)
	token := g.issue(t, func(p *storage.Presented) { p.Token.Expires = expires })
	want := &strikeplate.Principal{
		Kind: strikeplate.KindToken, Environment: strikeplate.Live, Access: strikeplate.UserFull, Expires: expires,
		Lineage: "grant_1", ClientID: "app_1", Organisation: "acme", Subject: "ada", Plan: "pro",
		Scopes: []string{"meetings:read"}, Settings: map[string]any{"region": "eu"},
	}
	p := letIn(t, o, bearer(token))
	if diff := cmp.Diff(want, p, cmpopts.IgnoreFields(strikeplate.Principal{}, "Credential")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if strings.Contains(token, p.Credential) || p.Credential == "" {
		t.Errorf("credential %q", p.Credential)
	}
	if err := r.Ready(t.Context()); err != nil {
		waitUntil(t, "the feed is fresh", func() bool { return r.Ready(t.Context()) == nil })
	}
}

func TestOpaqueNarrows(t *testing.T) {
	o, g, _ := newOpaque(t, nil)
	token := g.issue(t, nil)
	scopes := func() string { return strings.Join(letIn(t, o, bearer(token)).Scopes, " ") }
	if s := scopes(); s != "meetings:read meetings:write" {
		t.Errorf("scopes %q", s)
	}
	g.change(token, func(p *storage.Presented) { p.App.Scopes = []string{"meetings:write"} })
	if s := scopes(); s != "meetings:write" {
		t.Errorf("after the app lost one: %q", s)
	}
	putUser(t, g.store, storage.User{ID: "ada", Organisation: "acme", Active: true, Scopes: []string{"notes:read"}})
	if s := scopes(); s != "" {
		t.Errorf("after the user lost both: %q", s)
	}
}

func TestOpaqueRefusals(t *testing.T) {
	o, g, _ := newOpaque(t, nil)
	now := time.Now()
	for name, c := range map[string]struct {
		change func(*storage.Presented)
		why    string
	}{
		"expired":            {func(p *storage.Presented) { p.Token.Expires = now }, "expired"},
		"the grant ended":    {func(p *storage.Presented) { p.Grant.Expires = now }, "expired"},
		"revoked":            {func(p *storage.Presented) { p.Grant.Revoked = now }, "revoked"},
		"the app is":         {func(p *storage.Presented) { p.App.Revoked = now }, "revoked"},
		"blocked":            {func(p *storage.Presented) { p.Blocked = true }, "revoked"},
		"a refresh token":    {func(p *storage.Presented) { p.Token.Kind = storage.RefreshToken }, "refresh token"},
		"another audience":   {func(p *storage.Presented) { p.Token.Resources = []string{"https://other.example.com"} }, "audience"},
		"an app for itself":  {func(p *storage.Presented) { p.Grant.Subject = "" }, "without a user"},
		"bound to a key":     {func(p *storage.Presented) { p.Token.Thumbprint = thumbprint(t, ecKey.Public()) }, "DPoP"},
		"bound to a machine": {func(p *storage.Presented) { p.Token.Certificate = thumbprint(t, ecKey.Public()) }, "certificate"},
	} {
		t.Run(name, func(t *testing.T) { invalid(t, o, g.issue(t, c.change), c.why) })
	}
	letIn(t, o, bearer(g.issue(t, func(p *storage.Presented) { p.Token.Resources = []string{"https://other.example.com", api} })))
	asked := g.asked.Load()
	good := g.issue(t, nil)
	for _, text := range []string{good[:40], good + "A", good[:len(good)-1] + "B", "mvo_at_", strings.Replace(good, "mvo_at_", "mvo_at__", 1)} {
		invalid(t, o, text, "incomplete")
	}
	if n := g.asked.Load(); n != asked {
		t.Errorf("the store was asked %d times about what can't be a token", n-asked)
	}
	invalid(t, o, "mvo_at_"+strings.Repeat("A", 43), "unknown")
	for _, text := range []string{"mvo_live_x", "eyJ.eyJ.AA", "mvo_rt_" + strings.Repeat("A", 43)} {
		if e := refused(t, o, bearer(text), 401, oauth.CodeToken); !errors.Is(e, strikeplate.ErrNotMine) {
			t.Errorf("%q isn't left to others", text)
		}
	}
}

// A token is asked about once, until something of it changes: then the next request
// knows.
func TestOpaqueIsRememberedUntilItChanges(t *testing.T) {
	o, g, _ := newOpaque(t, nil)
	token := g.issue(t, nil)
	asked := func(want int64) {
		t.Helper()
		if n := g.asked.Swap(0); n != want {
			t.Errorf("asked %d times, want %d", n, want)
		}
	}
	for range 10 {
		letIn(t, o, bearer(token))
	}
	asked(1)
	for name, f := range map[string]func(p *storage.Presented){
		"grant": func(p *storage.Presented) { p.Grant.Revoked = time.Now() },
		"block": func(p *storage.Presented) { p.Blocked = true },
		"app":   func(p *storage.Presented) { p.App.Revoked = time.Now() },
	} {
		var good storage.Presented
		g.change(token, func(p *storage.Presented) { good = *p; f(p) })
		invalid(t, o, token, "revoked")
		g.change(token, func(p *storage.Presented) { *p = good })
		if letIn(t, o, bearer(token)); name == "" {
			t.Error("unnamed")
		}
	}
}

// THREATS 9, for grants: what was read before a revocation is not remembered after
// it, also when the revocation comes while the read is under way.
func TestOpaqueRevokedWhileRead(t *testing.T) {
	for range 10 {
		o, g, _ := newOpaque(t, nil)
		token := g.issue(t, nil)
		var once sync.Once
		g.during = func() {
			once.Do(func() { g.change(token, func(p *storage.Presented) { p.Grant.Revoked = time.Now() }) })
		}
		letIn(t, o, bearer(token)) // the read began before
		invalid(t, o, token, "revoked")
	}
}

// While the feed isn't healthy, or there is none, every request asks; a store that
// can't be asked is 503.
func TestOpaqueWithoutFeedAsksEachTime(t *testing.T) {
	o, g, _ := newOpaque(t, func(c *oauth.ResourceConfig) { c.Feed = nil })
	token := g.issue(t, nil)
	for range 5 {
		letIn(t, o, bearer(token))
	}
	if n := g.asked.Load(); n != 5 {
		t.Errorf("asked %d times", n)
	}
	g.down.Store(true)
	if e := refused(t, o, bearer(token), 503, strikeplate.CodeUnavailable); !errors.Is(e, errDown) {
		t.Errorf("the cause is %v", e.Err)
	}
}

// 64 goroutines with one new token cause one question.
func TestOpaqueAsksOnceForAll(t *testing.T) {
	o, g, _ := newOpaque(t, nil)
	for range 20 {
		token := g.issue(t, nil)
		g.asked.Store(0)
		arrived := make(chan struct{}, 64)
		g.during = func() {
			for len(arrived) < 32 { // half of them came while this one is under way
				runtime.Gosched()
			}
		}
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				arrived <- struct{}{}
				letIn(t, o, bearer(token))
			})
		}
		all.Wait()
		if n := g.asked.Load(); n > 1 {
			t.Fatalf("asked %d times", n)
		}
	}
}

// Keys and tokens stand side by side under one prefix.
func TestOpaqueBesideKeys(t *testing.T) {
	o, g, _ := newOpaque(t, nil)
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "mvo_", Environments: []strikeplate.Environment{strikeplate.Live}}},
		TagKeys: [][]byte{[]byte(strings.Repeat("k", 32))}, Hashing: keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: g.store, Directory: g.store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close(context.Background()) })
	m, err := scheme.Mint(t.Context(), "mvo_", strikeplate.Live)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.store.Commit(t.Context(), storage.Mutation{Now: time.Now(), Put: []storage.Key{{ID: "key_1", Lineage: "key_1", Lookup: m.Lookup,
		Organisation: "acme", Format: m.Format, Environment: m.Environment, Access: strikeplate.OrganisationFull, Hash: m.Hash, SecretVersion: 1,
		Created: time.Now()}}, Audit: []storage.Entry{{Organisation: "acme", Action: "key.created", Target: "key_1", At: time.Now()}}}); err != nil {
		t.Fatal(err)
	}
	handler := strikeplate.Require(o, keys)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := strikeplate.FromContext(r.Context())
		w.Header().Set("Kind", string(p.Kind))
	}))
	for text, want := range map[string]string{g.issue(t, nil): "token", m.Secret.Reveal(): "key", "mvo_at_x": "", "mvo_live_x": ""} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, bearer(text))
		if got := w.Result().Header.Get("Kind"); got != want || (want == "") != (w.Code == 401) {
			t.Errorf("%.12q: %d %q", text, w.Code, got)
		}
	}
}

// THREATS 27: JWTs of the own server are checked against the grant's state.
func TestThreat27OwnJWTEndsWithItsGrant(t *testing.T) {
	store := newStore(t)
	putUser(t, store, storage.User{ID: "ada", Organisation: "acme", Active: true})
	g := &grants{tokens: make(map[[32]byte]storage.Presented), store: store}
	r := newResource(t, func(c *oauth.ResourceConfig) { c.InsecureNoDirectory, c.Directory, c.Feed = false, store, g })
	waitUntil(t, "the feed is fresh", func() bool { return r.Stats().Fresh })
	s := newServer(t)
	i := oauth.Issuer{URL: s.URL, InsecureHTTP: true, Grants: g}
	j := newJWT(t, r, i)
	known := g.issue(t, nil) // the record of a JWT is found by the hash that is its jti
	token := s.token(t, claims{"jti": hashOf(known)})
	invalid(t, j, s.token(t, claims{"jti": hashOf("unknown")}), "unknown")
	invalid(t, j, s.token(t, nil), "its record")
	invalid(t, j, s.token(t, claims{"jti": hashOf(known), "cnf": claims{"jkt": thumbprint(t, ecKey.Public())}}), "its record")
	if p := letIn(t, j, bearer(token)); p.Lineage != "grant_1" || p.Subject != "ada" {
		t.Errorf("%+v", p)
	}
	g.change(known, func(p *storage.Presented) { p.Grant.Revoked = time.Now() })
	invalid(t, j, token, "revoked")
}

func TestNewOpaqueRefusesBadConfigurations(t *testing.T) {
	r := newResource(t, nil)
	for name, c := range map[string]oauth.OpaqueConfig{
		"no resource":  {Grants: &grants{}, Prefix: "a_"},
		"no grants":    {Resource: r, Prefix: "a_"},
		"no prefix":    {Resource: r, Grants: &grants{}},
		"a bad prefix": {Resource: r, Grants: &grants{}, Prefix: "a b"},
		"a bad level":  {Resource: r, Grants: &grants{}, Prefix: "a_", Machines: strikeplate.UserFull},
	} {
		if _, err := oauth.NewOpaque(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
