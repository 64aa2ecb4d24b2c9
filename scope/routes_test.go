package scope_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/strikeplatetest"
)

// newRoutes declares some routes, and puts others on the mux without.
func newRoutes(t testing.TB) *scope.Routes {
	t.Helper()
	mux := http.NewServeMux()
	routes := scope.NewRoutes(scope.Plain{}, mustCatalog(t, "meetings:read", "meetings:write", "notes:read"), mux)
	routes.Logger = slog.New(slog.DiscardHandler)
	routes.Handle("GET /v1/meetings", reading, ok)
	routes.HandleFunc("GET /v1/meetings/{id}", reading, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "meeting "+r.PathValue("id")) })
	routes.Handle("DELETE /v1/meetings/{id}", scope.Requirement{AllOf: []string{"meetings:write"}}, ok)
	routes.Handle("/v1/any", scope.Requirement{AnyOf: []string{"meetings:read", "meetings:write"}}, ok)
	routes.Handle("/v1/tree/", scope.Requirement{Access: []strikeplate.Access{strikeplate.OrganisationFull}}, ok)
	routes.Handle("GET api.example.com/v1/meetings", scope.Requirement{Authenticated: true}, ok)
	routes.Handle("CONNECT /v1/tunnel/{id}/", scope.Requirement{Authenticated: true}, ok)
	routes.Public("GET /health", ok)
	undeclared := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("an undeclared handler was reached") })
	mux.Handle("/undeclared", undeclared)
	mux.Handle("GET /v1/meetings/export", undeclared) // more specific than a declared one
	mux.Handle("/undeclared/{id}/", undeclared)
	mux.Handle("GET other.example.com/v1/meetings", undeclared)
	mux.Handle("GET /moved", http.RedirectHandler("/v1/meetings", http.StatusTemporaryRedirect))
	return routes
}

func TestRoutesServe(t *testing.T) {
	reader := principal("meetings:read")
	for _, c := range []struct {
		method, target, body string
		principal            *strikeplate.Principal
		status               int
		code, pattern        string
	}{
		{"GET", "/v1/meetings", "ok", reader, 200, "", "GET /v1/meetings"},
		{"GET", "/v1/meetings", "", principal("notes:read"), 403, strikeplate.CodeScope, "GET /v1/meetings"},
		{"GET", "/v1/meetings", "", nil, 401, strikeplate.CodeMissing, "GET /v1/meetings"},
		{"HEAD", "/v1/meetings", "ok", reader, 200, "", "GET /v1/meetings"},
		{"HEAD", "/v1/meetings", "", nil, 401, strikeplate.CodeMissing, "GET /v1/meetings"},
		{"GET", "/v1/meetings/m%2F1", "meeting m/1", reader, 200, "", "GET /v1/meetings/{id}"},
		{"DELETE", "/v1/meetings/m1", "", reader, 403, strikeplate.CodeScope, "DELETE /v1/meetings/{id}"},
		{"BREW", "/v1/any", "ok", reader, 200, "", "/v1/any"},
		{"BREW", "/v1/any", "", principal("notes:read"), 403, strikeplate.CodeScope, "/v1/any"},
		{"GET", "/v1/tree/a/b", "ok", principal(), 200, "", "/v1/tree/"},
		{"GET", "http://api.example.com:8080/v1/meetings", "ok", principal(), 200, "", "GET api.example.com/v1/meetings"},
		{"CONNECT", "/v1/tunnel/x/y", "ok", principal(), 200, "", "CONNECT /v1/tunnel/{id}/"},
		{"GET", "/health", "ok", nil, 200, "", "GET /health"},

		{"GET", "/undeclared", "", reader, 403, strikeplate.CodeUndeclared, "/undeclared"},
		{"POST", "/undeclared", "", nil, 403, strikeplate.CodeUndeclared, "/undeclared"},
		{"GET", "/v1/meetings/export", "", reader, 403, strikeplate.CodeUndeclared, "GET /v1/meetings/export"},
		{"GET", "/undeclared/x/y", "", reader, 403, strikeplate.CodeUndeclared, "/undeclared/{id}/"},
		{"GET", "http://other.example.com/v1/meetings", "", reader, 403, strikeplate.CodeUndeclared, "GET other.example.com/v1/meetings"},
		{"GET", "/moved", "", reader, 403, strikeplate.CodeUndeclared, "GET /moved"}, // a redirect, but not the mux's own

		{"GET", "/nowhere", "", reader, 404, strikeplate.CodeNotFound, ""},
		{"GET", "/v1/meetings/m1/notes", "", reader, 404, strikeplate.CodeNotFound, ""},
		{"POST", "/v1/meetings", "", reader, 405, strikeplate.CodeMethod, ""},
		{"POST", "/v1/meetings/m1", "", reader, 405, strikeplate.CodeMethod, ""},
		{"CONNECT", "/nowhere", "", reader, 404, strikeplate.CodeNotFound, ""},

		// The mux's redirects; CONNECT has the client's own path for a pattern.
		{"GET", "/v1/tree", "", reader, 307, "", "/v1/tree/"},
		{"GET", "/v1//meetings", "", reader, 307, "", "GET /v1/meetings"},
		{"GET", "/nowhere/../v1/meetings/export", "", reader, 307, "", "GET /v1/meetings/export"},
		{"GET", "/nowhere/..//", "", reader, 307, "", ""},
		{"GET", "/undeclared/x", "", reader, 307, "", "/undeclared/{id}/"},
		{"CONNECT", "/v1/tunnel/x", "", reader, 307, "", ""},
	} {
		t.Run(c.method+" "+c.target, func(t *testing.T) {
			w, x := answer(t, strikeplate.Edge{}, c.principal, newRoutes(t), httptest.NewRequest(c.method, c.target, nil))
			code := ""
			if x.Refusal() != nil {
				code = x.Refusal().Code
				if c.principal != nil && x.Refusal().Credential != "key_1" {
					t.Errorf("the refusal names credential %q", x.Refusal().Credential)
				}
			}
			if w.Code != c.status || code != c.code || x.Pattern() != c.pattern || c.status == 200 && w.Body.String() != c.body {
				t.Errorf("%d %s %q by %q, want %d %s %q", w.Code, code, w.Body, x.Pattern(), c.status, c.code, c.pattern)
			}
			if allow := w.Header().Get("Allow"); (allow != "") != (c.status == 405) || c.status == 405 && !strings.Contains(w.Body.String(), allow) {
				t.Errorf("Allow: %q, body %s", allow, w.Body)
			}
		})
	}
}

