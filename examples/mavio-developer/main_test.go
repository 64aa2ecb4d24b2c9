package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/catalogs"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
	"github.com/strikeplate/strikeplate/examples/internal/mavio"
	"github.com/strikeplate/strikeplate/scope"
)

// start runs a server whose every answer is held to openapi.json.
func start(t *testing.T, o demo.Options) *demotest.Server {
	t.Helper()
	s := demotest.Start(t, developer, o)
	document := demotest.Parse(t, openAPI)
	s.Check = document.Fits
	return s
}

func registry() *scope.Routes {
	routes := scope.NewRoutes(scope.Plain{}, catalogs.MavioDeveloper(), nil)
	declare(routes, &mavio.API{})
	(&demo.Site{}).Pages(routes, openAPI)
	return routes
}

func TestOpenAPIIsTheRegistry(t *testing.T) {
	demotest.Parse(t, openAPI).Routes(t, registry())
	if r := start(t, demo.Options{}).Get(t, "", "/openapi.json"); string(r.Body) != string(openAPI) {
		t.Error("another document is served")
	}
}

// 001-60…63: each response tells the limit, whatever became of the request.
func Test001_60_EveryResponseHasTheFields(t *testing.T) {
	s := start(t, demo.Options{})
	s.Control(t, "/demo/organisations/org_cedar", `{"subscription": "lapsed"}`)
	for _, test := range []struct {
		key, method, path, body string
		status                  int
		code, limit             string
	}{
		{"team", "GET", "/v1/whoami", "", 200, "", "1000"},
		{"team", "GET", "/v1/meetings?limit=x", "", 400, "invalid_request", "1000"},
		{"team", "GET", "/v1/meetings/none", "", 404, "not_found", "1000"},
		{"team", "GET", "/v1/none", "", 404, "not_found", "1000"},
		{"team", "PUT", "/v1/meetings", "", 405, "method_not_allowed", "1000"},
		{"team", "POST", "/v1/meetings", "{", 400, "invalid_request", "1000"},
		{"scope_team_read", "GET", "/v1/meetings", "", 403, "insufficient_scope", "1000"},
		{"enterprise_restricted", "GET", "/v1/meetings", "", 403, "ip_not_allowed", "5000"},
		{"enterprise", "GET", "/v1/meetings", "", 200, "", "5000"},
		{"pro", "GET", "/v1/meetings", "", 402, "subscription_required", "300"},
		{"free", "GET", "/v1/meetings", "", 200, "", "60"},
		{"expired", "GET", "/v1/meetings", "", 401, "expired_api_key", "6000"},
		{"", "GET", "/v1/meetings", "", 401, "missing_api_key", "6000"},
		{"", "GET", "/v1/none", "", 401, "missing_api_key", "6000"},
		{"", "GET", "/", "", 200, "", "6000"},
		{"", "GET", "/healthz", "", 200, "", "6000"},
		{"", "GET", "/settings/developer/", "", 303, "", "6000"},
	} {
		what := test.key + " " + test.method + " " + test.path
		r := s.Ask(t, test.key, test.method, test.path, test.body)
		demotest.Want(t, what, r, test.status, test.code)
		if r.Header.Get("X-RateLimit-Limit") != test.limit || r.Header.Get("X-RateLimit-Remaining") == "" || len(r.Header.Get("X-RateLimit-Reset")) != 10 || r.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", what, r.Header)
		}
		if strings.HasPrefix(test.path, "/v1/") && r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be stored", what)
		}
		if test.status < 400 {
			continue
		}
		body := demotest.Decode[demotest.Refused](t, r)
		code := map[int]string{401: "unauthorized", 403: "forbidden"}[test.status]
		if code == "" {
			code = test.code
		}
		if body.Error.Code != code || body.Error.Message == "" || body.Error.RequestID != r.Header.Get("X-Request-Id") {
			t.Errorf("%s: %s", what, r.Body)
		}
	}
}

