package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth"
)

// introspector is an endpoint that says the same of every token.
type introspector struct {
	*httptest.Server
	mu     sync.Mutex
	says   string
	status int
	asked  atomic.Int64
	last   *http.Request
	form   string
}

func newIntrospector(t testing.TB) *introspector {
	i := &introspector{status: http.StatusOK}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		i.mu.Lock()
		defer i.mu.Unlock()
		i.last, i.form = r, string(body)
		w.WriteHeader(i.status)
		_, _ = io.WriteString(w, i.says)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *introspector) say(status int, body string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.says = status, body
}

func (i *introspector) about(change claims) string {
	s := &server{Server: &httptest.Server{URL: login}}
	c := s.claims(claims{"active": true})
	for name, v := range change {
		c[name] = v
		if v == nil {
			delete(c, name)
		}
	}
	raw, _ := json.Marshal(c)
	b := string(raw)
	i.say(http.StatusOK, b)
	return b
}

func newIntrospection(t testing.TB, r *oauth.Resource, endpoint string, change func(*oauth.IntrospectionConfig)) *oauth.Introspection {
	t.Helper()
	c := oauth.IntrospectionConfig{Resource: r, Issuer: login, Endpoint: endpoint, InsecureHTTP: true,
		Trust: oauth.Trust{Organisations: []string{"acme"}}, ClientID: "api:1", ClientSecret: strikeplate.NewSecret("a b&c")}
	if change != nil {
		change(&c)
	}
	i, err := oauth.NewIntrospection(c)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestIntrospection(t *testing.T) {
	at := newIntrospector(t)
	at.about(nil)
	i := newIntrospection(t, newResource(t, nil), at.URL, nil)
	for range 5 {
		p := letIn(t, i, bearer("opaque+token"))
		if p.Subject != login+"|ada" || p.Organisation != "acme" || p.ClientID != "app" || strings.Join(p.Scopes, " ") != "meetings:read meetings:write" {
			t.Fatalf("%+v", p)
		}
	}
	if n := at.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	// RFC 6749 2.3.1: id and secret are form-encoded before they are joined.
	id, secret, _ := at.last.BasicAuth()
	if id != "api%3A1" || secret != "a+b%26c" || at.form != "token=opaque%2Btoken&token_type_hint=access_token" || at.last.Method != http.MethodPost {
		t.Errorf("%q %q, %s %q", id, secret, at.last.Method, at.form)
	}
}

func TestIntrospectionRefusals(t *testing.T) {
	at := newIntrospector(t)
	for _, c := range []struct {
		name   string
		change claims
		why    string
	}{
		{"inactive", claims{"active": false}, "not active"},
		{"expired", claims{"exp": time.Now().Add(-time.Minute).Unix()}, "expired"},
		{"not yet valid", claims{"nbf": time.Now().Add(time.Minute).Unix()}, "not valid yet"},
		{"another audience", claims{"aud": "https://evil.example.com"}, "audience"},
		{"no audience", claims{"aud": nil}, "audience"},
		{"another issuer", claims{"iss": "https://evil.example.com"}, "issuer"},
		{"a refresh token", claims{"token_type": "refresh_token"}, "refresh token"},
		{"another organisation", claims{"org_id": "evil"}, "does not speak for"},
		{"a client itself", claims{"sub": nil}, "without a user"},
		{"bound to a key", claims{"cnf": claims{"jkt": thumbprint(t, ecKey.Public())}}, "DPoP"},
		{"bound to an unknown key", claims{"token_type": "DPoP"}, "not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at.about(c.change)
			i := newIntrospection(t, newResource(t, nil), at.URL, nil)
			invalid(t, i, "token", c.why)
		})
	}
	at.about(claims{"aud": nil, "iss": nil, "exp": nil})
	i := newIntrospection(t, newResource(t, nil), at.URL, func(c *oauth.IntrospectionConfig) { c.InsecureNoAudience = true })
	letIn(t, i, bearer("token"))
}

// An endpoint that can't be asked says nothing against the token.
func TestIntrospectionThatFailsIs503(t *testing.T) {
	at := newIntrospector(t)
	i := newIntrospection(t, newResource(t, nil), at.URL, nil)
	for _, c := range []struct {
		status int
		body   string
	}{{401, `{"error":"invalid_client"}`}, {500, ""}, {302, ""}, {200, ""}, {200, "{}"}, {200, `{"active":"true"}`}, {200, `{"active":1}`},
		{200, `[]`}, {200, `{"ACTIVE":true}`}, {200, `{"active":false,"active":true}`}, {200, `{"active":true,"exp":"x"}`}, {200, strings.Repeat(" ", 1<<20)}} {
		at.say(c.status, c.body)
		refused(t, i, bearer("token"), 503, strikeplate.CodeUnavailable)
	}
	at.Close()
	refused(t, i, bearer("token"), 503, strikeplate.CodeUnavailable)
}

