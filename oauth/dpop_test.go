package oauth_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth"
)

func newDPoP(t testing.TB, change func(*oauth.DPoPConfig)) *oauth.DPoP {
	t.Helper()
	c := oauth.DPoPConfig{URL: "https://api.example.com"}
	if change != nil {
		change(&c)
	}
	d, err := oauth.NewDPoP(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func thumbprint(t testing.TB, public any) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// prove makes a proof by ecKey for a GET of the meetings with a token.
func prove(t testing.TB, token string, h header, change claims) string {
	t.Helper()
	c := claims{"jti": rand.Text(), "htm": "GET", "htu": api + "/meetings", "iat": time.Now().Unix(), "ath": hashOf(token)}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	all := header{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: ecKey.Public()}}
	maps.Copy(all, h)
	return sign(t, "ES256", ecKey, all, c)
}

func dpop(token, proof string) *http.Request {
	r := bearer(token)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	return r
}

// dpopService accepts tokens of s, bound or not.
func dpopService(t testing.TB, s *server, change func(*oauth.DPoPConfig)) (*oauth.JWT, string) {
	t.Helper()
	d := newDPoP(t, change)
	j := newJWT(t, newResource(t, func(c *oauth.ResourceConfig) { c.DPoP = d }), s.issuer())
	return j, s.token(t, claims{"cnf": claims{"jkt": thumbprint(t, ecKey.Public())}})
}

func TestDPoP(t *testing.T) {
	s := newServer(t)
	j, token := dpopService(t, s, nil)
	p := letIn(t, j, dpop(token, prove(t, token, nil, nil)))
	if p.Subject != s.URL+"|ada" {
		t.Errorf("%+v", p)
	}
	letIn(t, j, bearer(s.token(t, nil))) // unbound tokens are bearer tokens

	unproven := func(r *http.Request, part string) {
		t.Helper()
		e := refused(t, j, r, 401, oauth.CodeProof)
		if !strings.Contains(e.Message, part) {
			t.Errorf("refused because %q, want %q", e.Message, part)
		}
		if c := e.Challenge[len(e.Challenge)-1]; !strings.HasPrefix(c, `DPoP realm="api", error="invalid_dpop_proof"`) || !strings.Contains(c, `algs="ES256 EdDSA Ed25519 RS256"`) {
			t.Errorf("challenge %q", c)
		}
	}
	r := dpop(token, "")
	r.Header.Del("DPoP")
	unproven(r, "no proof")
	r = dpop(token, prove(t, token, nil, nil))
	r.Header.Add("DPoP", prove(t, token, nil, nil))
	unproven(r, "more than one")
	for _, c := range []struct {
		name   string
		header header
		claims claims
		why    string
	}{
		{"another method", nil, claims{"htm": "POST"}, "htm"},
		{"a method in small letters", nil, claims{"htm": "get"}, "htm"},
		{"another path", nil, claims{"htu": api + "/other"}, "htu"},
		{"another host", nil, claims{"htu": "https://evil.example.com/v1/meetings"}, "htu"},
		{"another scheme", nil, claims{"htu": "http://api.example.com/v1/meetings"}, "htu"},
		{"another port", nil, claims{"htu": "https://api.example.com:8443/v1/meetings"}, "htu"},
		{"a slash too many", nil, claims{"htu": api + "/meetings/"}, "htu"},
		{"an escaped slash", nil, claims{"htu": api + "%2Fmeetings"}, "htu"},
		{"old", nil, claims{"iat": time.Now().Add(-2 * time.Minute).Unix()}, "iat"},
		{"from the future", nil, claims{"iat": time.Now().Add(2 * time.Minute).Unix()}, "iat"},
		{"without iat", nil, claims{"iat": nil}, "needs"},
		{"without jti", nil, claims{"jti": nil}, "needs"},
		{"a long jti", nil, claims{"jti": strings.Repeat("a", 300)}, "needs"},
		{"another token's", nil, claims{"ath": hashOf("other")}, "ath"},
		{"without ath", nil, claims{"ath": nil}, "ath"},
		{"no dpop+jwt", header{"typ": "JWT"}, nil, "typ"},
		{"with crit", header{"crit": []string{"x"}}, nil, "well-formed"},
		{"without a key", header{"jwk": nil}, nil, "jwk"},
		{"a private key", header{"jwk": jose.JSONWebKey{Key: ecKey}}, nil, "jwk"},
		{"another's key", header{"jwk": jose.JSONWebKey{Key: edKey.Public()}}, nil, "jwk"},
		{"a symmetric key", header{"jwk": jose.JSONWebKey{Key: []byte("secret")}}, nil, "jwk"},
	} {
		t.Run(c.name, func(t *testing.T) { unproven(dpop(token, prove(t, token, c.header, c.claims)), c.why) })
	}
	for name, text := range map[string]string{"no JWT": "x", "long": "eyJ" + strings.Repeat("a", 10_000) + "..", "cut": prove(t, token, nil, nil)[:100]} {
		t.Run(name, func(t *testing.T) { unproven(dpop(token, text), "JWT") })
	}
	other := sign(t, "EdDSA", edKey, header{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: edKey.Public()}},
		claims{"jti": "1", "htm": "GET", "htu": api + "/meetings", "iat": time.Now().Unix(), "ath": hashOf(token)})
	unproven(dpop(token, other), "not by the key")
	letIn(t, j, dpop(token, prove(t, token, nil, claims{"htu": "HTTPS://API.example.com:443/v1/meeting%73?x=1#y"}))) // RFC 3986 6.2
}

