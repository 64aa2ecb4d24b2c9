// Package ratelimit_test compares limiters as middlewares: one limit for
// everybody, counted by caller, nobody refused, counters in memory.
package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/httprate"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/middleware/stdlib"
	"github.com/ulule/limiter/v3/drivers/store/memory"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pairedtest"
	"github.com/strikeplate/strikeplate/ratelimit"
)

const plenty = 9_000_000 // a second: nobody makes so many here

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// limiters are all keyed by the same text, the socket's address as it is, for
// what addresses are parsed to differs.
var limiters = []struct {
	name string
	make func(b *testing.B) http.Handler
}{
	{"strikeplate", func(b *testing.B) http.Handler {
		l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
			Policy: ratelimit.Policy{Name: "all", Limit: plenty, Period: time.Second},
			By:     func(r *http.Request, _ *strikeplate.Principal) string { return r.RemoteAddr },
		}}})
		if err != nil {
			b.Fatal(err)
		}
		return l.Handler(nothing)
	}},
	{"ulule", func(*testing.B) http.Handler {
		l := ulule.New(memory.NewStore(), ulule.Rate{Period: time.Second, Limit: plenty})
		return stdlib.NewMiddleware(l, stdlib.WithKeyGetter(func(r *http.Request) string { return r.RemoteAddr })).Handler(nothing)
	}},
	{"httprate", func(*testing.B) http.Handler {
		return httprate.LimitBy(plenty, time.Second, func(r *http.Request) (string, error) {
			return r.RemoteAddr, nil
		})(nothing)
	}},
	{"throttled", func(b *testing.B) http.Handler {
		store, err := memstore.NewCtx(0)
		if err != nil {
			b.Fatal(err)
		}
		quota := throttled.RateQuota{MaxRate: throttled.PerSec(plenty), MaxBurst: plenty}
		l, err := throttled.NewGCRARateLimiterCtx(store, quota)
		if err != nil {
			b.Fatal(err)
		}
		h := throttled.HTTPRateLimiterCtx{RateLimiter: l, VaryBy: &throttled.VaryBy{RemoteAddr: true}}
		return h.RateLimit(nothing)
	}},
}

// discard costs nothing; its header map is empty for each request.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// inside returns a request as it is behind Edge and Require, with a Principal, so
// that it is charged for good as by the others.
func inside() (r *http.Request) {
	everybody := authenticator{&strikeplate.Principal{Organisation: "acme"}}
	h := strikeplate.Edge{}.Handler(strikeplate.Require(everybody)(http.HandlerFunc(func(_ http.ResponseWriter, inside *http.Request) {
		r = inside
	})))
	h.ServeHTTP(&discard{http.Header{}}, httptest.NewRequest("GET", "/v1/meetings", nil))
	return r
}

type authenticator struct{ principal *strikeplate.Principal }

func (a authenticator) Authenticate(*http.Request) (*strikeplate.Principal, error) {
	return a.principal, nil
}

// serving returns a function that serves the ith request of n callers in turn.
// Every counter exists already.
func serving(b *testing.B, h http.Handler, n int) func(i int) {
	b.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)
	}
	r, w := inside(), &discard{http.Header{}}
	serve := func(i int) {
		clear(w.h)
		r.RemoteAddr = addresses[i%n]
		h.ServeHTTP(w, r)
	}
	for i := range n {
		serve(i)
	}
	b.Cleanup(func() {
		if len(w.h) < 3 || w.h.Get("Retry-After") != "" {
			b.Errorf("refused, or nothing told: %v", w.h)
		}
	})
	return serve
}

var callerCounts = []int{1, 100_000}

func BenchmarkMiddleware(b *testing.B) {
	for _, n := range callerCounts {
		for _, l := range limiters {
			b.Run(fmt.Sprintf("keys=%d/%s", n, l.name), func(b *testing.B) {
				serve := serving(b, l.make(b), n)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					serve(i)
				}
			})
		}
	}
}

// BenchmarkBesideStrikeplate runs each in turn with Strikeplate, a hundred requests
// of either, so that other work on the machine is the same for both: "other/base" is
// what the other takes of Strikeplate's time.
func BenchmarkBesideStrikeplate(b *testing.B) {
	for _, n := range callerCounts {
		for _, l := range limiters[1:] {
			b.Run(fmt.Sprintf("keys=%d/%s", n, l.name), func(b *testing.B) {
				pairedtest.Compare(b, serving(b, limiters[0].make(b), n), serving(b, l.make(b), n))
			})
		}
	}
}
