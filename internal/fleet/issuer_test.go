package fleet_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/processtest"
)

// maxStale is how long an issuer's keys count while they can't be fetched, here.
const maxStale = 5 * time.Second

// issuer signs tokens, and publishes its keys behind a line that can be cut.
type issuer struct {
	url  string // through the line
	line *line

	mu      sync.Mutex
	kid     string
	private ed25519.PrivateKey
	broken  bool // it answers 500
	tokens  int
}

func startIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{}
	i.rotate(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		i.answer(w, map[string]any{"issuer": i.url, "jwks_uri": i.url + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		public := i.private.Public().(ed25519.PublicKey)
		key := map[string]any{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": i.kid, "x": base64.RawURLEncoding.EncodeToString(public)}
		i.mu.Unlock()
		i.answer(w, map[string]any{"keys": []any{key}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.line, i.url = newLine(t, "issuer", server.URL)
	return i
}

func (i *issuer) answer(w http.ResponseWriter, v any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.broken {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

func (i *issuer) fail(broken bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken = broken
}

// rotate puts another key in the place of the issuer's only one.
func (i *issuer) rotate(t testing.TB) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kid, i.private = rand.Text(), private
}

// token signs a token that nobody has seen before.
func (i *issuer) token(t testing.TB) string {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tokens++
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	now := time.Now()
	signed := part(map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": i.kid}) + "." + part(map[string]any{
		"iss": i.url, "sub": "bo", "client_id": "app", "aud": "http://127.0.0.1/api", "jti": fmt.Sprint(i.tokens),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.private, []byte(signed)))
}

// forge is a token whose signature is another's.
func (i *issuer) forge(t testing.TB) string {
	t.Helper()
	a, b := i.token(t), i.token(t)
	return a[:strings.LastIndexByte(a, '.')] + b[strings.LastIndexByte(b, '.'):]
}

// present asks a server with a token.
func present(ctx context.Context, p *processtest.Server, token string) answer {
	a := answer{sent: time.Now()}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", p.Port()), nil)
	if err != nil {
		return answer{err: err}
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		a.err = err
		return a
	}
	_ = response.Body.Close()
	a.received, a.status = time.Now(), response.StatusCode
	return a
}

// tokens is what came of requests while the issuer can't be asked.
type tokens struct {
	passed, refused, unavailable int // good ones
	forged, acceptedForged       int
}

// during presents tokens that nobody has seen, and forged ones, for a while.
func (i *issuer) during(t testing.TB, servers []*processtest.Server, d time.Duration) (all tokens) {
	t.Helper()
	for began := time.Now(); time.Since(began) < d; {
		for _, s := range servers {
			switch a := present(t.Context(), s, i.token(t)); a.status {
			case http.StatusOK:
				all.passed++
			case http.StatusUnauthorized:
				all.refused++
			default:
				all.unavailable++
			}
			all.forged++
			if a := present(t.Context(), s, i.forge(t)); a.status == http.StatusOK {
				all.acceptedForged++
			}
		}
		pause(t.Context(), 50*time.Millisecond)
	}
	return all
}

// await presents new tokens until the servers answer as they should, and returns
// when the last question was sent that was answered as before. No other answer may
// come meanwhile.
func (i *issuer) await(t testing.TB, servers []*processtest.Server, before, status int) time.Time {
	t.Helper()
	last := time.Now()
	for _, s := range servers {
		insist(t, "a token answered as it should be", func() error {
			a := present(t.Context(), s, i.token(t))
			switch {
			case a.status == status:
				return nil
			case a.status != before:
				t.Errorf("a token is answered %d (%v), want %d, then %d", a.status, a.err, before, status)
			}
			last = a.sent
			return fmt.Errorf("answered %d", a.status)
		})
	}
	return last
}

// TestIssuerDown: while an issuer's keys can't be fetched, its tokens are checked
// with those that are known, up to MaxStale; then they can't be checked, which is
// no reason to call them false.
func TestIssuerDown(t *testing.T) {
	if !*full {
		t.Skip("only with -full")
	}
	i := startIssuer(t)
	program := compile(t, "resource", ".", "./resource")
	var servers []*processtest.Server
	for range 2 {
		s, err := processtest.Start(processtest.Config{Name: "resource", Ready: ready, Command: func(p *processtest.Server) []string {
			return []string{program, "-addr", fmt.Sprintf("127.0.0.1:%d", p.Port()), "-issuer", i.url, "-stale", maxStale.String()}
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		servers = append(servers, s)
	}
	i.await(t, servers, http.StatusServiceUnavailable, http.StatusOK)

	var all tokens
	add := func(x tokens) {
		all.passed, all.refused, all.unavailable = all.passed+x.passed, all.refused+x.refused, all.unavailable+x.unavailable
		all.forged, all.acceptedForged = all.forged+x.forged, all.acceptedForged+x.acceptedForged
	}
	kinds := []struct {
		name      string
		cut, mend func()
	}{
		{"refuses connections", func() { i.line.proxy.Stop() }, func() {
			if err := i.line.proxy.Start(); err != nil {
				t.Fatal(err)
			}
		}},
		{"resets connections", func() { i.line.reset(t) }, i.line.heal},
		{"answers 500", func() { i.fail(true) }, func() { i.fail(false) }},
		{"says nothing", func() { i.line.hole(t) }, i.line.heal},
	}
	var silent time.Time
	for n, kind := range kinds {
		kind.cut()
		silent = time.Now()
		add(i.during(t, servers, maxStale*2/5))
		if n < len(kinds)-1 {
			kind.mend()
			i.await(t, servers, http.StatusOK, http.StatusOK)
			pause(t.Context(), 1500*time.Millisecond) // the keys are fetched once more
		}
	}
	verdict{all.unavailable == 0 && all.passed > 0, "tokens are checked though their issuer is down",
		fmt.Sprintf("%d passed, %d could not be checked", all.passed, all.unavailable)}.judge(t)

	// Nothing is said for longer than the keys count, for tokens that are remembered
	// neither.
	remembered := i.token(t)
	if a := present(t.Context(), servers[0], remembered); a.status != http.StatusOK {
		t.Errorf("a token, while the keys still count: %d", a.status)
	}
	late := i.await(t, servers, http.StatusOK, http.StatusServiceUnavailable).Sub(silent)
	verdict{late <= maxStale, "keys count no longer than MaxStale while they can't be fetched",
		fmt.Sprintf("the latest token passed %v after the issuer fell silent (bound %v)", late.Round(time.Millisecond), maxStale)}.judge(t)
	if a := present(t.Context(), servers[0], remembered); a.status != http.StatusServiceUnavailable {
		t.Errorf("a token that was seen before, after the keys were too old: %d", a.status)
	}
	over := i.during(t, servers[:1], 2*time.Second)
	if over.passed > 0 {
		t.Errorf("%d tokens passed after the keys were too old", over.passed)
	}
	add(over)

	// It comes back with another key.
	old := i.token(t)
	i.rotate(t)
	mended := time.Now()
	kinds[len(kinds)-1].mend()
	i.await(t, servers, http.StatusServiceUnavailable, http.StatusOK)
	back := time.Since(mended)
	for _, s := range servers {
		if a := present(t.Context(), s, old); a.status != http.StatusUnauthorized {
			t.Errorf("a token of the key that is gone: %d", a.status)
		}
	}
	verdict{all.refused == 0, "good tokens are never answered 401", fmt.Sprintf("%d of %d; with the issuer's next key they pass after %v",
		all.refused, all.passed+all.refused+all.unavailable, back.Round(10*time.Millisecond))}.judge(t)
	verdict{all.acceptedForged == 0 && all.forged > 0, "forged tokens never pass", fmt.Sprintf("%d of %d", all.acceptedForged, all.forged)}.judge(t)
}