// THREATS 27 and RFC 9449 7.2: the downgrade from DPoP to Bearer, and the reverse.
func TestThreat27BoundTokenIsNoBearerToken(t *testing.T) {
	s := newServer(t)
	j, token := dpopService(t, s, nil)
	invalid(t, j, token, "bound to a DPoP key") // first without a look at it
	letIn(t, j, dpop(token, prove(t, token, nil, nil)))
	invalid(t, j, token, "bound to a DPoP key") // and when it is remembered
	r := bearer(token)
	r.Header.Set("DPoP", prove(t, token, nil, nil))
	refused(t, j, r, 401, oauth.CodeToken)
	unbound := s.token(t, nil)
	refused(t, j, dpop(unbound, prove(t, unbound, nil, nil)), 401, oauth.CodeToken)
	if _, err := j.Verify(t.Context(), token, nil); refusal(t, err).Code != oauth.CodeToken {
		t.Errorf("Verify: %v", err)
	}
	// An API that knows no DPoP can't check the binding.
	plain := newJWT(t, newResource(t, nil), s.issuer())
	invalid(t, plain, token, "bound to a DPoP key")
	if e := refused(t, plain, dpop(token, prove(t, token, nil, nil)), 401, oauth.CodeToken); !errors.Is(e, strikeplate.ErrNotMine) {
		t.Error("an unknown scheme isn't left to others")
	}
}

func TestRequireBound(t *testing.T) {
	s := newServer(t)
	d := newDPoP(t, nil)
	j := newJWT(t, newResource(t, func(c *oauth.ResourceConfig) { c.DPoP, c.RequireBound = d, true }), s.issuer())
	e := refused(t, j, bearer(s.token(t, nil)), 401, oauth.CodeToken)
	if len(e.Challenge) != 1 || !strings.HasPrefix(e.Challenge[0], `DPoP realm="api", error="invalid_token"`) {
		t.Errorf("challenge %q", e.Challenge)
	}
	token := s.token(t, claims{"cnf": claims{"jkt": thumbprint(t, ecKey.Public())}})
	letIn(t, j, dpop(token, prove(t, token, nil, nil)))
}

// THREATS 27: of 64 that use one proof at the same time, one is let in.
func TestThreat27ProofCountsOnce(t *testing.T) {
	s := newServer(t)
	j, token := dpopService(t, s, nil)
	for range 20 {
		proof := prove(t, token, nil, nil)
		start := make(chan struct{})
		var in atomic.Int64
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				<-start
				if _, err := j.Authenticate(dpop(token, proof)); err == nil {
					in.Add(1)
				}
			})
		}
		close(start)
		all.Wait()
		if in.Load() != 1 {
			t.Fatalf("%d of 64 were let in with one proof", in.Load())
		}
	}
}

// Proofs are told apart by their key: one client can't use up another's ids.
func TestReplaysAreScopedByKey(t *testing.T) {
	s := newServer(t)
	j, token := dpopService(t, s, nil)
	bound := s.token(t, claims{"cnf": claims{"jkt": thumbprint(t, edKey.Public())}})
	theirs := sign(t, "EdDSA", edKey, header{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: edKey.Public()}},
		claims{"jti": "same", "htm": "GET", "htu": api + "/meetings", "iat": time.Now().Unix(), "ath": hashOf(bound)})
	letIn(t, j, dpop(bound, theirs))
	letIn(t, j, dpop(token, prove(t, token, nil, claims{"jti": "same"})))
	refused(t, j, dpop(token, prove(t, token, nil, claims{"jti": "same"})), 401, oauth.CodeProof)
}

