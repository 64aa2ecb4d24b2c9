package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

func TestMetadata(t *testing.T) {
	d := newDPoP(t, nil)
	r := newResource(t, func(c *oauth.ResourceConfig) {
		c.Metadata = oauth.Metadata{AuthorizationServers: []string{login}, Scopes: []string{"meetings:read"}, Name: "Meetings", Documentation: "https://example.com/docs"}
		c.DPoP, c.RequireBound = d, true
	})
	if p := r.MetadataPath(); p != "/.well-known/oauth-protected-resource/v1" {
		t.Errorf("path %q", p)
	}
	get := func(method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r.Metadata().ServeHTTP(w, httptest.NewRequest(method, r.MetadataPath(), nil))
		return w
	}
	w := get(http.MethodGet)
	want, err := os.ReadFile(filepath.Join("testdata", "metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), w.Body.String()); diff != "" || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("-want +got\n%s\n%v", diff, w.Header())
	}
	if w := get(http.MethodOptions); w.Code != http.StatusNoContent {
		t.Errorf("OPTIONS: %d", w.Code)
	}
	if w := get(http.MethodPost); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("POST: %d", w.Code)
	}
}

// RFC 9728 3.1: only the slash behind the host is taken away.
func TestMetadataPath(t *testing.T) {
	const place = "/.well-known/oauth-protected-resource"
	for identifier, want := range map[string]string{"https://a.example": place, "https://a.example/": place,
		"https://a.example/mcp": place + "/mcp", "https://a.example/mcp/": place + "/mcp/"} {
		r := newResource(t, func(c *oauth.ResourceConfig) { c.Identifier = identifier })
		if got := r.MetadataPath(); got != want {
			t.Errorf("%s: %s", identifier, got)
		}
	}
}

