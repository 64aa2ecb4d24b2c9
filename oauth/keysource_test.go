package oauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth"
)

const login = "https://login.example.com"

// network answers requests without a network, so that a bubble's clock runs.
type network struct {
	mu      sync.Mutex
	answers map[string]func(context.Context) (int, string, error)
	calls   []string
	at      []time.Time
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.calls, n.at = append(n.calls, r.URL.String()), append(n.at, time.Now())
	f := n.answers[r.URL.String()]
	n.mu.Unlock()
	if f == nil {
		f = func(context.Context) (int, string, error) { return http.StatusNotFound, "", nil }
	}
	status, body, err := f(r.Context())
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{"Location": {"https://evil.example.com/"}}, Request: r}, nil
}

func (n *network) answer(url string, f func(context.Context) (int, string, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answers == nil {
		n.answers = make(map[string]func(context.Context) (int, string, error))
	}
	n.answers[url] = f
}

func (n *network) say(url, body string) {
	n.answer(url, func(context.Context) (int, string, error) { return http.StatusOK, body, nil })
}

func (n *network) fail(url string) {
	n.answer(url, func(context.Context) (int, string, error) { return 0, "", errors.New("connection refused") })
}

func (n *network) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.calls)
}

const keysURL = login + "/jwks"

func keySet(t testing.TB, keys ...jose.JSONWebKey) string {
	return marshal(t, jose.JSONWebKeySet{Keys: keys})
}

var (
	firstKey = jose.JSONWebKey{Key: edKey.Public(), KeyID: "first"}
	nextKey  = jose.JSONWebKey{Key: otherEd.Public(), KeyID: "next"}
)

// bubble runs f in a bubble with an authenticator that fetches keys from n.
func bubble(t *testing.T, fetch oauth.Fetch, f func(t *testing.T, n *network, r *oauth.Resource, j *oauth.JWT)) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		n.say(keysURL, keySet(t, firstKey))
		fetch.Client = &http.Client{Transport: n}
		r := newResource(t, nil)
		j, err := oauth.NewJWT(oauth.JWTConfig{Resource: r, Fetch: fetch,
			Issuers: []oauth.Issuer{{URL: login, KeysURL: keysURL, Trust: oauth.Trust{Organisations: []string{"acme"}}}}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f(t, n, r, j)
	})
}

