package scope_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/strikeplatetest"
)

// deciding is an Authorizer that always says the same, and remembers what it was asked.
type deciding struct {
	decision scope.Decision
	err      error
	asked    *[]scope.Request
}

func (d deciding) Authorize(_ context.Context, r scope.Request) (scope.Decision, error) {
	if d.asked != nil {
		*d.asked = append(*d.asked, r)
	}
	return d.decision, d.err
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })

// principal has some scopes, and everything else that Plain may look for.
func principal(scopes ...string) *strikeplate.Principal {
	return &strikeplate.Principal{Credential: "key_1", Environment: strikeplate.Live, Access: strikeplate.OrganisationFull, Scopes: scopes}
}

// answer serves one request of p, nil for nobody, and returns what became of it.
func answer(t *testing.T, edge strikeplate.Edge, p *strikeplate.Principal, h http.Handler, r *http.Request) (*httptest.ResponseRecorder, *strikeplate.Exchange) {
	t.Helper()
	var x *strikeplate.Exchange
	edge.Done = append(edge.Done, func(done *strikeplate.Exchange) { x = done })
	if p != nil {
		h = strikeplatetest.As(p)(h)
	}
	w := httptest.NewRecorder()
	edge.Handler(h).ServeHTTP(w, r)
	return w, x
}

func get(target string) *http.Request { return httptest.NewRequest(http.MethodGet, target, nil) }

var reading = scope.Requirement{AllOf: []string{"meetings:read"}}

