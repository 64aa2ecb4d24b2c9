package strikeplate_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/strikeplate/strikeplate"
)

// bare is a response writer that costs nothing.
type bare struct{ header http.Header }

func (b bare) Header() http.Header               { return b.header }
func (b bare) Write(p []byte) (int, error)       { return len(p), nil }
func (b bare) WriteString(s string) (int, error) { return len(s), nil }
func (b bare) WriteHeader(int)                   {}

// BenchmarkEdge compares a handler alone with the same handler behind an Edge,
// and behind Require with an authenticator that costs nothing.
func BenchmarkEdge(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	known := authenticator(func(*http.Request) (*strikeplate.Principal, error) { return ada, nil })
	forwarded := get()
	forwarded.RemoteAddr = "10.0.0.1:443"
	forwarded.Header.Set("X-Forwarded-For", "192.0.2.7, 198.51.100.1, 10.0.0.2")
	for _, c := range []struct {
		name    string
		handler http.Handler
		request *http.Request
	}{
		{"bare", handler, get()},
		{"edge", strikeplate.Edge{}.Handler(handler), get()},
		{"edge+proxies", strikeplate.Edge{TrustedProxies: prefixes("10.0.0.0/8", "172.16.0.0/12")}.Handler(handler), forwarded},
		{"edge+require", strikeplate.Edge{}.Handler(strikeplate.Require(known)(handler)), get()},
		{"edge+refusal", strikeplate.Edge{}.Handler(strikeplate.Require(keys)(handler)), get("Bearer bad")},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := bare{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				c.handler.ServeHTTP(w, c.request)
			}
		})
	}
}
