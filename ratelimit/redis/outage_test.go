package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/ratelimit/redis"
)

// timeOut is what the stack below is configured to wait at most for Redis, and
// tolerated what a call may take on a busy machine: far less than Redis is away.
const (
	timeOut   = 100 * time.Millisecond
	tolerated = 3 * time.Second
)

// changes notes what an OnChange hook hears.
type changes struct {
	mu   sync.Mutex
	list []bool
	busy atomic.Bool
}

func (c *changes) hear(failing bool, cause error) {
	if !c.busy.CompareAndSwap(false, true) {
		panic("two changes at once")
	}
	defer c.busy.Store(false)
	if failing != (cause != nil) {
		panic(fmt.Sprint("failing ", failing, " because of ", cause))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, failing)
}

func (c *changes) heard() []bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]bool(nil), c.list...)
}

type lines struct {
	mu sync.Mutex
	strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(b)
}

// stack is an engine in Redis with all of its decorators.
func stack(t testing.TB, s *redistest.Server, timeOut time.Duration, newEngine func(redis.Config) (*redis.Engine, error), c ratelimit.FallbackConfig) *ratelimit.Fallback {
	t.Helper()
	config := config(t, s)
	config.Timeout = timeOut
	cache, err := ratelimit.NewDenyCache(ratelimit.DenyCacheConfig{Engine: open(t, newEngine, config)})
	if err != nil {
		t.Fatal(err)
	}
	lease, err := ratelimit.NewLease(ratelimit.LeaseConfig{Engine: cache})
	if err != nil {
		t.Fatal(err)
	}
	if c.Shared, err = ratelimit.NewTimeout(lease, timeOut); err != nil {
		t.Fatal(err)
	}
	c.Pause = 100 * time.Millisecond
	f, err := ratelimit.NewFallback(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// try takes one unit, and tells whether it passed and how long that took.
func try(e ratelimit.Engine, c ratelimit.Charge) (bool, time.Duration, error) {
	var out [1]ratelimit.Decision
	start := time.Now()
	err := e.Take(context.Background(), []ratelimit.Charge{c}, out[:])
	return err == nil && out[0].Allowed, time.Since(start), err
}

func TestRedisKilledPausedAndRestartedUnderLoad(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			heard, logged := &changes{}, &lines{}
			f := stack(t, server, timeOut, e.make, ratelimit.FallbackConfig{
				Instances: 4, OnChange: heard.hear, Logger: slog.New(slog.NewTextHandler(logged, nil)), FailClosed: []string{"guard"},
			})
			spent, fresh, guard := spare(e.name, 40), spare(e.name, 40), spare(e.name, 1000)
			spent.Name, fresh.Name, guard.Name = "spent", "fresh", "guard"

			// Redis is well: this instance may let the whole limit through.
			var passed [3]atomic.Int64
			alone := func() bool { return f.Stats().Failing }
			for i := 0; passed[0].Load() < 30 || passed[1].Load() < 4; i++ {
				if i > 10_000 {
					t.Fatal("Redis is well, and nothing passes")
				}
				for k, p := range []ratelimit.Policy{spent, fresh} {
					if passed[k].Load() < []int64{30, 4}[k] {
						if ok, _, err := try(f, charge(p, "acme", 1)); err == nil && ok && !alone() {
							passed[k].Add(1)
						}
					}
				}
			}
			if failures := f.Stats().Failures; failures > 0 {
				t.Skipf("the machine is too busy: %d calls took longer than %v", failures, timeOut)
			}

			server.Pause() // from here on this instance is alone, or on probation
			ctx, stop := context.WithCancel(t.Context())
			var load sync.WaitGroup
			var longest, calls, refusedClosed atomic.Int64
			for g := range 16 {
				load.Go(func() {
					for i := g; ctx.Err() == nil; i++ {
						k := i % 3
						ok, took, err := try(f, charge([]ratelimit.Policy{spent, fresh, guard}[k], "acme", 1))
						calls.Add(1)
						for l := longest.Load(); int64(took) > l && !longest.CompareAndSwap(l, int64(took)); l = longest.Load() {
						}
						switch {
						case ok:
							passed[k].Add(1)
						case err != nil && k == 2:
							refusedClosed.Add(1)
						case err != nil:
							t.Errorf("a quota's request failed: %v", err)
							return
						}
						<-time.After(time.Millisecond)
					}
				})
			}
			eventually(t, "the pause to be noticed", alone)
			pause := time.After(5 * time.Second)
			eventually(t, "the guard to refuse", func() bool { return refusedClosed.Load() > 10 })
			<-pause
			server.Resume()
			eventually(t, "the engine to be back after the pause", func() bool { return !alone() })
			server.Kill()
			eventually(t, "the kill to be noticed", alone)
			server.Restart(t)
			eventually(t, "the engine to be back after the restart", func() bool { return !alone() })
			after := calls.Load()
			eventually(t, "requests after the restart", func() bool { return calls.Load() > after+1000 })
			stop()
			load.Wait()

			t.Logf("%d calls, the longest took %v; %+v", calls.Load(), time.Duration(longest.Load()), f.Stats())
			if d := time.Duration(longest.Load()); d > tolerated {
				t.Errorf("a request waited %v, with a time-out of %v", d, timeOut)
			}
			// The part of 4 instances is 10. Who had more gets nothing more, and who had
			// less gets the rest of the part, however often Redis failed and although it
			// has forgotten everything.
			if n := passed[0].Load(); n != 30 {
				t.Errorf("spent: %d passed, 30 of them before", n)
			}
			if n := passed[1].Load(); n != 10 {
				t.Errorf("fresh: %d passed, want the part, 10", n)
			}
			if changes := heard.heard(); len(changes) < 4 || len(changes) > 60 {
				t.Errorf("%d changes told, of at least 4: %v", len(changes), changes)
			} else {
				for i, failing := range changes {
					if failing != (i%2 == 0) {
						t.Errorf("changes %v don't alternate", changes)
						break
					}
				}
				if n := strings.Count(logged.String(), "\n"); n != len(changes) {
					t.Errorf("%d log lines for %d changes and %d calls:\n%s", n, len(changes), calls.Load(), logged.String())
				}
			}
		})
	}
}