// denials are what Require refuses, and how.
var denials = []struct {
	name       string
	authorizer scope.Authorizer
	need       scope.Requirement
	principal  *strikeplate.Principal
	status     int
	code       string
	rule       string
	challenge  []string
	params     map[string]string
}{
	{"000-13a 001-33 a scope is missing", scope.Plain{}, reading, principal("meetings:write"), 403, strikeplate.CodeScope, scope.RuleMissing,
		[]string{`Bearer error="insufficient_scope", scope="meetings:read"`},
		map[string]string{"missing": "meetings:read", "scope": "meetings:read"}},
	{"000-13a an empty set grants nothing", scope.Plain{}, reading, principal(), 403, strikeplate.CodeScope, scope.RuleMissing,
		[]string{`Bearer error="insufficient_scope", scope="meetings:read"`},
		map[string]string{"missing": "meetings:read", "scope": "meetings:read"}},
	{"of several, some are there", scope.Plain{}, scope.Requirement{AllOf: []string{"a:read", "b:read", "c:read"}}, principal("b:read"), 403,
		strikeplate.CodeScope, scope.RuleMissing,
		[]string{`Bearer error="insufficient_scope", scope="a:read b:read c:read"`},
		map[string]string{"missing": "a:read c:read", "scope": "a:read b:read c:read"}},
	{"one of several, the first is proposed", scope.Plain{}, scope.Requirement{AnyOf: []string{"a:read", "a:write"}}, principal("b:read"), 403,
		strikeplate.CodeScope, scope.RuleMissing,
		[]string{`Bearer error="insufficient_scope", scope="a:read"`},
		map[string]string{"missing": "a:read a:write", "scope": "a:read"}},
	{"all and one of several", scope.Plain{}, scope.Requirement{AllOf: []string{"c:read", "d:read"}, AnyOf: []string{"a:read", "a:write"}}, principal("d:read"), 403,
		strikeplate.CodeScope, scope.RuleMissing,
		[]string{`Bearer error="insufficient_scope", scope="c:read d:read a:read"`},
		map[string]string{"missing": "c:read a:read a:write", "scope": "c:read d:read a:read"}},
	{"one of several is there", scope.Plain{}, scope.Requirement{AllOf: []string{"c:read"}, AnyOf: []string{"a:read", "a:write"}}, principal("a:write"), 403,
		strikeplate.CodeScope, scope.RuleMissing,
		[]string{`Bearer error="insufficient_scope", scope="c:read a:write"`},
		map[string]string{"missing": "c:read", "scope": "c:read a:write"}},
	{"one of one", scope.Plain{}, scope.Requirement{AnyOf: []string{"a:read"}}, principal(), 403, strikeplate.CodeScope, scope.RuleMissing,
		[]string{`Bearer error="insufficient_scope", scope="a:read"`},
		map[string]string{"missing": "a:read", "scope": "a:read"}},
	{"a policy wants a scope that the route doesn't name",
		deciding{decision: scope.Decision{Rule: "policies.scopes.export", Missing: []string{"meetings:export"}}}, reading, principal("meetings:read"), 403,
		strikeplate.CodeScope, "policies.scopes.export",
		[]string{`Bearer error="insufficient_scope", scope="meetings:read meetings:export"`},
		map[string]string{"missing": "meetings:export", "scope": "meetings:read meetings:export"}},
	{"what is no scope is not told", deciding{decision: scope.Decision{Rule: "r", Missing: []string{`x", realm="evil`, "a:read"}}}, reading, principal(), 403,
		strikeplate.CodeScope, "r",
		[]string{`Bearer error="insufficient_scope", scope="meetings:read a:read"`},
		map[string]string{"missing": "a:read", "scope": "meetings:read a:read"}},
	{"another environment", scope.Plain{}, scope.Requirement{AllOf: []string{"a:read"}, Environment: strikeplate.Test}, principal(), 403,
		strikeplate.CodeEnvironment, scope.RuleEnvironment, nil, nil},
	{"002-72b another access level", scope.Plain{}, scope.Requirement{Access: []strikeplate.Access{strikeplate.UserFull, strikeplate.UserLimited}}, principal(), 403,
		strikeplate.CodeAccess, scope.RuleAccess, nil, nil},
	{"002-72b one access level", scope.Plain{}, scope.Requirement{Access: []strikeplate.Access{strikeplate.Legacy}}, principal(), 403,
		strikeplate.CodeAccess, scope.RuleAccess, nil, nil},
	{"a policy, with its reason", deciding{decision: scope.Decision{Rule: "policies.scopes.hours", Reason: "the office is closed"}}, reading, principal("meetings:read"), 403,
		strikeplate.CodeForbidden, "policies.scopes.hours", nil, nil},
	{"a policy, without a reason", deciding{}, reading, principal("meetings:read"), 403, strikeplate.CodeForbidden, "", nil, nil},
	{"a rule of environments where none is asked for", deciding{decision: scope.Decision{Rule: scope.RuleEnvironment, Reason: "no"}}, reading, principal(), 403,
		strikeplate.CodeForbidden, scope.RuleEnvironment, nil, nil},
	{"undecided", deciding{err: errors.New("internal"), decision: scope.Decision{Allowed: true}}, reading, principal("meetings:read"), 503,
		strikeplate.CodeUnavailable, "", nil, nil},
	{"undecided, and a refusal lies in the error",
		deciding{err: fmt.Errorf("internal: %w", &strikeplate.Error{Status: 401, Code: "internal", Message: "internal"})}, reading, principal("meetings:read"), 503,
		strikeplate.CodeUnavailable, "", nil, nil},
	{"undecided, and a nil refusal lies in the error", deciding{err: (*strikeplate.Error)(nil)}, reading, principal("meetings:read"), 503,
		strikeplate.CodeUnavailable, "", nil, nil},
	{"undecided, with something to tell",
		deciding{err: fmt.Errorf("internal: %w", &strikeplate.Error{Status: 503, Code: "not_ready", Message: "Policies are being loaded.", RetryAfter: 7 * time.Second})},
		reading, principal("meetings:read"), 503, "not_ready", "", nil, nil},
	{"nobody", scope.Plain{}, reading, nil, 401, strikeplate.CodeMissing, "", []string{"Bearer"}, nil},
}

