package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	ulule "github.com/ulule/limiter/v3"
	store "github.com/ulule/limiter/v3/drivers/store/redis"

	"github.com/strikeplate/strikeplate/internal/pairedtest"
	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/ratelimit"
)

const plenty = 1_000_000_000

// BenchmarkTake is one charge, to compare with BenchmarkUluleStore in the same run.
func BenchmarkTake(b *testing.B) {
	server := redistest.Start(b)
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			engine := open(b, e.make, config(b, server))
			p := policy(plenty, 24*time.Hour)
			if e.name == "GCRA" {
				p.Limit = 100_000_000
			}
			charges := []ratelimit.Charge{charge(p, ratelimit.Key("organisation", "acme"), 1)}
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

func BenchmarkUluleStore(b *testing.B) {
	s, err := store.NewStore(client(b, redistest.Start(b), true))
	if err != nil {
		b.Fatal(err)
	}
	l := ulule.New(s, ulule.Rate{Period: 24 * time.Hour, Limit: plenty})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Increment(b.Context(), "organisation:acme", 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTakeToUluleStore tells the ratio of the two, measured in turn.
func BenchmarkTakeToUluleStore(b *testing.B) {
	server := redistest.Start(b)
	s, err := store.NewStore(client(b, server, true))
	if err != nil {
		b.Fatal(err)
	}
	l := ulule.New(s, ulule.Rate{Period: 24 * time.Hour, Limit: plenty})
	engine := open(b, engines[0].make, config(b, server))
	charges := []ratelimit.Charge{charge(policy(plenty, 24*time.Hour), ratelimit.Key("organisation", "acme"), 1)}
	out := make([]ratelimit.Decision, 1)
	pairedtest.Compare(b, func(int) {
		if _, err := l.Increment(b.Context(), "organisation:acme", 1); err != nil {
			b.Fatal(err)
		}
	}, func(int) {
		if err := engine.Take(b.Context(), charges, out); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkTakeSeveral is a request under two limits, one of them spent or not.
func BenchmarkTakeSeveral(b *testing.B) {
	server := redistest.Start(b)
	engine := open(b, engines[0].make, config(b, server))
	for _, second := range []int64{plenty, 1} {
		b.Run(fmt.Sprint("limit=", second), func(b *testing.B) {
			charges := []ratelimit.Charge{charge(policy(plenty, 24*time.Hour), "k", 1), charge(policy(second, time.Hour), "k", 1)}
			out := make([]ratelimit.Decision, 2)
			b.ReportAllocs()
			for b.Loop() {
				if err := engine.Take(b.Context(), charges, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLeased is a fleet's engine, with leases of 2 % of 1,000 and more.
func BenchmarkLeased(b *testing.B) {
	for _, limit := range []int64{1000, 100_000} {
		b.Run(fmt.Sprint("limit=", limit), func(b *testing.B) {
			var commands atomic.Int64
			lease := leased(b, redistest.Start(b), &commands)
			charges := []ratelimit.Charge{charge(policy(limit, time.Hour), "k0", 1)}
			out := make([]ratelimit.Decision, 1)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if n++; n%int(limit) == 0 { // another caller, who has spent nothing
					charges[0].Key = fmt.Sprint("k", n)
				}
				if err := lease.Take(b.Context(), charges, out); err != nil || !out[0].Allowed {
					b.Fatal(out[0], err)
				}
			}
			b.ReportMetric(float64(commands.Load())/float64(n), "redis-ops/op")
		})
	}
}

func BenchmarkGate(b *testing.B) {
	g := gate(b, redistest.Start(b), time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		leave, err := g.Enter(b.Context(), "acme", 10)
		if err != nil {
			b.Fatal(err)
		}
		leave()
	}
}