// Requests for "*" are not for any route; the mux refuses them by itself.
func TestRoutesLeaveTheServersOwnTargetsAlone(t *testing.T) {
	r := httptest.NewRequest("OPTIONS", "*", nil)
	if w, _ := answer(t, strikeplate.Edge{}, nil, newRoutes(t), r); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestUndeclaredIsToldOnce: each pattern is logged at its first request and listed
// from then on, so that a test that calls every path fails on it.
func TestUndeclaredIsToldOnce(t *testing.T) {
	routes := newRoutes(t)
	var log bytes.Buffer
	routes.Logger = slog.New(slog.NewTextHandler(&log, nil))
	if got := routes.Undeclared(); len(got) != 0 {
		t.Errorf("before any request: %q", got)
	}
	for _, target := range []string{"/undeclared", "/undeclared?x", "/v1/meetings", "/nowhere", "/moved", "/undeclared", "/undeclared/1", "/v1//meetings",
		"/v1/meetings/export", "/undeclared/1/", "/undeclared/2/3"} {
		answer(t, strikeplate.Edge{}, principal("meetings:read"), routes, get(target))
	}
	r := httptest.NewRequest("CONNECT", "/undeclared/attackers-choice", nil)
	answer(t, strikeplate.Edge{}, nil, routes, r)
	want := []string{"/undeclared", "/undeclared/{id}/", "GET /moved", "GET /v1/meetings/export"}
	if diff := cmp.Diff(want, routes.Undeclared()); diff != "" {
		t.Error(diff)
	}
	for _, pattern := range want {
		if n := strings.Count(log.String(), fmt.Sprintf("pattern=%s\n", quoteIfNeeded(pattern))); n != 1 {
			t.Errorf("%q was logged %d times:\n%s", pattern, n, &log)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != len(want) {
		t.Errorf("%d lines:\n%s", n, &log)
	}
}

func quoteIfNeeded(s string) string {
	if strings.ContainsAny(s, " ") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

func TestUndeclaredByDefaultIsLoggedByTheDefaultLogger(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	routes := newRoutes(t)
	routes.Logger = nil
	routes.ServeHTTP(httptest.NewRecorder(), get("/undeclared"))
	if !strings.Contains(log.String(), "pattern=/undeclared") {
		t.Errorf("logged: %s", &log)
	}
}

// What is declared is guarded on the mux as well.
func TestMuxServesDeclaredRoutesGuarded(t *testing.T) {
	mux := http.NewServeMux()
	scope.NewRoutes(scope.Plain{}, nil, mux).Handle("GET /v1/meetings", reading, ok)
	for status, p := range map[int]*strikeplate.Principal{200: principal("meetings:read"), 403: principal(), 401: nil} {
		if w, x := answer(t, strikeplate.Edge{}, p, mux, get("/v1/meetings")); w.Code != status || x.Pattern() != "GET /v1/meetings" {
			t.Errorf("%d by %q, want %d", w.Code, x.Pattern(), status)
		}
	}
}

// Two registries may share a mux: what either declared is served through both.
func TestRoutesShareAMux(t *testing.T) {
	mux := http.NewServeMux()
	one, two := scope.NewRoutes(scope.Plain{}, nil, mux), scope.NewRoutes(scope.Plain{}, nil, mux)
	one.Handle("GET /one", reading, ok)
	two.Handle("GET /two", reading, ok)
	if w, _ := answer(t, strikeplate.Edge{}, principal("meetings:read"), one, get("/two")); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w, _ := answer(t, strikeplate.Edge{}, principal(), one, get("/two")); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if _, found := one.Find(get("/two")); found || len(one.All()) != 1 {
		t.Error("one lists what two declared")
	}
}

// A mux of its own can hold nothing undeclared.
func TestRoutesWithoutAMux(t *testing.T) {
	routes := scope.NewRoutes(scope.Plain{}, nil, nil)
	routes.Handle("GET /{$}", scope.Requirement{Authenticated: true}, ok)
	for target, status := range map[string]int{"/": 200, "/x": 404} {
		if w, _ := answer(t, strikeplate.Edge{}, principal(), routes, get(target)); w.Code != status {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

// TestPatternsAreTold: the Exchange knows the pattern where a middleware copied
// the request, and the further one where a mux stands inside a declared tree,
// unless that told its own.
func TestPatternsAreTold(t *testing.T) {
	copying := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(strikeplate.NewContext(r.Context(), principal("meetings:read"))))
		})
	}
	inner := http.NewServeMux()
	inner.Handle("GET /v1/tree/leaf/{id}", ok)
	inner.HandleFunc("GET /v1/tree/told", func(_ http.ResponseWriter, r *http.Request) {
		strikeplate.ExchangeFrom(r.Context()).SetPattern("told further in")
	})
	routes := scope.NewRoutes(scope.Plain{}, nil, nil)
	routes.Handle("/v1/tree/", reading, inner)
	routes.Handle("GET /v1/plain/{id}", reading, ok)
	routes.Handle("GET /v1/panic/{id}", reading, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	routes.Public("GET /v1/public/{id}", ok)
	for target, want := range map[string]string{
		"/v1/plain/1": "GET /v1/plain/{id}", "/v1/public/1": "GET /v1/public/{id}", "/v1/panic/1": "GET /v1/panic/{id}",
		"/v1/tree/leaf/1": "GET /v1/tree/leaf/{id}", "/v1/tree/none": "", "/v1/tree/told": "told further in",
	} {
		for name, h := range map[string]http.Handler{"copied": copying(routes), "as it is": strikeplatetest.As(principal("meetings:read"))(routes)} {
			var x *strikeplate.Exchange
			edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){func(done *strikeplate.Exchange) { x = done }}}
			func() {
				defer func() { _ = recover() }()
				edge.Handler(h).ServeHTTP(httptest.NewRecorder(), get(target))
			}()
			if want == "" { // the inner mux found nothing, and says so
				want = "/v1/tree/"
			}
			if x.Pattern() != want {
				t.Errorf("%s, %s: %q, want %q", target, name, x.Pattern(), want)
			}
		}
	}
}

// Handlers and Authorizers find the pattern in the request, however it was served.
func TestHandlersSeeThePattern(t *testing.T) {
	var asked []scope.Request
	var seen []string
	routes := scope.NewRoutes(deciding{decision: scope.Decision{Allowed: true}, asked: &asked}, nil, nil)
	for _, pattern := range []string{"GET /fixed", "GET /wild/{id}"} {
		routes.HandleFunc(pattern, reading, func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.Pattern) })
	}
	for _, target := range []string{"/fixed", "/wild/1"} {
		routes.ServeHTTP(httptest.NewRecorder(), get(target).WithContext(strikeplate.NewContext(t.Context(), principal())))
	}
	if want := []string{"GET /fixed", "GET /wild/{id}"}; !slices.Equal(seen, want) || asked[0].Route != want[0] || asked[1].Route != want[1] {
		t.Errorf("seen %q, asked %+v", seen, asked)
	}
}

