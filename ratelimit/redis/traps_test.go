package redis_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	ulule "github.com/ulule/limiter/v3"
	store "github.com/ulule/limiter/v3/drivers/store/redis"

	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/ratelimit/redis"
)

// These are traps of ulule/limiter's Redis store, one by one: that the trap is
// there, where that can be shown, and that the engine on it isn't caught.

// hook sees, and may change, each command of a client.
type hook struct {
	before func(goredis.Cmder) // of a pipeline; nil: nothing
	after  func(goredis.Cmder)
}

func (h hook) DialHook(next goredis.DialHook) goredis.DialHook { return next }
func (h hook) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		h.after(cmd)
		return err
	}
}
func (h hook) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		if h.before != nil {
			h.before(cmds[0])
		}
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			h.after(cmd)
		}
		return err
	}
}

func hooked(t testing.TB, s *redistest.Server, after func(goredis.Cmder)) redis.Config {
	t.Helper()
	c := client(t, s, true)
	c.AddHook(hook{after: after})
	return redis.Config{Client: c, Secret: secret, Timeout: patient}
}

func TestTrap1CountersInRedisAreNamedByPolicyAndRate(t *testing.T) {
	server := redistest.Start(t)
	raw, err := store.NewStore(client(t, server, true))
	if err != nil {
		t.Fatal(err)
	}
	wide, tight := ulule.New(raw, ulule.Rate{Period: time.Hour, Limit: 9}), ulule.New(raw, ulule.Rate{Period: time.Minute, Limit: 3})
	for range 3 {
		if _, err := wide.Get(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := tight.Get(t.Context(), "bob"); err != nil || !c.Reached {
		t.Logf("the store no longer mixes limits up: %+v, %v", c, err)
	}

	engine := open(t, redis.NewFixedWindow, config(t, server))
	p := ratelimit.Policy{Name: "api", Limit: 3, Period: time.Hour}
	for range 3 {
		take(t, engine, charge(p, "login:bob", 1))
	}
	other, minute := p, p
	other.Name, minute.Period = "api:login", time.Minute
	for _, c := range []ratelimit.Charge{charge(other, "bob", 1), charge(minute, "login:bob", 1), charge(p, "login:bo", 1)} {
		if d := take(t, engine, c); d.Remaining != 2 {
			t.Errorf("%+v shares a counter with another: %+v", c, d)
		}
	}
}

func TestTrap2TheLastMillisecondOfAWindowIsNotAPeriod(t *testing.T) {
	server := redistest.Start(t)
	// What Redis says in the last millisecond: PTTL is 0.
	last := func(cmd goredis.Cmder) {
		if c, ok := cmd.(*goredis.Cmd); ok && cmd.Name() == "evalsha" {
			if said, ok := c.Val().([]any); ok && len(said) == 2 {
				c.SetVal([]any{said[0], int64(0)})
			}
		}
	}
	c := hooked(t, server, last)
	raw, err := store.NewStore(c.Client)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		said, err := raw.Get(t.Context(), "k", ulule.Rate{Period: time.Hour, Limit: 9})
		if err == nil && time.Until(time.Unix(said.Reset, 0)) < 59*time.Minute {
			t.Logf("the store no longer tells a whole period: %+v", said)
		}
	}
	engine := open(t, redis.NewFixedWindow, c)
	for _, cost := range []int64{6, 6} {
		if d := take(t, engine, charge(policy(10, time.Hour), "k", cost)); d.ResetAfter > time.Millisecond || d.RetryAfter > time.Millisecond {
			t.Errorf("in a window's last millisecond: %+v", d)
		}
	}
	if d := peek(t, engine, charge(policy(10, time.Hour), "k", 1)); d.ResetAfter > time.Millisecond {
		t.Errorf("in a window's last millisecond: %+v", d)
	}
}

func TestTrap3ResetIsExactToTheMillisecond(t *testing.T) {
	server := redistest.Start(t)
	engine := open(t, redis.NewFixedWindow, config(t, server))
	p := policy(1, 90*time.Minute+700*time.Millisecond)
	start := time.Now()
	first := take(t, engine, charge(p, "k", 1))
	second := take(t, engine, charge(p, "k", 1))
	for _, got := range []time.Duration{first.ResetAfter, second.ResetAfter, second.RetryAfter} {
		if most := p.Period + time.Millisecond; got > most || got < most-time.Since(start)-time.Millisecond {
			t.Errorf("the window ends in %v, not within %v of %v", got, time.Since(start), p.Period)
		}
	}
}

func TestTrap4RedisMayBeDownAtTheStart(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	if _, err := store.NewStore(client(t, server, true)); err == nil {
		t.Log("the store no longer asks Redis when it is made")
	}
	for _, e := range engines {
		engine := open(t, e.make, config(t, server))
		p := spare(e.name, 10)
		if err := engine.Take(t.Context(), []ratelimit.Charge{charge(p, "k", 1)}, make([]ratelimit.Decision, 1)); err == nil {
			t.Errorf("%s: a Redis that is down decides", e.name)
		}
		server.Restart(t)
		if d := take(t, engine, charge(p, "k", 1)); !d.Allowed || d.Remaining != 9 {
			t.Errorf("%s: once Redis is up: %+v", e.name, d)
		}
		server.Kill()
		server.Restart(t) // it has forgotten the scripts
		if d := take(t, engine, charge(p, "k", 1)); !d.Allowed || d.Remaining != 9 {
			t.Errorf("%s: after a restart: %+v", e.name, d)
		}
		server.Kill()
	}
}

func TestTrap5NoCallOutlivesItsContext(t *testing.T) {
	server := redistest.Start(t)
	for _, e := range engines {
		for name, fresh := range map[string]bool{"a connection in use": false, "a new connection": true} {
			t.Run(e.name+", "+name, func(t *testing.T) {
				c := config(t, server)
				engine := open(t, e.make, c)
				if !fresh {
					take(t, engine, charge(spare(e.name, 10), "k", 1))
				}
				c.Timeout = 50 * time.Millisecond
				bounded := open(t, e.make, c)
				server.Pause()
				defer server.Resume()
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				for _, call := range []func() error{
					func() error {
						return engine.Take(ctx, []ratelimit.Charge{charge(spare(e.name, 10), "k", 1)}, make([]ratelimit.Decision, 1))
					},
					func() error {
						return bounded.Take(t.Context(), []ratelimit.Charge{charge(spare(e.name, 10), "k", 1)}, make([]ratelimit.Decision, 1))
					},
					func() error { return bounded.Refund(t.Context(), charge(spare(e.name, 10), "k", 1)) },
					func() error { return bounded.Reset(t.Context(), charge(spare(e.name, 10), "k", 1)) },
					func() error { _, err := bounded.Peek(t.Context(), charge(spare(e.name, 10), "k", 1)); return err },
				} {
					start := time.Now()
					if err := call(); err == nil {
						t.Error("a paused Redis answers")
					}
					if took := time.Since(start); took > 2*time.Second { // a machine may be busy; without a deadline it is for ever
						t.Errorf("a call of 50 ms took %v", took)
					}
				}
			})
		}
	}
}

func TestTrap8RefundsRestartNoWindowAndMakeNone(t *testing.T) {
	server := redistest.Start(t)
	c := client(t, server, true)
	engine := open(t, redis.NewFixedWindow, config(t, server))
	p := policy(10, time.Hour)
	key := func() string {
		keys, err := c.Keys(t.Context(), "*").Result()
		if err != nil || len(keys) > 1 {
			t.Fatalf("keys %q, %v", keys, err)
		}
		return strings.Join(keys, "")
	}
	// The window is over when the refund comes: nothing goes below nothing.
	d := take(t, engine, charge(p, "k", 4))
	back := charge(p, "k", 4)
	back.Taken = d.Taken
	if err := c.Del(t.Context(), key()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := engine.Refund(t.Context(), back); err != nil || key() != "" {
		t.Errorf("a refund made the counter %q, %v", key(), err)
	}
	// The next one has begun: it is left alone.
	take(t, engine, charge(p, "k", 5))
	back.Taken = d.Taken.Add(-time.Minute)
	if err := engine.Refund(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	if left := peek(t, engine, charge(p, "k", 0)).Remaining; left != 5 {
		t.Errorf("a refund of an earlier window leaves %d, want 5", left)
	}
	// A part comes back: the end stays.
	if err := c.PExpire(t.Context(), key(), 10*time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if err := engine.Refund(t.Context(), charge(p, "k", 4)); err != nil {
		t.Fatal(err)
	}
	take(t, engine, charge(p, "k", 1))
	if ttl := c.PTTL(t.Context(), key()).Val(); ttl > 10*time.Minute {
		t.Errorf("a refund moved the end of the window to %v", ttl)
	}
	// All comes back: nothing is left that a charge would begin again.
	if err := engine.Refund(t.Context(), charge(p, "k", 2)); err != nil || key() != "" {
		t.Errorf("with nothing counted there is the counter %q, %v", key(), err)
	}
}

func TestTrap8ShortAndShortenedPeriods(t *testing.T) {
	server := redistest.Start(t)
	var period atomic.Value
	engine := open(t, redis.NewFixedWindow, hooked(t, server, func(cmd goredis.Cmder) {
		if args := cmd.Args(); cmd.Name() == "evalsha" {
			period.Store(args[len(args)-1])
		}
	}))
	if err := engine.Check(policy(10, 900*time.Microsecond)); err == nil {
		t.Error("a period below a millisecond passes, which would never expire")
	}
	take(t, engine, charge(policy(10, 1500*time.Microsecond), "k", 1))
	if got := period.Load(); got != int64(2) {
		t.Errorf("1.5 ms are %v ms in Redis; shorter than that would let more through", got)
	}
	long, short := policy(10, 24*time.Hour), policy(10, time.Minute)
	take(t, engine, charge(long, "k", 10))
	if d := take(t, engine, charge(short, "k", 1)); d.Remaining != 9 || d.ResetAfter > 2*time.Minute {
		t.Errorf("a shortened policy goes on with the old counter: %+v", d)
	}
}

// Whoever listens on the port doesn't have to be Redis.
func TestAStrangerInsteadOfRedisIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	for _, e := range engines {
		c := goredis.NewClient(&goredis.Options{Addr: l.Addr().String(), ContextTimeoutEnabled: true, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		engine := open(t, e.make, redis.Config{Client: c, Secret: secret, Timeout: time.Second})
		if err := engine.Take(t.Context(), []ratelimit.Charge{charge(spare(e.name, 10), "k", 1)}, make([]ratelimit.Decision, 1)); err == nil {
			t.Errorf("%s: a stranger decides", e.name)
		}
	}
}
