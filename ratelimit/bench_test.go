package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	ulule "github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/middleware/stdlib"
	"github.com/ulule/limiter/v3/drivers/store/memory"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pairedtest"
	"github.com/strikeplate/strikeplate/ratelimit"
)

// The middlewares are compared alone: same requests, same handler, same writer, and
// nobody is refused. What stands around them (the Edge, authentication) is made
// before the clock runs, as each service has it anyway.

// discard is a response writer whose header map is empty for each request, as
// net/http's is, and costs nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// A caller is a request as it is inside of Edge and Require. Real ones are as fresh
// in the processor's caches as this one; what is looked up by them is not.
type caller struct {
	request   *http.Request
	principal *strikeplate.Principal
}

func newCaller() (c caller) {
	c.principal = &strikeplate.Principal{Environment: strikeplate.Live, Plan: "pro"}
	r := httptest.NewRequest("GET", "/v1/meetings", nil)
	strikeplate.Edge{}.Handler(strikeplate.Require(c)(http.HandlerFunc(func(_ http.ResponseWriter, inside *http.Request) {
		c.request = inside
	}))).ServeHTTP(&discard{http.Header{}}, r)
	return c
}

func (c caller) Authenticate(*http.Request) (*strikeplate.Principal, error) { return c.principal, nil }

// Nobody makes this many requests in a second here.
const plenty = 9_000_000

// serving returns a function that serves the ith request of n callers in turn, of
// an organisation and an address each. Every counter exists already.
func serving(b *testing.B, h http.Handler, n int) func(i int) {
	b.Helper()
	organisations, addresses := make([]string, n), make([]string, n)
	for i := range n {
		organisations[i] = fmt.Sprintf("org_%08d", i)
		addresses[i] = fmt.Sprintf("10.%d.%d.%d:4711", i>>16&255, i>>8&255, i&255)
	}
	c, w := newCaller(), &discard{http.Header{}}
	serve := func(i int) {
		clear(w.h)
		c.principal.Organisation, c.request.RemoteAddr = organisations[i%n], addresses[i%n]
		h.ServeHTTP(w, c.request)
	}
	for i := range n {
		serve(i)
	}
	b.Cleanup(func() {
		if w.h.Get("X-RateLimit-Remaining") == "0" {
			b.Error("somebody was refused")
		}
	})
	return serve
}

var middlewares = []struct {
	name string
	make func(b *testing.B) http.Handler
}{
	{"memory", func(b *testing.B) http.Handler { // one limit for everybody, as ulule's
		l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
			{Policy: policy("pro", plenty, time.Second), By: ratelimit.ByOrganisation},
		}})
		if err != nil {
			b.Fatal(err)
		}
		return l.Handler(nothing)
	}},
	{"ulule", func(*testing.B) http.Handler {
		l := ulule.New(memory.NewStore(), ulule.Rate{Period: time.Second, Limit: plenty})
		return stdlib.NewMiddleware(l).Handler(nothing)
	}},
	{"plans", func(b *testing.B) http.Handler {
		plans, err := ratelimit.NewPlans(ratelimit.PlansConfig{Plans: []ratelimit.Plan{
			{Name: "pro", Policies: []ratelimit.Policy{policy("pro", plenty, time.Second)}},
		}})
		if err != nil {
			b.Fatal(err)
		}
		return byPlan(func(c *ratelimit.Config) { c.Plans = plans }).Handler(nothing)
	}},
}

var callerCounts = []int{1, 100_000}

func benchmarkMiddleware(b *testing.B, which int) {
	for _, n := range callerCounts {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			serve := serving(b, middlewares[which].make(b), n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				serve(i)
			}
		})
	}
}

func BenchmarkMiddlewareMemory(b *testing.B) { benchmarkMiddleware(b, 0) }
func BenchmarkUluleMiddleware(b *testing.B)  { benchmarkMiddleware(b, 1) }
func BenchmarkMiddlewarePlans(b *testing.B)  { benchmarkMiddleware(b, 2) }

// BenchmarkMiddlewareBesideUlule runs both in turn, a hundred requests each, so
// that other work on the machine is the same for both: "other/base" is what the one
// here takes of ulule's time.
func BenchmarkMiddlewareBesideUlule(b *testing.B) {
	for _, n := range callerCounts {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			pairedtest.Compare(b, serving(b, middlewares[1].make(b), n), serving(b, middlewares[0].make(b), n))
		})
	}
}

// BenchmarkEngines are Take alone.
func BenchmarkEngines(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			engine, err := e.make(ratelimit.MemoryConfig{})
			if err != nil {
				b.Fatal(err)
			}
			charges := []ratelimit.Charge{{Policy: ratelimit.Policy{Name: "p", Limit: plenty, Period: time.Second}, Key: ratelimit.Key("organisation", "acme"), Cost: 1}}
			out := make([]ratelimit.Decision, 1)
			b.ReportAllocs()
			for b.Loop() {
				if err := engine.Take(b.Context(), charges, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