// TestBehind: everything but public routes wants to know who is there, also what
// doesn't exist.
func TestBehind(t *testing.T) {
	keys := strikeplatetest.Keys{"good": principal("meetings:read")}
	h := newRoutes(t).Behind(strikeplate.Require(keys))
	for _, c := range []struct {
		method, target     string
		anonymous, present int
	}{
		{"GET", "/health", 200, 200}, {"HEAD", "/health", 200, 200}, {"POST", "/health", 401, 405}, {"GET", "/health/", 401, 404},
		{"GET", "//health", 401, 307}, {"GET", "/health/../v1/meetings", 401, 307},
		{"GET", "/v1/meetings", 401, 200}, {"DELETE", "/v1/meetings/1", 401, 403}, {"GET", "/nowhere", 401, 404},
		{"GET", "/undeclared", 401, 403}, {"GET", "/v1/tree", 401, 307},
	} {
		for authorization, want := range map[string]int{"": c.anonymous, "Bearer good": c.present} {
			r := httptest.NewRequest(c.method, c.target, nil)
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			if w, _ := answer(t, strikeplate.Edge{}, nil, h, r); w.Code != want {
				t.Errorf("%s %s with %q: %d, want %d", c.method, c.target, authorization, w.Code, want)
			}
		}
	}
	// A bad credential doesn't matter where none is wanted.
	r := get("/health")
	r.Header.Set("Authorization", "Bearer bad")
	if w, _ := answer(t, strikeplate.Edge{}, nil, h, r); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRoutesList(t *testing.T) {
	routes := newRoutes(t)
	var patterns []string
	for _, r := range routes.All() {
		patterns = append(patterns, r.Pattern)
	}
	want := []string{"GET /health", "/v1/any", "GET /v1/meetings", "GET api.example.com/v1/meetings", "DELETE /v1/meetings/{id}",
		"GET /v1/meetings/{id}", "/v1/tree/", "CONNECT /v1/tunnel/{id}/"}
	if diff := cmp.Diff(want, patterns); diff != "" {
		t.Error(diff)
	}
	got, err := json.Marshal(routes.All()[:4])
	if err != nil || string(got) != `[{"pattern":"GET /health","method":"GET","path":"/health","public":true},`+
		`{"pattern":"/v1/any","path":"/v1/any","requires":{"any_of":["meetings:read","meetings:write"]}},`+
		`{"pattern":"GET /v1/meetings","method":"GET","path":"/v1/meetings","requires":{"all_of":["meetings:read"]}},`+
		`{"pattern":"GET api.example.com/v1/meetings","method":"GET","host":"api.example.com","path":"/v1/meetings","requires":{"authenticated":true}}]` {
		t.Errorf("%s, %v", got, err)
	}
	by := make(map[string][]string)
	for s, list := range routes.ByScope() {
		by[s] = []string{}
		for _, r := range list {
			by[s] = append(by[s], r.Pattern)
		}
	}
	if diff := cmp.Diff(map[string][]string{
		"meetings:read":  {"/v1/any", "GET /v1/meetings", "GET /v1/meetings/{id}"},
		"meetings:write": {"/v1/any", "DELETE /v1/meetings/{id}"},
		"notes:read":     {}, // it opens nothing
	}, by); diff != "" {
		t.Error(diff)
	}
}

// 002-72b: a product whose keys have access levels and no scopes declares levels in
// the same registry.
func TestSentence002_72bLevelsInTheSameRegistry(t *testing.T) {
	routes := scope.NewRoutes(scope.Plain{}, nil, nil)
	whole := []strikeplate.Access{strikeplate.OrganisationLimited, strikeplate.OrganisationFull, strikeplate.Legacy}
	routes.Handle("GET /v1/users", scope.Requirement{Access: whole}, ok)
	for level, status := range map[strikeplate.Access]int{strikeplate.UserLimited: 403, strikeplate.UserFull: 403, "": 403, "root": 403,
		strikeplate.OrganisationLimited: 200, strikeplate.OrganisationFull: 200, strikeplate.Legacy: 200} {
		if w, _ := answer(t, strikeplate.Edge{}, &strikeplate.Principal{Access: level}, routes, get("/v1/users")); w.Code != status {
			t.Errorf("%q: %d, want %d", level, w.Code, status)
		}
	}
	if diff := cmp.Diff([]scope.Route{{Pattern: "GET /v1/users", Method: "GET", Path: "/v1/users", Requires: scope.Requirement{Access: whole}}}, routes.All()); diff != "" {
		t.Error(diff)
	}
}

func TestFind(t *testing.T) {
	routes := newRoutes(t)
	for _, c := range []struct{ method, target, pattern string }{
		{"GET", "/v1/meetings", "GET /v1/meetings"}, {"HEAD", "/v1/meetings/1", "GET /v1/meetings/{id}"}, {"GET", "/health", "GET /health"},
		{"GET", "/v1/tree/x", "/v1/tree/"}, {"GET", "/v1/tree", ""}, {"GET", "/v1//meetings", ""}, {"POST", "/v1/meetings", ""},
		{"GET", "/undeclared", ""}, {"GET", "/nowhere", ""},
	} {
		got, found := routes.Find(httptest.NewRequest(c.method, c.target, nil))
		if got.Pattern != c.pattern || found != (c.pattern != "") {
			t.Errorf("%s %s: %+v, %v", c.method, c.target, got, found)
		}
	}
}

func TestRoutesPanic(t *testing.T) {
	routes := newRoutes(t)
	anybody := scope.Requirement{Authenticated: true}
	for want, f := range map[string]func(){
		"scope: nil Authorizer":                                  func() { scope.NewRoutes(nil, nil, nil) },
		"scope: the requirement of GET /new: it demands neither": func() { routes.Handle("GET /new", scope.Requirement{}, ok) },
		`not in the catalog: "meetings:raed"`:                    func() { routes.Handle("GET /new", scope.Requirement{AllOf: []string{"meetings:raed"}}, ok) },
		"nil handler for GET /new":                               func() { routes.Handle("GET /new", anybody, nil) },
		"nil handler for PUT /new":                               func() { routes.HandleFunc("PUT /new", anybody, nil) },
		"nil handler for GET /open":                              func() { routes.Public("GET /open", nil) },
		"conflicts":                                              func() { routes.Handle("GET /health", anybody, ok) },
		"parsing \"GET \"":                                       func() { routes.Handle("GET ", anybody, ok) },
		"invalid pattern":                                        func() { routes.Public("", ok) },
	} {
		if got := panicOf(f); !strings.Contains(got, want) {
			t.Errorf("panic %q, want %q", got, want)
		}
	}
	if n := len(routes.All()); n != 8 {
		t.Errorf("%d routes are listed: one that panicked is among them", n)
	}
}

// Routes may be declared, asked for and listed at the same time.
func TestRoutesAreSafeForConcurrentUse(t *testing.T) {
	routes := newRoutes(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			routes.Handle(fmt.Sprintf("GET /new/%d", i), reading, ok)
			for _, target := range []string{"/undeclared", "/moved", "/v1/meetings", fmt.Sprintf("/new/%d", i)} {
				routes.ServeHTTP(httptest.NewRecorder(), get(target))
			}
			routes.All()
			routes.ByScope()
			routes.Undeclared()
		})
	}
	all.Wait()
	if len(routes.All()) != 16 || len(routes.Undeclared()) != 2 {
		t.Errorf("%d routes, %q", len(routes.All()), routes.Undeclared())
	}
}

