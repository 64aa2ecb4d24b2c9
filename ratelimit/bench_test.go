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

// requests returns n requests of n organisations from n addresses, as they are
// inside of Edge and Require.
func requests(n int) []*http.Request {
	all := make([]*http.Request, n)
	for i := range all {
		r := httptest.NewRequest("GET", "/v1/meetings", nil)
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:4711", i>>16&255, i>>8&255, i&255)
		p := &strikeplate.Principal{Organisation: fmt.Sprintf("org_%08d", i), Environment: strikeplate.Live, Plan: "pro"}
		r = r.WithContext(strikeplate.NewContext(r.Context(), p))
		strikeplate.Edge{}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, inside *http.Request) {
			all[i] = inside
		})).ServeHTTP(&discard{http.Header{}}, r)
	}
	return all
}

const plenty = 1_000_000_000

func benchmark(b *testing.B, h http.Handler, keys int) {
	b.Helper()
	all := requests(keys)
	w := &discard{http.Header{}}
	for _, r := range all { // every counter exists
		h.ServeHTTP(w, r)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		clear(w.h)
		h.ServeHTTP(w, all[i%len(all)])
	}
}

var keyCounts = []int{1, 100_000}

func BenchmarkMiddlewareMemory(b *testing.B) {
	for _, keys := range keyCounts {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			plans, err := ratelimit.NewPlans(ratelimit.PlansConfig{Plans: []ratelimit.Plan{
				{Name: "pro", Policies: []ratelimit.Policy{{Name: "pro", Limit: plenty, Period: time.Hour}}},
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
			l := ulule.New(memory.NewStore(), ulule.Rate{Period: time.Hour, Limit: plenty})
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
			charges := []ratelimit.Charge{{Policy: ratelimit.Policy{Name: "p", Limit: plenty, Period: time.Hour}, Key: ratelimit.Key("organisation", "acme"), Cost: 1}}
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
