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

// benchmark serves n callers in turn, of an organisation and an address each.
func benchmark(b *testing.B, h http.Handler, n int) {
	b.Helper()
	organisations, addresses := make([]string, n), make([]string, n)
	for i := range n {
		organisations[i] = fmt.Sprintf("org_%08d", i)
		addresses[i] = fmt.Sprintf("10.%d.%d.%d:4711", i>>16&255, i>>8&255, i&255)
	}
	c, w := newCaller(), &discard{http.Header{}}
	serve := func(i int) {
		clear(w.h)
		c.principal.Organisation, c.request.RemoteAddr = organisations[i], addresses[i]
		h.ServeHTTP(w, c.request)
	}
	for i := range n { // every counter exists
		serve(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		serve(i % n)
	}
	if w.h.Get("X-RateLimit-Remaining") == "0" {
		b.Fatal("somebody was refused")
	}
}

var keyCounts = []int{1, 100_000}

func BenchmarkMiddlewareMemory(b *testing.B) {
	for _, keys := range keyCounts {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			plans, err := ratelimit.NewPlans(ratelimit.PlansConfig{Plans: []ratelimit.Plan{
				{Name: "pro", Policies: []ratelimit.Policy{{Name: "pro", Limit: plenty, Period: time.Second}}},
			}})
			if err != nil {
				b.Fatal(err)
			}
			l, err := ratelimit.New(ratelimit.Config{Plans: plans})
			if err != nil {
				b.Fatal(err)
			}
			benchmark(b, l.Handler(nothing), keys)
		})
	}
}

func BenchmarkUluleMiddleware(b *testing.B) {
	for _, keys := range keyCounts {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			l := ulule.New(memory.NewStore(), ulule.Rate{Period: time.Second, Limit: plenty})
			benchmark(b, stdlib.NewMiddleware(l).Handler(nothing), keys)
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
