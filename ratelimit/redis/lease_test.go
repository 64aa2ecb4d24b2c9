package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/ratelimit/redis"
)

// leased is an engine in Redis that takes in chunks, and a count of its commands.
func leased(t testing.TB, s *redistest.Server, commands *atomic.Int64) *ratelimit.Lease {
	t.Helper()
	config := hooked(t, s, func(cmd goredis.Cmder) {
		switch cmd.Name() {
		case "eval", "evalsha", "get", "del":
			commands.Add(1)
		}
	})
	cache, err := ratelimit.NewDenyCache(ratelimit.DenyCacheConfig{Engine: open(t, redis.NewFixedWindow, config)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ratelimit.NewLease(ratelimit.LeaseConfig{Engine: cache})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A fleet with leases: never over the limit, under it by a chunk for each instance
// at most, and no more than 0.05 commands to Redis for a request.
func TestLeasedFleet(t *testing.T) {
	const instances, goroutines = 4, 64
	for _, limit := range []int64{1000, 2500, 100_000} {
		for name, pick := range map[string]func(i int) int{
			"even":   func(i int) int { return i % instances },
			"skewed": func(i int) int { return min(i%20, instances-1) }, // one gets 17 of 20
			"alone":  func(int) int { return 2 },
		} {
			t.Run(fmt.Sprint(limit, " ", name), func(t *testing.T) {
				server := redistest.Start(t)
				var commands atomic.Int64
				var fleet [instances]ratelimit.Engine
				for i := range fleet {
					fleet[i] = leased(t, server, &commands)
					// Redis gets its scripts once.
					for _, c := range []ratelimit.Charge{charge(policy(1, time.Hour), "warm", 1), charge(policy(1, time.Hour), "warm", 1)} {
						take(t, fleet[i], c)
					}
				}
				commands.Store(0)
				start := time.Now()
				p := policy(limit, time.Hour)
				passed := passed(t, goroutines, int(limit)*6/5, func(i int) ratelimit.Engine { return fleet[pick(i)] }, func(int) []ratelimit.Charge {
					return []ratelimit.Charge{charge(p, "acme", 1)}
				})["p acme"]
				chunk := int(limit) / 50
				if passed > int(limit) || passed < int(limit)-instances*chunk {
					t.Errorf("%d passed of %d with chunks of %d", passed, limit, chunk)
				}
				perRequest := float64(commands.Load()) / float64(limit*6/5)
				t.Logf("%d of %d passed, %.4f commands a request", passed, limit, perRequest)
				// Refused instances ask once in 100 ms, and a refusal is two commands.
				refusals := 2 * instances * (1 + time.Since(start).Seconds()/0.1)
				if most := 0.05*float64(limit*6/5) + refusals; float64(commands.Load()) > most {
					t.Errorf("%d commands to Redis, want at most %.0f", commands.Load(), most)
				}
			})
		}
	}
}