// A Redis that comes and goes, and forgets everything each time, grants nobody a
// fresh quota.
func TestThreat24FlappingRedisGrantsNoFreshQuota(t *testing.T) {
	const limit, flaps = 100, 5
	for _, instances := range []int{1, 4} {
		t.Run(fmt.Sprint(instances), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			fleet := make([]*ratelimit.Fallback, instances)
			for i := range fleet {
				fleet[i] = stack(t, server, patient, redis.NewFixedWindow, ratelimit.FallbackConfig{Instances: instances, Logger: slog.New(slog.DiscardHandler)})
			}
			p := policy(limit, time.Hour)
			passed := 0
			ask := func(times int) {
				t.Helper()
				for i := range times {
					ok, _, err := try(fleet[i%instances], charge(p, "acme", 1))
					if err != nil {
						t.Fatal(err)
					}
					if ok {
						passed++
					}
				}
			}
			all := func(failing bool) func() bool {
				return func() bool {
					ok := true
					for _, f := range fleet {
						if good, _, _ := try(f, charge(p, "acme", 1)); good {
							passed++
						}
						ok = ok && f.Stats().Failing == failing
					}
					return ok
				}
			}
			ask(3 * limit)
			if passed != limit {
				t.Fatalf("%d passed while Redis is well, want %d", passed, limit)
			}
			for range flaps {
				server.Kill()
				eventually(t, "the kill to be noticed", all(true))
				ask(3 * limit)
				server.Restart(t)
				eventually(t, "the restart to be noticed", all(false))
				ask(3 * limit)
			}
			// Alone or not, every instance has let its part through before: all took turns.
			if passed != limit {
				t.Errorf("%d passed in %d flaps of Redis, want %d", passed, flaps, limit)
			}
		})
	}
}

// A guard fails closed, also in company; a quota beside it consumes nothing.
func TestGuardsFailClosed(t *testing.T) {
	server := redistest.Start(t)
	f := stack(t, server, patient, redis.NewFixedWindow, ratelimit.FallbackConfig{Instances: 1, FailClosed: []string{"guard"}, Logger: slog.New(slog.DiscardHandler)})
	quota, guard := policy(10, time.Hour), policy(10, time.Hour)
	guard.Name = "guard"
	server.Kill()
	for range 20 {
		err := f.Take(t.Context(), []ratelimit.Charge{charge(quota, "acme", 1), charge(guard, "acme", 1)}, make([]ratelimit.Decision, 2))
		if err == nil || errors.Is(err, ratelimit.ErrPolicy) {
			t.Fatalf("a guard whose engine fails says %v", err)
		}
	}
	if ok, _, err := try(f, charge(quota, "acme", 10)); !ok {
		t.Errorf("the quota's part was consumed by requests that the guard refused: %v", err)
	}
	if _, err := f.Peek(t.Context(), charge(guard, "acme", 1)); err == nil {
		t.Error("Peek tells about a guard whose engine fails")
	}
	if d, err := f.Peek(t.Context(), charge(quota, "acme", 1)); err != nil || d.Allowed || d.Limit != 10 {
		t.Errorf("Peek at a spent quota: %+v, %v", d, err)
	}
}