// shared is what a fleet's instances share.
type shared struct {
	mu   sync.Mutex
	used map[string]time.Time
	err  error
}

func (s *shared) Use(_ context.Context, thumbprint, id string, until time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false, s.err
	}
	_, used := s.used[thumbprint+id]
	s.used[thumbprint+id] = until
	return !used, nil
}

// THREATS 27: the store of used proofs is the fleet's; if it can't be asked, that is
// nothing against the token.
func TestThreat27FleetSharesReplays(t *testing.T) {
	s := newServer(t)
	replays := &shared{used: make(map[string]time.Time)}
	one, token := dpopService(t, s, func(c *oauth.DPoPConfig) { c.Replays = replays })
	two, _ := dpopService(t, s, func(c *oauth.DPoPConfig) { c.Replays = replays })
	proof := prove(t, token, nil, nil)
	letIn(t, one, dpop(token, proof))
	refused(t, two, dpop(token, proof), 401, oauth.CodeProof)
	replays.err = errors.New("down")
	refused(t, two, dpop(token, prove(t, token, nil, nil)), 503, strikeplate.CodeUnavailable)
}

func TestThreat27StoredReplays(t *testing.T) {
	s, store := newServer(t), newStore(t)
	replays := oauth.StoredReplays{Grants: store}
	one, token := dpopService(t, s, func(c *oauth.DPoPConfig) { c.Replays = replays })
	two, _ := dpopService(t, s, func(c *oauth.DPoPConfig) { c.Replays = replays })
	proof := prove(t, token, nil, nil)
	letIn(t, one, dpop(token, proof))
	refused(t, two, dpop(token, proof), 401, oauth.CodeProof)
	letIn(t, two, dpop(token, prove(t, token, nil, nil)))
}

// A proof that doesn't count is not noted: neither can strangers fill the memory,
// nor does a mistake use an id up.
func TestOnlyGoodProofsAreNoted(t *testing.T) {
	s := newServer(t)
	replays := &shared{used: make(map[string]time.Time)}
	j, token := dpopService(t, s, func(c *oauth.DPoPConfig) { c.Replays = replays })
	refused(t, j, dpop(token, prove(t, token, nil, claims{"htm": "PUT"})), 401, oauth.CodeProof)
	stranger := sign(t, "EdDSA", edKey, header{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: edKey.Public()}},
		claims{"jti": "1", "htm": "GET", "htu": api + "/meetings", "iat": time.Now().Unix(), "ath": hashOf(token)})
	refused(t, j, dpop(token, stranger), 401, oauth.CodeProof)
	refused(t, j, dpop("eyJ.eyJ.AA", stranger), 401, oauth.CodeToken)
	if len(replays.used) != 0 {
		t.Errorf("noted %v", replays.used)
	}
}

