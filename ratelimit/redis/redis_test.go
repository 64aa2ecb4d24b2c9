package redis_test

import (
	"context"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/ratelimit/redis"
)

// engines are those in Redis.
var engines = []struct {
	name string
	make func(redis.Config) (*redis.Engine, error)
}{
	{"fixed window", redis.NewFixedWindow},
	{"sliding log", redis.NewSlidingLog},
	{"GCRA", redis.NewGCRA},
}

var secret = []byte("an old secret of tests")

// patient is a time-out that no loaded machine reaches.
const patient = 30 * time.Second

func client(t testing.TB, s *redistest.Server, heeds bool) *goredis.Client {
	t.Helper()
	options, err := goredis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled, options.PoolSize = heeds, 64
	options.DialerRetries, options.MaxRetries = 1, -1
	c := goredis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func config(t testing.TB, s *redistest.Server) redis.Config {
	t.Helper()
	return redis.Config{Client: client(t, s, true), Secret: secret, Timeout: patient}
}

func open(t testing.TB, newEngine func(redis.Config) (*redis.Engine, error), c redis.Config) *redis.Engine {
	t.Helper()
	e, err := newEngine(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func policy(limit int64, period time.Duration) ratelimit.Policy {
	return ratelimit.Policy{Name: "p", Limit: limit, Period: period}
}

func charge(p ratelimit.Policy, key string, cost int64) ratelimit.Charge {
	return ratelimit.Charge{Policy: p, Key: key, Cost: cost}
}

// take takes one charge.
func take(t testing.TB, e ratelimit.Engine, c ratelimit.Charge) ratelimit.Decision {
	t.Helper()
	var out [1]ratelimit.Decision
	if err := e.Take(t.Context(), []ratelimit.Charge{c}, out[:]); err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func peek(t testing.TB, e ratelimit.Engine, c ratelimit.Charge) ratelimit.Decision {
	t.Helper()
	d, err := e.Peek(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// passed counts how many of n equal requests pass, from many goroutines at once.
func passed(t testing.TB, goroutines, n int, engine func(i int) ratelimit.Engine, charges func(i int) []ratelimit.Charge) map[string]int {
	t.Helper()
	var (
		mu    sync.Mutex
		count = map[string]int{}
		gate  = make(chan struct{})
		all   sync.WaitGroup
	)
	for g := range goroutines {
		all.Go(func() {
			<-gate
			for i := g; i < n; i += goroutines {
				cs := charges(i)
				out := make([]ratelimit.Decision, len(cs))
				if err := engine(i).Take(context.Background(), cs, out); err != nil {
					t.Error(err)
					return
				}
				ok := true
				for _, d := range out {
					ok = ok && d.Allowed
				}
				if ok {
					mu.Lock()
					count[cs[0].Policy.Name+" "+cs[0].Key]++
					mu.Unlock()
				}
			}
		})
	}
	close(gate)
	all.Wait()
	return count
}