func loginToken(t testing.TB, kid string, change claims) string {
	t.Helper()
	s := &server{Server: &httptest.Server{URL: login}}
	key := edKey
	if kid == "next" {
		key = otherEd
	}
	c := s.claims(change)
	return signRaw(key, fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"at+jwt"}`, kid), marshal(t, c))
}

// go-oidc fetches the keys once for each bad signature.
func TestTrapFetchPerBadSignature(t *testing.T) {
	bubble(t, oauth.Fetch{}, func(t *testing.T, n *network, _ *oauth.Resource, j *oauth.JWT) {
		for range 100 {
			good := loginToken(t, "first", nil)
			time.Sleep(2 * time.Second) // of the bubble's clock
			invalid(t, j, good[:len(good)-4]+"AAAA", "signature")
		}
		if c := n.count(); c != 1 {
			t.Errorf("%d fetches for 100 bad signatures", c)
		}
	})
}

// Strangers can make a fetch a second, and no more.
func TestKeysAreFetchedOnceASecond(t *testing.T) {
	bubble(t, oauth.Fetch{}, func(t *testing.T, n *network, r *oauth.Resource, j *oauth.JWT) {
		began := time.Now()
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				for k := range 20 {
					if _, err := j.Authenticate(bearer(loginToken(t, fmt.Sprintf("made-up-%d-%d", i, k), nil))); refusal(t, err).Status != 401 {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		seconds := int(time.Since(began).Seconds())
		if c := n.count(); c > seconds+2 || c < 20 {
			t.Errorf("%d fetches in %d s", c, seconds)
		}
		for i := 1; i < len(n.at); i++ {
			if pause := n.at[i].Sub(n.at[i-1]); pause < time.Second {
				t.Errorf("two fetches within %v", pause)
			}
		}
		letIn(t, j, bearer(loginToken(t, "first", nil)))
	})
}

// A token that is signed with a new key is accepted as soon as the pace allows,
// and never refused before that.
func TestNewKeyIsAcceptedAtOnce(t *testing.T) {
	bubble(t, oauth.Fetch{}, func(t *testing.T, n *network, _ *oauth.Resource, j *oauth.JWT) {
		n.say(keysURL, keySet(t, firstKey, nextKey))
		began := time.Now()
		letIn(t, j, bearer(loginToken(t, "next", nil)))
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		time.Sleep(10 * time.Second) // of the bubble's clock
		began = time.Now()
		invalid(t, j, loginToken(t, "unknown", nil), "doesn't have")
		if took := time.Since(began); took != 0 {
			t.Errorf("after a pause it took %v", took)
		}
	})
}

// What was signed with a key that the issuer took back no longer counts, though it
// is remembered.
func TestRetiredKeyEndsItsTokens(t *testing.T) {
	bubble(t, oauth.Fetch{Refresh: time.Minute}, func(t *testing.T, n *network, _ *oauth.Resource, j *oauth.JWT) {
		token := loginToken(t, "first", nil)
		letIn(t, j, bearer(token))
		n.say(keysURL, keySet(t, nextKey))
		letIn(t, j, bearer(token))
		time.Sleep(2 * time.Minute) // of the bubble's clock
		invalid(t, j, token, "doesn't have")
		letIn(t, j, bearer(loginToken(t, "next", nil)))
	})
}

func TestStaleKeysAreServedForAWhile(t *testing.T) {
	bubble(t, oauth.Fetch{MaxStale: time.Hour}, func(t *testing.T, n *network, _ *oauth.Resource, j *oauth.JWT) {
		for name, broken := range map[string]func(){
			"refused":   func() { n.fail(keysURL) },
			"no keys":   func() { n.say(keysURL, `{"keys":[]}`) },
			"no JSON":   func() { n.say(keysURL, `<html>`) },
			"redirect":  func() { n.answer(keysURL, func(context.Context) (int, string, error) { return 302, "", nil }) },
			"error":     func() { n.answer(keysURL, func(context.Context) (int, string, error) { return 500, "", nil }) },
			"very long": func() { n.say(keysURL, `{"keys":[`+string(bytes.Repeat([]byte(" "), 1<<20))+`]}`) },
		} {
			broken()
			time.Sleep(6 * time.Minute) // of the bubble's clock
			letIn(t, j, bearer(loginToken(t, "first", nil)))
			// The key may be there, and can't be had.
			if e := refused(t, j, bearer(loginToken(t, "next", nil)), 503, strikeplate.CodeUnavailable); e.Err == nil {
				t.Errorf("%s: no cause", name)
			}
		}
		remembered := bearer(loginToken(t, "first", claims{"exp": time.Now().Add(3 * time.Hour).Unix(), "iat": nil}))
		letIn(t, j, remembered)
		time.Sleep(time.Hour) // of the bubble's clock
		refused(t, j, remembered, 503, strikeplate.CodeUnavailable)
		for range 3 {
			refused(t, j, bearer(loginToken(t, "first", claims{"exp": time.Now().Add(time.Hour).Unix(), "iat": nil})), 503, strikeplate.CodeUnavailable)
		}
		n.say(keysURL, keySet(t, firstKey))
		time.Sleep(time.Second) // of the bubble's clock
		letIn(t, j, bearer(loginToken(t, "first", claims{"exp": time.Now().Add(time.Hour).Unix(), "iat": nil})))
		letIn(t, j, remembered)
	})
}

// A hanging endpoint holds a request for the client's time-out, and requests with
// known keys not at all.
func TestHangingEndpointBlocksNobodyForLong(t *testing.T) {
	bubble(t, oauth.Fetch{Timeout: 3 * time.Second}, func(t *testing.T, n *network, _ *oauth.Resource, j *oauth.JWT) {
		n.answer(keysURL, func(ctx context.Context) (int, string, error) {
			<-ctx.Done()
			return 0, "", ctx.Err()
		})
		time.Sleep(time.Second) // of the bubble's clock
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				began := time.Now()
				refused(t, j, bearer(loginToken(t, "next", nil)), 503, strikeplate.CodeUnavailable)
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("it took %v", took)
				}
			})
			all.Go(func() {
				began := time.Now()
				letIn(t, j, bearer(loginToken(t, "first", nil)))
				if took := time.Since(began); took != 0 {
					t.Errorf("a known key took %v", took)
				}
			})
		}
		all.Wait()
	})
}

// More than may wait for keys are told to come back, not that their token is bad.
func TestCrowdForKeysIsShed(t *testing.T) {
	bubble(t, oauth.Fetch{}, func(t *testing.T, n *network, r *oauth.Resource, j *oauth.JWT) {
		token := loginToken(t, "unknown", nil)
		var all sync.WaitGroup
		var shed, unknown atomic.Int64
		for range 1100 {
			all.Go(func() {
				switch _, err := j.Authenticate(bearer(token)); refusal(t, err).Status {
				case 503:
					shed.Add(1)
				case 401:
					unknown.Add(1)
				}
			})
		}
		all.Wait()
		if shed.Load() != 1100-1024 || unknown.Load() != 1024 || r.Stats().Shed != 1100-1024 {
			t.Errorf("%d shed, %d unknown", shed.Load(), unknown.Load())
		}
	})
}

func TestDiscovery(t *testing.T) {
	metadata := func(issuer string) string {
		return `{"issuer":"` + issuer + `","jwks_uri":"` + keysURL + `","jwks_URI":"https://evil.example.com/"}`
	}
	const path = login + "/tenant"
	for _, c := range []struct {
		name, issuer, place, says string
		calls                     []string
		good                      bool
	}{
		{"RFC 8414", login, login + "/.well-known/oauth-authorization-server", metadata(login), nil, true},
		{"RFC 8414 with a path", path, login + "/.well-known/oauth-authorization-server/tenant", metadata(path), nil, true},
		{"OpenID, inserted", path, login + "/.well-known/openid-configuration/tenant", metadata(path), nil, true},
		{"OpenID", path, path + "/.well-known/openid-configuration", metadata(path), nil, true},
		{"a slash at the end", login + "/", login + "/.well-known/openid-configuration", metadata(login + "/"), nil, true},
		{"of another issuer", login, login + "/.well-known/oauth-authorization-server", metadata("https://evil.example.com"), nil, false},
		{"almost the issuer", login, login + "/.well-known/oauth-authorization-server", metadata(login + "/"), nil, false},
		{"keys by http", login, login + "/.well-known/oauth-authorization-server", strings.Replace(metadata(login), keysURL, "http://x.example/", 1), nil, false},
		{"no keys", login, login + "/.well-known/oauth-authorization-server", `{"issuer":"` + login + `"}`, nil, false},
		{"no object", login, login + "/.well-known/oauth-authorization-server", `"x"`, nil, false},
		{"nothing", login, "", "", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(network)
				n.say(keysURL, keySet(t, firstKey))
				n.say(c.place, c.says)
				r := newResource(t, nil)
				j, err := oauth.NewJWT(oauth.JWTConfig{Resource: r, Fetch: oauth.Fetch{Client: &http.Client{Transport: n}},
					Issuers: []oauth.Issuer{{URL: c.issuer, Trust: oauth.Trust{Organisations: []string{"acme"}}}}})
				if err != nil {
					t.Fatal(err)
				}
				token := loginToken(t, "first", claims{"iss": c.issuer})
				if c.good {
					letIn(t, j, bearer(token))
					if err := r.Ready(t.Context()); err != nil {
						t.Error(err)
					}
					return
				}
				refused(t, j, bearer(token), 503, strikeplate.CodeUnavailable)
				if err := r.Ready(t.Context()); err == nil {
					t.Error("ready without keys")
				}
			})
		})
	}
}

// Rotation under load: keys come and go, and no good token is ever refused.
func TestRotationUnderLoad(t *testing.T) {
	bubble(t, oauth.Fetch{Refresh: 30 * time.Second}, func(t *testing.T, n *network, _ *oauth.Resource, j *oauth.JWT) {
		var all sync.WaitGroup
		keys := []jose.JSONWebKey{firstKey, nextKey}
		began := time.Now()
		for worker := range 64 {
			all.Go(func() {
				for round := range 12 {
					time.Sleep(time.Duration(worker%7+1) * 400 * time.Millisecond) // of the bubble's clock
					// Each key is announced for ten seconds before it signs.
					kid := keys[int(time.Since(began)/(10*time.Second))%2].KeyID
					letIn(t, j, bearer(loginToken(t, kid, claims{"jti": fmt.Sprint(worker, round)})))
				}
			})
		}
		n.say(keysURL, keySet(t, keys...))
		all.Wait()
	})
}