// RFC 6750 3, RFC 9449 7.1, RFC 9728 5.1, and what MCP wants.
func TestChallenges(t *testing.T) {
	s := newServer(t)
	d := newDPoP(t, func(c *oauth.DPoPConfig) { c.Algorithms = []string{"ES256"} })
	r := newResource(t, func(c *oauth.ResourceConfig) {
		c.DPoP, c.Metadata.Ask = d, []string{"meetings:read", "notes:read"}
	})
	j := newJWT(t, r, s.issuer())
	const metadata = `resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1"`
	const asks = `scope="meetings:read notes:read"`
	none := bearer("")
	none.Header.Del("Authorization")
	proof := dpop("eyJ.eyJ.AA", "x")
	for name, c := range map[string]struct {
		r    *http.Request
		want []string
	}{
		"nothing was sent": {none, []string{`Bearer realm="api", ` + asks + `, ` + metadata,
			`DPoP realm="api", ` + asks + `, algs="ES256", ` + metadata}},
		"a bad token": {bearer("eyJ.eyJ.AA"), []string{
			`Bearer realm="api", error="invalid_token", error_description="The access token is not a well-formed JWT.", ` + asks + `, ` + metadata,
			`DPoP realm="api", ` + asks + `, algs="ES256", ` + metadata}},
		"a bad token with a proof": {proof, []string{`Bearer realm="api", ` + asks + `, ` + metadata,
			`DPoP realm="api", error="invalid_token", error_description="The access token is not a well-formed JWT.", ` + asks + `, algs="ES256", ` + metadata}},
	} {
		_, err := j.Authenticate(c.r)
		if diff := cmp.Diff(c.want, refusal(t, err).Challenge); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// Challenges of other parts tell where tokens come from too.
func TestDialectTellsTheMetadata(t *testing.T) {
	s := newServer(t)
	r := newResource(t, nil)
	j := newJWT(t, r, s.issuer())
	handler := strikeplate.Edge{Dialect: r.Dialect(strikeplate.ProblemJSON)}.Handler(strikeplate.Require(j)(
		scope.Require(scope.Plain{}, scope.Requirement{AllOf: []string{"notes:write"}})(http.NotFoundHandler())))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, bearer(s.token(t, nil)))
	want := `Bearer error="insufficient_scope", scope="notes:write", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1"`
	if got := w.Header().Get("WWW-Authenticate"); w.Code != http.StatusForbidden || got != want {
		t.Errorf("%d %s", w.Code, got)
	}
	for given, want := range map[string]string{
		"Bearer": `Bearer resource_metadata="` + "https://api.example.com/.well-known/oauth-protected-resource/v1" + `"`, `Basic realm="x"`: `Basic realm="x"`, `Bearer resource_metadata="y"`: `Bearer resource_metadata="y"`,
	} {
		h := http.Header{"Www-Authenticate": {given}}
		r.Dialect(strikeplate.ProblemJSON)(h, &strikeplate.Error{}, "")
		if got := h.Get("Www-Authenticate"); got != want {
			t.Errorf("%s: %s", given, got)
		}
	}
	h := http.Header{"Www-Authenticate": {"Bearer", `Bearer resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1"`}}
	r.Dialect(strikeplate.ProblemJSON)(h, &strikeplate.Error{}, "")
	if got := h["Www-Authenticate"]; len(got) != 1 {
		t.Errorf("challenges that differed in the metadata alone: %q", got)
	}
}

func TestNewResourceRefusesBadConfigurations(t *testing.T) {
	store := newStore(t)
	for name, change := range map[string]func(*oauth.ResourceConfig){
		"no identifier":  func(c *oauth.ResourceConfig) { c.Identifier = "" },
		"http":           func(c *oauth.ResourceConfig) { c.Identifier, c.InsecureHTTP = "http://api.example.com", true },
		"loopback http":  func(c *oauth.ResourceConfig) { c.Identifier = "http://127.0.0.1" },
		"a query":        func(c *oauth.ResourceConfig) { c.Identifier = api + "?x" },
		"a fragment":     func(c *oauth.ResourceConfig) { c.Identifier = api + "#" },
		"a user":         func(c *oauth.ResourceConfig) { c.Identifier = "https://u@api.example.com" },
		"no directory":   func(c *oauth.ResourceConfig) { c.InsecureNoDirectory = false },
		"two answers":    func(c *oauth.ResourceConfig) { c.Directory = store },
		"unbindable":     func(c *oauth.ResourceConfig) { c.RequireBound = true },
		"half a proxy":   func(c *oauth.ResourceConfig) { c.Certificates.Header = "X" },
		"old directory":  func(c *oauth.ResourceConfig) { c.Cache.Directory = time.Minute },
		"negative cache": func(c *oauth.ResourceConfig) { c.Cache.Tokens = -1 },
		"a bad scope":    func(c *oauth.ResourceConfig) { c.Metadata.Ask = []string{`a"b`} },
		"a bad server":   func(c *oauth.ResourceConfig) { c.Metadata.AuthorizationServers = []string{"x"} },
		"empty audience": func(c *oauth.ResourceConfig) { c.Audiences = []string{""} },
	} {
		c := oauth.ResourceConfig{Identifier: api, InsecureNoDirectory: true}
		change(&c)
		if _, err := oauth.NewResource(c); err == nil || !strings.HasPrefix(err.Error(), "oauth: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// RFC 9470.
func TestStepUp(t *testing.T) {
	s := newServer(t)
	r := newResource(t, nil)
	j := newJWT(t, r, s.issuer())
	route := func(need oauth.StepUp, token string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		strikeplate.Require(j)(r.StepUp(need)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))).ServeHTTP(w, bearer(token))
		return w
	}
	gold := oauth.StepUp{ACR: []string{"gold", "silver"}, MaxAge: 5 * time.Minute}
	now := time.Now()
	for name, c := range map[string]struct {
		change claims
		want   int
	}{
		"good":    {claims{"acr": "silver", "auth_time": now.Unix()}, 200},
		"no acr":  {claims{"auth_time": now.Unix()}, 401},
		"bad acr": {claims{"acr": "bronze", "auth_time": now.Unix()}, 401},
		"long":    {claims{"acr": "gold", "auth_time": now.Add(-time.Hour).Unix()}, 401},
		"unknown": {claims{"acr": "gold"}, 401},
	} {
		w := route(gold, s.token(t, c.change))
		challenge := w.Header().Get("WWW-Authenticate")
		told := strings.Contains(challenge, `Bearer realm="api", error="insufficient_user_authentication"`) &&
			strings.Contains(challenge, `acr_values="gold silver", max_age="300"`)
		if w.Code != c.want || told != (c.want == 401) {
			t.Errorf("%s: %d %s", name, w.Code, challenge)
		}
	}
	key := strikeplate.NewContext(t.Context(), &strikeplate.Principal{Kind: strikeplate.KindKey})
	for _, keys := range []bool{false, true} {
		w := httptest.NewRecorder()
		r.StepUp(oauth.StepUp{MaxAge: time.Minute, Keys: keys})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).
			ServeHTTP(w, bearer("key").WithContext(key))
		if (w.Code == 200) != keys {
			t.Errorf("keys %v: %d", keys, w.Code)
		}
	}
	for _, bad := range []oauth.StepUp{{}, {MaxAge: time.Millisecond}, {ACR: []string{"a b"}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v accepted", bad)
				}
			}()
			r.StepUp(bad)
		}()
	}
}

// A stream ends when its grant is revoked, its user deactivated, its token expired.
func TestEndWithToken(t *testing.T) {
	for name, end := range map[string]func(*grants, string){
		"revoked": func(g *grants, token string) {
			g.change(token, func(p *storage.Presented) { p.Grant.Revoked = time.Now() })
		},
		"deactivated": func(g *grants, _ string) { putUser(t, g.store, storage.User{ID: "ada", Organisation: "acme"}) },
		"expires":     func(*grants, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			o, g, r := newOpaque(t, nil)
			token := g.issue(t, func(p *storage.Presented) {
				if name == "expires" {
					p.Token.Expires = time.Now().Add(time.Second)
				}
			})
			began := make(chan struct{})
			cause := make(chan error, 1)
			handler := strikeplate.Require(o)(r.EndWithToken(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				close(began)
				<-req.Context().Done()
				cause <- context.Cause(req.Context())
			})))
			go handler.ServeHTTP(httptest.NewRecorder(), bearer(token))
			<-began
			end(g, token)
			var e *strikeplate.Error
			if err := <-cause; !errors.As(err, &e) || e.Status != 401 {
				t.Errorf("ended by %v", err)
			}
		})
	}
}

func TestEndWithTokenLeavesOthersAlone(t *testing.T) {
	r := newResource(t, nil)
	req := bearer("key")
	r.EndWithToken(http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
		if got != req {
			t.Error("a request without a token was changed")
		}
	})).ServeHTTP(httptest.NewRecorder(), req)
}
