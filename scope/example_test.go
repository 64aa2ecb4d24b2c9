package scope_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/strikeplatetest"
)

// A service declares each route with what it requires, and can list them.
func Example() {
	catalog, err := scope.NewCatalog(
		scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings"},
		scope.Entry{Scope: "meetings:write", Description: "Delete meetings"},
	)
	if err != nil {
		panic(err)
	}
	routes := scope.NewRoutes(scope.Plain{}, catalog, nil)
	routes.HandleFunc("GET /v1/meetings/{id}", scope.Requirement{AllOf: []string{"meetings:read"}},
		func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "meeting ", r.PathValue("id")) })
	routes.HandleFunc("DELETE /v1/meetings/{id}", scope.Requirement{AllOf: []string{"meetings:write"}},
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	routes.Public("GET /health", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "healthy") }))

	keys := strikeplatetest.Keys{"reader": {Scopes: []string{"meetings:read"}}} // keyauth.Authenticator in earnest
	service := strikeplate.Edge{}.Handler(routes.Behind(strikeplate.Require(keys)))
	for _, c := range []struct{ method, path, key string }{
		{"GET", "/health", ""}, {"GET", "/v1/meetings/m_1", ""}, {"GET", "/v1/meetings/m_1", "reader"}, {"DELETE", "/v1/meetings/m_1", "reader"},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.key != "" {
			r.Header.Set("Authorization", "Bearer "+c.key)
		}
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		fmt.Printf("%s %s %d %q\n", c.method, c.path, w.Code, w.Header().Get("WWW-Authenticate"))
	}
	// Output:
	// GET /health 200 ""
	// GET /v1/meetings/m_1 401 "Bearer"
	// GET /v1/meetings/m_1 200 ""
	// DELETE /v1/meetings/m_1 403 "Bearer error=\"insufficient_scope\", scope=\"meetings:write\""
}

// Require guards one handler, behind any router.
func ExampleRequire() {
	export := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "exported") })
	guarded := scope.Require(scope.Plain{}, scope.Requirement{
		AllOf:       []string{"meetings:read"},
		AnyOf:       []string{"notes:read", "notes:write"},
		Environment: strikeplate.Live,
	})(export)
	for _, p := range []*strikeplate.Principal{
		{Environment: strikeplate.Live, Scopes: []string{"meetings:read", "notes:write"}},
		{Environment: strikeplate.Live, Scopes: []string{"meetings:read"}},
		{Environment: strikeplate.Test, Scopes: []string{"meetings:read", "notes:write"}},
	} {
		w := httptest.NewRecorder()
		strikeplate.Edge{Dialect: strikeplate.OpenAI}.Handler(strikeplatetest.As(p)(guarded)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 exported
	// 403 {"error":{"message":"The credential lacks what this route requires. Use one that has notes:read or notes:write.","type":"permission_error","code":"insufficient_scope","param":null}}
	//
	// 403 {"error":{"message":"This route is for credentials of the environment live only. Use one of them.","type":"permission_error","code":"wrong_environment","param":null}}
}

// The list of routes is JSON for a page of documentation.
func ExampleRoutes_All() {
	routes := scope.NewRoutes(scope.Plain{}, nil, nil)
	routes.Handle("GET /v1/meetings", scope.Requirement{AllOf: []string{"meetings:read"}}, http.NotFoundHandler())
	routes.Handle("GET /v1/users", scope.Requirement{Access: []strikeplate.Access{strikeplate.OrganisationFull}}, http.NotFoundHandler())
	list := json.NewEncoder(os.Stdout)
	for _, r := range routes.All() {
		_ = list.Encode(r)
	}
	// Output:
	// {"pattern":"GET /v1/meetings","method":"GET","path":"/v1/meetings","requires":{"all_of":["meetings:read"]}}
	// {"pattern":"GET /v1/users","method":"GET","path":"/v1/users","requires":{"access":["org-full"]}}
}

// A route that is registered past the registry is refused, and a test that calls
// every path of the documentation finds it.
func ExampleRoutes_Undeclared() {
	mux := http.NewServeMux()
	routes := scope.NewRoutes(scope.Plain{}, nil, mux)
	routes.Logger = slog.New(slog.DiscardHandler)
	routes.Handle("GET /v1/meetings", scope.Requirement{AllOf: []string{"meetings:read"}}, http.NotFoundHandler())
	mux.Handle("GET /v1/notes/{id}", http.NotFoundHandler()) // somebody forgot

	for _, path := range []string{"/v1/meetings", "/v1/notes/1", "/v1/notes/2"} {
		routes.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	fmt.Println(routes.Undeclared()) // if len(...) > 0 { t.Errorf(...) }
	// Output: [GET /v1/notes/{id}]
}