func TestReplayMemoryIsBounded(t *testing.T) {
	m := oauth.NewReplayMemory(time.Hour, 40, 20)
	use := func(key, id string) error {
		_, err := m.Use(t.Context(), key, id, time.Time{})
		return err
	}
	for i := range 10 {
		if err := use("a", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if e := refusal(t, use("a", "more")); e.Status != 429 {
		t.Errorf("one key's own limit: %v", e)
	}
	for i := range 10 {
		if err := use(fmt.Sprint("b", i), "1"); err != nil {
			t.Fatal(err)
		}
	}
	if e := refusal(t, use("c", "1")); e.Status != 503 {
		t.Errorf("everybody's limit: %v", e)
	}
	if first, err := m.Use(t.Context(), "a", "0", time.Time{}); first || err != nil {
		t.Errorf("a full memory forgot: %v, %v", first, err)
	}
}

func TestDPoPNonce(t *testing.T) {
	s := newServer(t)
	now := time.Now()
	j, token := dpopService(t, s, func(c *oauth.DPoPConfig) {
		c.RequireNonce, c.Now, c.Window = true, func() time.Time { return now }, 10*time.Minute
	})
	handler := strikeplate.Require(j)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	call := func(nonce any) *http.Response {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, dpop(token, prove(t, token, nil, claims{"nonce": nonce, "iat": now.Unix()})))
		return w.Result()
	}
	first := call(nil)
	nonce := first.Header.Get("DPoP-Nonce")
	if challenge := strings.Join(first.Header["Www-Authenticate"], "\n"); first.StatusCode != 401 || nonce == "" || !strings.Contains(challenge, `DPoP realm="api", error="use_dpop_nonce"`) {
		t.Fatalf("%d, nonce %q, %s", first.StatusCode, nonce, challenge)
	}
	if r := call(nonce); r.StatusCode != 200 {
		t.Errorf("with the nonce: %d", r.StatusCode)
	}
	for _, wrong := range []string{"", "x", nonce[:len(nonce)-1] + "A" + "A", "B" + nonce[1:], nonce + "AA"} {
		if r := call(wrong); r.StatusCode != 401 || r.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("%q: %d", wrong, r.StatusCode)
		}
	}
	now = now.Add(4 * time.Minute)
	if r := call(nonce); r.StatusCode != 200 {
		t.Errorf("after 4 minutes: %d", r.StatusCode)
	}
	now = now.Add(2 * time.Minute)
	if r := call(nonce); r.StatusCode != 401 || r.Header.Get("DPoP-Nonce") == nonce {
		t.Errorf("after 6 minutes: %d", r.StatusCode)
	}
}

// The instances of a fleet accept each other's nonces, also while the key is
// replaced, and Nonces tells the next one with every response.
func TestDPoPNoncesOfAFleet(t *testing.T) {
	old, young := []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("y", 32))
	one := newDPoP(t, func(c *oauth.DPoPConfig) { c.RequireNonce, c.NonceKeys = true, [][]byte{old} })
	two := newDPoP(t, func(c *oauth.DPoPConfig) { c.RequireNonce, c.NonceKeys = true, [][]byte{young, old} })
	w := httptest.NewRecorder()
	one.Nonces(http.NotFoundHandler()).ServeHTTP(w, dpop("t", "p"))
	nonce := w.Result().Header.Get("DPoP-Nonce")
	r := dpop("t", prove(t, "t", nil, claims{"nonce": nonce}))
	if key, err := two.Check(r, "t"); err != nil || key != thumbprint(t, ecKey.Public()) {
		t.Errorf("%q, %v", key, err)
	}
	var wrong *oauth.ProofError
	if _, err := one.Check(dpop("t", prove(t, "t", nil, nil)), "t"); !errors.As(err, &wrong) || wrong.Code != oauth.CodeNonce || wrong.Nonce == "" {
		t.Errorf("%v", err)
	}
	w = httptest.NewRecorder()
	one.Nonces(http.NotFoundHandler()).ServeHTTP(w, bearer("t"))
	if w.Result().Header.Get("DPoP-Nonce") != "" {
		t.Error("who sends no proofs gets a nonce")
	}
}

// At a token endpoint there is no access token yet, and a proxy may have taken a
// part of the path away.
func TestDPoPCheckAtATokenEndpoint(t *testing.T) {
	d := newDPoP(t, func(c *oauth.DPoPConfig) { c.URL = "https://example.com/auth/" })
	r := httptest.NewRequest(http.MethodPost, "http://10.0.0.1/oauth/token", nil)
	r.Header.Set("DPoP", prove(t, "", nil, claims{"htm": "POST", "htu": "https://example.com/auth/oauth/token", "ath": nil}))
	if key, err := d.Check(r, ""); err != nil || key != thumbprint(t, ecKey.Public()) {
		t.Errorf("%q, %v", key, err)
	}
	var wrong *oauth.ProofError
	if _, err := d.Check(r, ""); !errors.As(err, &wrong) || wrong.Code != oauth.CodeProof {
		t.Errorf("again: %v", err)
	}
}

func TestNewDPoPRefusesBadConfigurations(t *testing.T) {
	for name, c := range map[string]oauth.DPoPConfig{
		"no URL":      {},
		"http":        {URL: "http://api.example.com", InsecureHTTP: true},
		"a query":     {URL: "https://api.example.com/?x"},
		"alg HS256":   {URL: "https://api.example.com", Algorithms: []string{"HS256"}},
		"long window": {URL: "https://api.example.com", Window: time.Hour},
		"short key":   {URL: "https://api.example.com", NonceKeys: [][]byte{[]byte("short")}},
	} {
		if _, err := oauth.NewDPoP(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
