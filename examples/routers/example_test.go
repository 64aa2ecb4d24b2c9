package routers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/routers"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// world is a service whose keys are real.
type world struct {
	service *routers.Service
	keys    *keyauth.Authenticator
	manager *manage.Service
	reader  manage.Created // may read meetings, and not delete them
	counted []string       // what a usage counter would count by
}

var ada = storage.Actor{User: "usr_ada", Organisation: "org_acme", Role: "admin"}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newWorld(ctx context.Context) *world {
	store := memory.New()
	scheme := must(keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "demo_"}}, TagKeys: [][]byte{make([]byte, 32)},
		Hashing: keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true},
	}))
	w := &world{}
	w.keys = must(keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, InsecureNoDirectory: true, Feed: store}))
	w.manager = must(manage.New(manage.Config{Scheme: scheme, Keys: store, InsecureNoDirectory: true, MaxKeys: 10}))
	w.reader = must(w.manager.Create(ctx, ada, manage.Creation{Name: "Reader", Prefix: "demo_", Access: strikeplate.OrganisationFull, Scopes: []string{"meetings:read"}}))
	w.service = must(routers.New(w.keys, scope.Plain{}, func(x *strikeplate.Exchange) { w.counted = append(w.counted, x.Pattern()) }))
	return w
}

// ask prints what a request is answered, and the route that it counts for.
func (w *world) ask(h http.Handler, key, method, path string) string {
	r := httptest.NewRequestWithContext(context.Background(), method, path, nil)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	var body map[string]any
	_ = json.Unmarshal(answer.Body.Bytes(), &body)
	told := body["code"]
	if told == nil {
		told = body["id"]
	}
	route := w.counted[len(w.counted)-1]
	if route == "" {
		route = "no route"
	}
	return fmt.Sprint(method, " ", path, ": ", answer.Code, " ", told, ", counted for ", route)
}

// show asks the same of every router.
func show(routed func(*routers.Service) http.Handler) {
	w := newWorld(context.Background())
	defer w.keys.Close(context.Background())
	h := routed(w.service)
	key := w.reader.Secret.Reveal()
	fmt.Println(w.ask(h, key, "GET", "/v1/meetings/mtg_1"))
	fmt.Println(w.ask(h, key, "DELETE", "/v1/meetings/mtg_1"))
	fmt.Println(w.ask(h, "", "GET", "/v1/meetings/mtg_1"))
}

func ExampleService_ServeMux() {
	show((*routers.Service).ServeMux)
	// Output:
	// GET /v1/meetings/mtg_1: 200 mtg_1, counted for GET /v1/meetings/{id}
	// DELETE /v1/meetings/mtg_1: 403 insufficient_scope, counted for DELETE /v1/meetings/{id}
	// GET /v1/meetings/mtg_1: 401 missing_api_key, counted for no route
}

func ExampleService_Chi() {
	show((*routers.Service).Chi)
	// Output:
	// GET /v1/meetings/mtg_1: 200 mtg_1, counted for GET /v1/meetings/{id}
	// DELETE /v1/meetings/mtg_1: 403 insufficient_scope, counted for DELETE /v1/meetings/{id}
	// GET /v1/meetings/mtg_1: 401 missing_api_key, counted for no route
}

func ExampleService_Gin() {
	show((*routers.Service).Gin)
	// Output:
	// GET /v1/meetings/mtg_1: 200 mtg_1, counted for GET /v1/meetings/:id
	// DELETE /v1/meetings/mtg_1: 403 insufficient_scope, counted for DELETE /v1/meetings/:id
	// GET /v1/meetings/mtg_1: 401 missing_api_key, counted for no route
}

func ExampleService_Echo() {
	show((*routers.Service).Echo)
	// Output:
	// GET /v1/meetings/mtg_1: 200 mtg_1, counted for GET /v1/meetings/:id
	// DELETE /v1/meetings/mtg_1: 403 insufficient_scope, counted for DELETE /v1/meetings/:id
	// GET /v1/meetings/mtg_1: 401 missing_api_key, counted for no route
}

// What clients make up is no route in any router, and every router refuses in the
// same words.
func TestRoutersAgree(t *testing.T) {
	w := newWorld(t.Context())
	defer w.keys.Close(t.Context())
	key := w.reader.Secret.Reveal()
	for name, h := range map[string]http.Handler{
		"ServeMux": w.service.ServeMux(), "chi": w.service.Chi(), "gin": w.service.Gin(), "echo": w.service.Echo(),
	} {
		for _, test := range []struct {
			key, method, path string
			status            int
			code              string
			routed            bool
		}{
			{key, "GET", "/v1/meetings/mtg_1", 200, "", true},
			{key, "GET", "/v1/meetings/a%20b", 200, "", true},
			{key, "DELETE", "/v1/meetings/mtg_1", 403, "insufficient_scope", true},
			{key, "GET", "/v1/none", 404, "not_found", false},
			{key, "GET", "/v1/meetings/a/b", 404, "not_found", false},
			{key, "BREW", "/v1/meetings/mtg_1", 405, "method_not_allowed", false},
			{key[1:], "GET", "/v1/meetings/mtg_1", 401, "invalid_api_key", false},
			{"", "DELETE", "/v1/none", 401, "missing_api_key", false},
		} {
			r := httptest.NewRequestWithContext(t.Context(), test.method, test.path, nil)
			if test.key != "" {
				r.Header.Set("Authorization", "Bearer "+test.key)
			}
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, r)
			counted := w.counted[len(w.counted)-1]
			routed := strings.HasPrefix(counted, test.method+" /v1/meetings/") && !strings.Contains(counted, "mtg")
			if answer.Code != test.status || routed != test.routed || !routed && counted != "" {
				t.Errorf("%s: %s %s: %d, counted for %q", name, test.method, test.path, answer.Code, counted)
			}
			plain := name == "ServeMux" && (test.status == 404 || test.status == 405) // scope.Routes would say it in the dialect
			if test.code != "" && !plain && !strings.Contains(answer.Body.String(), `"code":"`+test.code+`"`) {
				t.Errorf("%s: %s %s: %s", name, test.method, test.path, answer.Body)
			}
			if answer.Header().Get("X-Request-Id") == "" || answer.Header().Get("X-RateLimit-Limit") == "" {
				t.Errorf("%s: %s %s: %v", name, test.method, test.path, answer.Header())
			}
		}
	}
}