func TestRequireDenies(t *testing.T) {
	for _, c := range denials {
		t.Run(c.name, func(t *testing.T) {
			quiet := strikeplate.Edge{Logger: slog.New(slog.DiscardHandler)}
			h := scope.Require(c.authorizer, c.need)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was reached") }))
			w, x := answer(t, quiet, c.principal, h, get("/"))
			e := x.Refusal()
			if e == nil {
				t.Fatal("no refusal")
			}
			if w.Code != c.status || e.Status != c.status || e.Code != c.code || e.Rule != c.rule {
				t.Errorf("%d, %d %s by rule %q, want %d %s by %q", w.Code, e.Status, e.Code, e.Rule, c.status, c.code, c.rule)
			}
			if diff := cmp.Diff(c.challenge, w.Header()["Www-Authenticate"]); diff != "" {
				t.Errorf("challenge: %s", diff)
			}
			if diff := cmp.Diff(c.params, e.Params); diff != "" {
				t.Errorf("params: %s", diff)
			}
			if c.principal != nil && e.Credential != "key_1" && e.Code != "not_ready" {
				t.Errorf("the refusal names credential %q", e.Credential)
			}
			if strings.Contains(fmt.Sprint(w.Body, w.Header()), "internal") {
				t.Errorf("an internal error is shown: %s", w.Body)
			}
			if (w.Header().Get("Retry-After") != "") != (c.status == 503) {
				t.Errorf("Retry-After: %q", w.Header().Get("Retry-After"))
			}
		})
	}
}

// TestRefusalsGolden: the bodies in both dialects. 003-96: type, code and param
// null stand in the second one.
func TestRefusalsGolden(t *testing.T) {
	for name, dialect := range map[string]strikeplate.Dialect{"problem_json": strikeplate.ProblemJSON, "openai": strikeplate.OpenAI} {
		var got bytes.Buffer
		edge := strikeplate.Edge{Dialect: dialect, TrustRequestID: true, Logger: slog.New(slog.DiscardHandler)}
		tell := func(name string, p *strikeplate.Principal, h http.Handler, r *http.Request) {
			r.Header.Set("X-Request-Id", "id")
			w, _ := answer(t, edge, p, h, r)
			fmt.Fprintf(&got, "# %s\n%d %s\n%s\n", name, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		for _, c := range denials {
			tell(c.name, c.principal, scope.Require(c.authorizer, c.need)(ok), get("/"))
		}
		unread := get("/")
		unread.Header.Set("Authorization", "Bearer x")
		tell("a credential that nobody read", nil, scope.Require(scope.Plain{}, reading)(ok), unread)
		routes := newRoutes(t)
		tell("undeclared", principal(), routes, get("/undeclared"))
		tell("no such path", principal(), routes, get("/nowhere"))
		tell("no such method", principal(), routes, httptest.NewRequest("PATCH", "/v1/meetings", nil))
		golden(t, name, got.Bytes())
	}
}

// golden compares with testdata/name.golden; UPDATE_GOLDEN=1 writes it anew.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestRequireAllows(t *testing.T) {
	var asked []scope.Request
	p := principal("meetings:read")
	mux := http.NewServeMux()
	mux.Handle("GET /v1/meetings/{id}", scope.Require(deciding{decision: scope.Decision{Allowed: true}, asked: &asked}, reading)(ok))
	w, x := answer(t, strikeplate.Edge{}, p, mux, get("/v1/meetings/m_1"))
	if w.Code != 200 || w.Body.String() != "ok" || x.Refusal() != nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	want := []scope.Request{{Principal: p, Requirement: reading, Method: "GET", Route: "GET /v1/meetings/{id}"}}
	if diff := cmp.Diff(want, asked); diff != "" || asked[0].Principal != p {
		t.Errorf("it asked: %s", diff)
	}
}

// Other routers than http.ServeMux tell the pattern by SetPattern.
func TestRequireAsksByTheToldPattern(t *testing.T) {
	var asked []scope.Request
	guarded := scope.Require(deciding{decision: scope.Decision{Allowed: true}, asked: &asked}, reading)(ok)
	answer(t, strikeplate.Edge{}, principal(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strikeplate.ExchangeFrom(r.Context()).SetPattern("GET /other/:id")
		guarded.ServeHTTP(w, r)
	}), get("/other/1"))
	guarded.ServeHTTP(httptest.NewRecorder(), get("/").WithContext(strikeplate.NewContext(t.Context(), principal())))
	if len(asked) != 2 || asked[0].Route != "GET /other/:id" || asked[1].Route != "" {
		t.Errorf("it asked %+v", asked)
	}
}

