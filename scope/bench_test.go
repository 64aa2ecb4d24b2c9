package scope_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/strikeplatetest"
)

// allower is the cheapest Authorizer, so that what remains is Require's own.
type allower struct{}

func (allower) Authorize(context.Context, scope.Request) (scope.Decision, error) {
	return scope.Decision{Allowed: true}, nil
}

// nowhere takes an answer and remembers nothing.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// authenticated returns a request of somebody with the fifteen scopes of a product.
func authenticated(tb testing.TB, method, target string) *http.Request {
	tb.Helper()
	var r *http.Request
	p := &strikeplate.Principal{Environment: strikeplate.Live, Access: strikeplate.OrganisationFull}
	for i := range 15 {
		p.Scopes = append(p.Scopes, fmt.Sprintf("resource-%02d:read", i))
	}
	strikeplatetest.As(p)(http.HandlerFunc(func(_ http.ResponseWriter, inside *http.Request) { r = inside })).
		ServeHTTP(nowhere{http.Header{}}, httptest.NewRequest(method, target, nil))
	return r
}

var lastScope = scope.Requirement{AllOf: []string{"resource-14:read"}}

func BenchmarkRequire(b *testing.B) {
	r, w := authenticated(b, "GET", "/v1/meetings"), nowhere{http.Header{}}
	for name, h := range map[string]http.Handler{
		"handler":  nothing,
		"allowing": scope.Require(allower{}, lastScope)(nothing),
		"plain":    scope.Require(scope.Plain{}, lastScope)(nothing),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkRoutes(b *testing.B) {
	mux := http.NewServeMux()
	routes := scope.NewRoutes(allower{}, nil, mux)
	for _, resource := range []string{"meetings", "recordings", "transcripts", "notes", "channels", "speakers"} {
		routes.Handle("GET /v1/"+resource, lastScope, nothing)
		routes.Handle("GET /v1/"+resource+"/{id}", lastScope, nothing)
		routes.Handle("DELETE /v1/"+resource+"/{id}", lastScope, nothing)
	}
	for _, path := range []string{"/v1/meetings", "/v1/meetings/m_1"} {
		r, w := authenticated(b, "GET", path), nowhere{http.Header{}}
		for name, h := range map[string]http.Handler{"mux": mux, "routes": routes} {
			b.Run(path[4:]+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					h.ServeHTTP(w, r)
				}
			})
		}
	}
}
