package usage_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// exchanges returns complete exchanges of n keys, each with 8 routes.
func exchanges(tb testing.TB, keys int) []*strikeplate.Exchange {
	tb.Helper()
	var all []*strikeplate.Exchange
	var now *strikeplate.Principal
	edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){func(x *strikeplate.Exchange) { all = append(all, x) }}}
	mux := http.NewServeMux()
	for i := range 8 {
		mux.HandleFunc(fmt.Sprintf("GET /v1/resource%d/{id}", i), func(http.ResponseWriter, *http.Request) {})
	}
	handler := edge.Handler(strikeplate.Require(as(func() *strikeplate.Principal { return now }))(mux))
	for k := range keys {
		now = &strikeplate.Principal{Kind: strikeplate.KindKey, Organisation: fmt.Sprintf("organisation-%d", k%7), Credential: fmt.Sprintf("01JD0Q7Y8Z9ABCDEFGHJKM%06d", k),
			Lineage: fmt.Sprintf("01JD0Q7Y8Z9ABCDEFGHJKM%06d", k), Environment: strikeplate.Live}
		for i := range 8 {
			r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/v1/resource%d/7", i), nil)
			handler.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	return all
}

// as is an authenticator that knows who it is.
type as func() *strikeplate.Principal

func (a as) Authenticate(*http.Request) (*strikeplate.Principal, error) { return a(), nil }

// BenchmarkCount is what counting adds to a request: no allocation, and at most
// five times BenchmarkTimeNow.
func BenchmarkCount(b *testing.B) { count(b, exchanges(b, 8)) }

// BenchmarkCountOneKey: one key on one route, as in a loop.
func BenchmarkCountOneKey(b *testing.B) { count(b, exchanges(b, 1)[:1]) }

// BenchmarkCountManyKeys: 1,000 keys, so many that neither counters nor requests
// are in the processor's cache.
func BenchmarkCountManyKeys(b *testing.B) { count(b, exchanges(b, 1000)) }

func count(b *testing.B, all []*strikeplate.Exchange) {
	counter := counting(b, usage.Config{Store: memory.New(), Every: 5 * time.Minute})
	for _, x := range all {
		counter.Observe(x)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		counter.Observe(all[i*9%len(all)])
	}
}

// BenchmarkCountParallel: all processors count the same 8 keys.
func BenchmarkCountParallel(b *testing.B) {
	counter := counting(b, usage.Config{Store: memory.New(), Every: 5 * time.Minute})
	// Exchanges of their own: requests share no Exchange.
	sets := make(chan []*strikeplate.Exchange, 64)
	for range cap(sets) {
		sets <- exchanges(b, 8)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		mine := <-sets
		for i := 0; pb.Next(); i++ {
			counter.Observe(mine[i*9%len(mine)])
		}
	})
}

// BenchmarkTimeNow is the measure for BenchmarkCount.
func BenchmarkTimeNow(b *testing.B) {
	for b.Loop() {
		_ = time.Now()
	}
}

// BenchmarkTimeNowParallel is the measure for BenchmarkCountParallel.
func BenchmarkTimeNowParallel(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = time.Now()
		}
	})
}