// 001-33…49: each key with one scope opens the routes that name the scope, and no
// others.
func Test001_33_EachScopeOpensItsRoutes(t *testing.T) {
	s := start(t, demo.Options{})
	refused := 0
	for _, route := range registry().All() {
		if route.Public || route.Requires.Authenticated {
			continue
		}
		path := strings.ReplaceAll(route.Path, "{id}", "none")
		for _, one := range catalogs.MavioDeveloper().Scopes() {
			r := s.Ask(t, "scope_"+strings.ReplaceAll(one, ":", "_"), route.Method, path, "")
			opens := strings.Contains(" "+strings.Join(route.Requires.AnyOf, " ")+" ", " "+one+" ")
			if closed := r.StatusCode == http.StatusForbidden; closed == opens {
				t.Errorf("%s with %s: %d, and it opens: %v", route.Pattern, one, r.StatusCode, opens)
			}
			if !opens {
				refused++
				demotest.Want(t, route.Pattern+" with "+one, r, http.StatusForbidden, "insufficient_scope")
			}
		}
	}
	if refused < 400 {
		t.Errorf("%d refusals", refused)
	}
}

// 001-54…59, 001-64: limits are the plan's, over all of an organisation's keys.
func Test001_54_PlansLimitOrganisations(t *testing.T) {
	s := start(t, demo.Options{})
	admin := s.As(t, "free_admin")
	second := createKey(t, admin, `{"name": "Second", "scopes": ["meetings:read"]}`)
	for i := range 60 {
		text := s.Keys["free"].Key
		if i%2 == 1 {
			text = second.Secret
		}
		r := s.Get(t, "", "/v1/whoami", "Authorization", "Bearer "+text)
		if want := fmt.Sprint(59 - i); r.StatusCode != http.StatusOK || r.Header.Get("X-RateLimit-Remaining") != want {
			t.Fatalf("001-56 request %d: %d, %s remain", i+1, r.StatusCode, r.Header.Get("X-RateLimit-Remaining"))
		}
	}
	for _, text := range []string{s.Keys["free"].Key, second.Secret} {
		r := s.Get(t, "", "/v1/whoami", "Authorization", "Bearer "+text)
		demotest.Want(t, "001-64a", r, http.StatusTooManyRequests, "rate_limit_exceeded")
		if code := demotest.Decode[demotest.Refused](t, r).Error.Code; code != "rate_limit_exceeded" || r.Header.Get("X-RateLimit-Remaining") != "0" || r.Header.Get("Retry-After") == "" {
			t.Errorf("001-64a: %v %s", r.Header, r.Body)
		}
	}
	for key, limit := range map[string]string{"pro": "300", "team": "1000", "enterprise": "5000"} {
		if r := s.Get(t, key, "/v1/whoami"); r.StatusCode != http.StatusOK || r.Header.Get("X-RateLimit-Limit") != limit {
			t.Errorf("001-57…59 %s: %d, limit %s", key, r.StatusCode, r.Header.Get("X-RateLimit-Limit"))
		}
	}
	// The contract ends with the Enterprise plan.
	s.Control(t, "/demo/organisations/org_delta", `{"plan": "pro"}`)
	if r := s.Get(t, "enterprise", "/v1/whoami"); r.Header.Get("X-RateLimit-Limit") != "300" {
		t.Errorf("after a downgrade: %s", r.Header.Get("X-RateLimit-Limit"))
	}
	s.Control(t, "/demo/organisations/org_brook", `{"plan": "team"}`)
	if r := s.Get(t, "free", "/v1/whoami"); r.StatusCode != http.StatusOK || r.Header.Get("X-RateLimit-Limit") != "1000" {
		t.Errorf("after an upgrade: %d, limit %s", r.StatusCode, r.Header.Get("X-RateLimit-Limit"))
	}
}

type created struct {
	Key    struct{ ID, Name, Status, Lineage string }
	Secret string
}

const developerAPI = "/settings/developer/api"

func createKey(t *testing.T, admin *demotest.Server, body string) created {
	t.Helper()
	r := admin.Send(t, http.MethodPost, developerAPI+"/keys", body)
	if r.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %d %s", body, r.StatusCode, r.Body)
	}
	return demotest.Decode[created](t, r)
}

// What attackers try at the server's edges.
func TestAttacks(t *testing.T) {
	demotest.Attack(t, start(t, demo.Options{}), demotest.Target{Console: "/settings/developer", API: "/v1", Key: "team"})
}