// FuzzRoutes: whatever is asked for, no undeclared handler is reached, no guarded
// one by anybody without its scope, and nothing but the mux's own redirects,
// public routes and "*" goes unrefused.
func FuzzRoutes(f *testing.F) {
	for _, seed := range []string{"/", "/v1/meetings", "/v1/meetings/x", "/undeclared", "/undeclared/x", "/undeclared/x/", "/moved", "//health", "/health",
		"/v1/tree/../undeclared", "/v1/tree", "*", "/%2e%2e/undeclared", "/undeclared/%2f/"} {
		for _, method := range []string{"GET", "POST", "CONNECT", "OPTIONS"} {
			f.Add(method, seed, "example.com")
		}
	}
	f.Add("GET", "/v1/meetings", "api.example.com")
	f.Add("GET", "/v1/meetings", "other.example.com:80")
	f.Fuzz(func(t *testing.T, method, target, host string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: u, Host: host, RequestURI: target, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		routes := newRoutes(t) // its undeclared handlers fail the test
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, r)
		found, declared := routes.Find(r)
		switch {
		case w.Code == 200 && (!declared || !found.Public),
			declared && !found.Public && w.Code != 401,
			!slices.Contains([]int{200, 307, 400, 401, 403, 404, 405}, w.Code),
			w.Code == 400 && target != "*":
			t.Errorf("%s %q at %q: %d %s", method, target, host, w.Code, w.Body)
		}
	})
}