// Anonymous requests that Optional lets through are told to authenticate; nothing
// that has to do with the service's wiring is said to them.
func TestRequireInsideOptional(t *testing.T) {
	keys := strikeplatetest.Keys{"good": principal("meetings:read"), "weak": principal()}
	h := strikeplate.Optional(keys)(scope.Require(scope.Plain{}, reading)(ok))
	for authorization, status := range map[string]int{"": 401, "Bearer bad": 401, "Bearer weak": 403, "Bearer good": 200} {
		r := get("/")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w, _ := answer(t, strikeplate.Edge{}, nil, h, r)
		if w.Code != status || strings.Contains(w.Body.String(), "Require") {
			t.Errorf("%q: %d %s, want %d", authorization, w.Code, w.Body, status)
		}
	}
}

// A service that forgot strikeplate.Require answers nobody, and says what is wrong.
func TestRequireOutsideOfAnyRequire(t *testing.T) {
	r := get("/")
	r.Header.Set("Authorization", "Bearer good")
	w, x := answer(t, strikeplate.Edge{}, nil, scope.Require(scope.Plain{}, reading)(ok), r)
	if w.Code != 401 || !strings.Contains(w.Body.String(), "scope.Require must stand inside strikeplate.Require") ||
		!strings.Contains(x.Refusal().Error(), "must stand inside") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRequirePanics(t *testing.T) {
	var none *pointer
	for want, f := range map[string]func(){
		"nil Authorizer":     func() { scope.Require(nil, reading) },
		"nil Authorizer (2)": func() { scope.Require(none, reading) },
		"nil handler":        func() { scope.Require(scope.Plain{}, reading)(nil) },
		"the requirement of Require: it demands neither scopes nor an access level; if any valid credential will do, say Authenticated: true": func() {
			scope.Require(scope.Plain{}, scope.Requirement{})
		},
		"not a scope": func() { scope.Require(scope.Plain{}, scope.Requirement{AllOf: []string{"meetings"}}) },
	} {
		want = strings.TrimSuffix(want, " (2)")
		if got := panicOf(f); !strings.Contains(got, want) {
			t.Errorf("panic %q, want %q", got, want)
		}
	}
}

// pointer is an Authorizer that may be nil.
type pointer struct{ deciding }

func panicOf(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	f()
	return "no panic"
}

// A requirement is copied: changing it afterwards opens nothing.
func TestRequireCopiesTheRequirement(t *testing.T) {
	need := scope.Requirement{AllOf: []string{"meetings:write"}, Access: []strikeplate.Access{strikeplate.Legacy}}
	h := scope.Require(scope.Plain{}, need)(ok)
	routes := scope.NewRoutes(scope.Plain{}, nil, nil)
	routes.Handle("GET /", need, ok)
	need.AllOf[0], need.Access[0] = "meetings:read", strikeplate.OrganisationFull
	routes.All()[0].Requires.Access[0] = strikeplate.OrganisationFull
	found, _ := routes.Find(get("/"))
	found.Requires.AllOf[0] = "meetings:read"
	want := scope.Requirement{AllOf: []string{"meetings:write"}, Access: []strikeplate.Access{strikeplate.Legacy}}
	if diff := cmp.Diff(want, routes.All()[0].Requires); diff != "" {
		t.Errorf("the list was changed: %s", diff)
	}
	for _, h := range []http.Handler{h, routes} {
		if w, _ := answer(t, strikeplate.Edge{}, principal("meetings:read"), h, get("/")); w.Code != 403 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// TestRequireAllocatesNothing: a request that passes costs what the Authorizer and
// the handler cost.
func TestRequireAllocatesNothing(t *testing.T) {
	r, w := authenticated(t, "GET", "/"), nowhere{http.Header{}}
	need := scope.Requirement{AllOf: lastScope.AllOf, AnyOf: []string{"x:read", "resource-03:read"},
		Access: []strikeplate.Access{strikeplate.OrganisationFull}, Environment: strikeplate.Live}
	for name, a := range map[string]scope.Authorizer{"allower": allower{}, "plain": scope.Plain{}} {
		h := scope.Require(a, need)(nothing)
		if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		routes := scope.NewRoutes(a, nil, nil)
		routes.Handle("GET /", need, nothing)
		if n := testing.AllocsPerRun(100, func() { routes.ServeHTTP(w, r) }); n != 0 {
			t.Errorf("%s through Routes: %v allocations", name, n)
		}
	}
}