// A good answer counts for a while and never beyond exp, a bad one briefly.
func TestIntrospectionIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		at := &introspector{}
		r := newResource(t, nil)
		i := newIntrospection(t, r, login+"/introspect", func(c *oauth.IntrospectionConfig) {
			c.Fetch.Client, c.Skew = &http.Client{Transport: n}, -1
		})
		n.say(login+"/introspect", at.about(claims{"exp": time.Now().Add(40 * time.Second).Unix()}))
		letIn(t, i, bearer("good"))
		time.Sleep(29 * time.Second) // of the bubble's clock
		letIn(t, i, bearer("good"))
		if c := n.count(); c != 1 {
			t.Errorf("asked %d times within 29 s", c)
		}
		time.Sleep(2 * time.Second) // of the bubble's clock
		letIn(t, i, bearer("good"))
		if c := n.count(); c != 2 {
			t.Errorf("asked %d times within 31 s", c)
		}
		time.Sleep(9 * time.Second) // of the bubble's clock
		invalid(t, i, "good", "expired")
		if c := n.count(); c != 2 {
			t.Errorf("asked %d times after it expired", c)
		}

		n.say(login+"/introspect", `{"active":false}`)
		for range 10 {
			invalid(t, i, "bad", "not active")
		}
		if c := n.count(); c != 3 {
			t.Errorf("asked %d times about a bad token", c-2)
		}
		n.say(login+"/introspect", at.about(nil))
		time.Sleep(5 * time.Second) // of the bubble's clock
		letIn(t, i, bearer("bad"))

		n.say(login+"/introspect", `{"active":false}`)
		i.Invalidate("ada")
		invalid(t, i, "bad", "not active")
	})
}

// Two APIs that trust one server don't share what it said.
func TestIntrospectionIsOfOneAudience(t *testing.T) {
	at := newIntrospector(t)
	at.about(nil)
	letIn(t, newIntrospection(t, newResource(t, nil), at.URL, nil), bearer("token"))
	other := newResource(t, func(c *oauth.ResourceConfig) { c.Identifier = "https://other.example.com" })
	invalid(t, newIntrospection(t, other, at.URL, nil), "token", "audience")
}

// 64 requests with one token ask once; strangers' made-up tokens go through a gate.
func TestIntrospectionAsksOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		at := &introspector{}
		says := at.about(nil)
		var asking, most atomic.Int64
		n.answer(login+"/introspect", func(context.Context) (int, string, error) {
			most.Store(max(most.Load(), asking.Add(1)))
			time.Sleep(time.Second) // of the bubble's clock
			asking.Add(-1)
			return 200, says, nil
		})
		r := newResource(t, nil)
		i := newIntrospection(t, r, login+"/introspect", func(c *oauth.IntrospectionConfig) { c.Fetch.Client = &http.Client{Transport: n} })
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() { letIn(t, i, bearer("token")) })
		}
		all.Wait()
		if c := n.count(); c != 1 {
			t.Errorf("asked %d times", c)
		}
		var shed atomic.Int64
		for k := range 1000 {
			all.Go(func() {
				if _, err := i.Authenticate(bearer("made-up-" + strings.Repeat("x", k))); err != nil {
					if e := refusal(t, err); e.Status != 503 {
						t.Error(err)
					}
					shed.Add(1)
				}
			})
		}
		all.Wait()
		if most.Load() > 32 || shed.Load() < 1000-32-512 || r.Stats().Shed == 0 {
			t.Errorf("%d at once, %d shed", most.Load(), shed.Load())
		}
	})
}

func TestIntrospectionFindsTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		at := &introspector{}
		i := newIntrospection(t, newResource(t, nil), "", func(c *oauth.IntrospectionConfig) {
			c.Fetch.Client, c.Prefix, c.ClientID = &http.Client{Transport: n}, "idp_", ""
			c.Authorize = func(r *http.Request) error { r.Header.Set("Authorization", "Bearer me"); return nil }
		})
		refused(t, i, bearer("idp_1"), 503, strikeplate.CodeUnavailable)
		n.say(login+"/.well-known/oauth-authorization-server", `{"issuer":"`+login+`","introspection_endpoint":"`+login+`/introspect"}`)
		n.say(login+"/introspect", at.about(nil))
		time.Sleep(time.Second) // of the bubble's clock
		letIn(t, i, bearer("idp_1"))
		if e := refused(t, i, bearer("other_1"), 401, oauth.CodeToken); !errors.Is(e, strikeplate.ErrNotMine) {
			t.Error("another prefix isn't left to others")
		}
	})
}

func TestNewIntrospectionRefusesBadConfigurations(t *testing.T) {
	good := oauth.IntrospectionConfig{Resource: newResource(t, nil), Issuer: login, ClientID: "a", Trust: oauth.Trust{Organisations: []string{"acme"}}}
	for name, change := range map[string]func(*oauth.IntrospectionConfig){
		"no resource":  func(c *oauth.IntrospectionConfig) { c.Resource = nil },
		"no issuer":    func(c *oauth.IntrospectionConfig) { c.Issuer = "" },
		"no trust":     func(c *oauth.IntrospectionConfig) { c.Trust = oauth.Trust{} },
		"no client":    func(c *oauth.IntrospectionConfig) { c.ClientID = "" },
		"http":         func(c *oauth.IntrospectionConfig) { c.Endpoint = "http://x.example/" },
		"long memory":  func(c *oauth.IntrospectionConfig) { c.Remember = time.Hour },
		"two accounts": func(c *oauth.IntrospectionConfig) { c.Authorize = func(*http.Request) error { return nil } },
	} {
		c := good
		change(&c)
		if _, err := oauth.NewIntrospection(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
