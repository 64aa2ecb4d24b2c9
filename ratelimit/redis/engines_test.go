package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/ratelimit/redis"
)

// spare is a Limit and Burst at which n units may come at once, of any engine, and
// hardly any come back while a test runs.
func spare(e string, n int64) ratelimit.Policy {
	p := ratelimit.Policy{Name: "p", Limit: n, Period: 24 * time.Hour}
	if e == "GCRA" {
		p.Limit, p.Burst = n+1, n
	}
	return p
}

func TestNoMoreThanTheLimitFromFourInstances(t *testing.T) {
	const goroutines, instances, plans, tries = 64, 4, 10, 3000
	server := redistest.Start(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			var fleet [instances]ratelimit.Engine
			for i := range fleet {
				fleet[i] = open(t, e.make, config(t, server))
			}
			policies := make([]ratelimit.Policy, plans)
			for i := range policies {
				policies[i] = spare(e.name, int64(10+15*i))
				policies[i].Name = fmt.Sprint("plan", i)
			}
			got := passed(t, goroutines, tries, func(i int) ratelimit.Engine { return fleet[i/7%instances] }, func(i int) []ratelimit.Charge {
				return []ratelimit.Charge{charge(policies[i%plans], "acme", 1)}
			})
			for i, p := range policies {
				if want := 10 + 15*i; got[p.Name+" acme"] != want {
					t.Errorf("%d of %d passed, want %d", got[p.Name+" acme"], tries/plans, want)
				}
			}
		})
	}
}

// Two limits at once: the tighter one holds, and what it refuses is given back.
func TestSeveralChargesNeverExceedAnyLimit(t *testing.T) {
	const goroutines, instances, tries = 64, 4, 1500
	server := redistest.Start(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			var fleet [instances]ratelimit.Engine
			for i := range fleet {
				fleet[i] = open(t, e.make, config(t, server))
			}
			wide, tight := spare(e.name, 200), spare(e.name, 20)
			wide.Name, tight.Name = "wide", "tight"
			got := passed(t, goroutines, tries, func(i int) ratelimit.Engine { return fleet[i%instances] }, func(i int) []ratelimit.Charge {
				return []ratelimit.Charge{charge(wide, "acme", 1), charge(tight, fmt.Sprint("user", i%50), 1)}
			})
			n := got["wide acme"]
			if n > 200 || n < 200-goroutines {
				t.Errorf("%d passed, want at most 200, and fewer by the requests in flight only", n)
			}
			// When all is quiet, exactly what passed is counted.
			if left := peek(t, fleet[0], charge(wide, "acme", 0)).Remaining; left != int64(200-n) {
				t.Errorf("%d left after %d of 200 passed", left, n)
			}
			sum := int64(0)
			for i := range 50 {
				sum += 20 - peek(t, fleet[0], charge(tight, fmt.Sprint("user", i), 0)).Remaining
			}
			if sum != int64(n) {
				t.Errorf("users are charged %d in all, after %d passed", sum, n)
			}
		})
	}
}

func TestRefusedRequestConsumesNothing(t *testing.T) {
	server := redistest.Start(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			engine := open(t, e.make, config(t, server))
			a, b, c := spare(e.name, 10), spare(e.name, 5), spare(e.name, 10)
			a.Name, b.Name, c.Name = "a", "b", "c"
			take(t, engine, charge(b, "k", 4))
			take(t, engine, charge(c, "k", 3))
			out := make([]ratelimit.Decision, 3)
			if err := engine.Take(t.Context(), []ratelimit.Charge{charge(a, "k", 2), charge(b, "k", 2), charge(c, "k", 2)}, out); err != nil {
				t.Fatal(err)
			}
			for i, want := range []struct {
				allowed   bool
				remaining int64
			}{{true, 10}, {false, 1}, {true, 7}} {
				if out[i].Allowed != want.allowed || out[i].Remaining != want.remaining {
					t.Errorf("decision %d: %+v; want %+v", i, out[i], want)
				}
				if !out[i].Taken.IsZero() {
					t.Errorf("decision %d tells a time when nothing was taken", i)
				}
			}
			if out[0].ResetAfter != 0 || out[1].RetryAfter <= 0 {
				t.Errorf("decisions %+v; want nothing to reset in the first, and a wait in the second", out)
			}
			for p, want := range map[ratelimit.Policy]int64{a: 10, b: 1, c: 7} {
				if d := peek(t, engine, charge(p, "k", 0)); d.Remaining != want {
					t.Errorf("%s: %d left, want %d", p.Name, d.Remaining, want)
				}
			}
		})
	}
}

func TestDecisions(t *testing.T) {
	server := redistest.Start(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			engine := open(t, e.make, config(t, server))
			p := spare(e.name, 10)
			look := func(what string, d ratelimit.Decision, allowed bool, remaining int64, retry, reset bool) {
				t.Helper()
				if d.Allowed != allowed || d.Remaining != remaining || d.Limit != p.Limit || (d.RetryAfter > 0) != retry || (d.ResetAfter > 0) != reset {
					t.Errorf("%s: %+v; want allowed %v, remaining %d, retry %v, reset %v", what, d, allowed, remaining, retry, reset)
				}
			}
			look("unused", peek(t, engine, charge(p, "k", 10)), true, 0, false, false)
			look("looking", take(t, engine, charge(p, "k", 0)), true, 10, false, false)
			before := time.Now()
			d := take(t, engine, charge(p, "k", 4))
			look("4 of 10", d, true, 6, false, true)
			if d.Taken.Before(before) || d.Taken.After(time.Now()) {
				t.Errorf("taken at %v, not within the call", d.Taken)
			}
			look("peek 6", peek(t, engine, charge(p, "k", 6)), true, 0, false, true)
			look("peek 7", peek(t, engine, charge(p, "k", 7)), false, 6, true, true)
			look("7 more", take(t, engine, charge(p, "k", 7)), false, 6, true, true)
			look("6 more", take(t, engine, charge(p, "k", 6)), true, 0, false, true)
			look("1 more", take(t, engine, charge(p, "k", 1)), false, 0, true, true)
			look("looking at nothing left", take(t, engine, charge(p, "k", 0)), true, 0, false, true)
			if err := engine.Reset(t.Context(), charge(p, "k", 0)); err != nil {
				t.Fatal(err)
			}
			look("reset", peek(t, engine, charge(p, "k", 10)), true, 0, false, false)
		})
	}
}

func TestRefunds(t *testing.T) {
	server := redistest.Start(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			engine := open(t, e.make, config(t, server))
			p := spare(e.name, 10)
			left := func() int64 { return peek(t, engine, charge(p, "k", 0)).Remaining }
			refund := func(cost int64, taken time.Time) {
				t.Helper()
				c := charge(p, "k", cost)
				c.Taken = taken
				if err := engine.Refund(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			refund(3, time.Time{})
			if left() != 10 {
				t.Errorf("a refund of nothing leaves %d of 10", left())
			}
			d := take(t, engine, charge(p, "k", 6))
			refund(2, d.Taken)
			if left() != 6 {
				t.Errorf("4 taken, %d left of 10", left())
			}
			refund(2, time.Now().Add(-48*time.Hour))
			if left() != 6 {
				t.Errorf("a refund of what a window ago was taken: %d left, want 6", left())
			}
			refund(10, time.Time{})
			if left() != 10 {
				t.Errorf("all given back, %d left of 10", left())
			}
			if n := keysOf(t, server); n != 0 {
				t.Errorf("%d keys in Redis count nothing", n)
			}
			if take(t, engine, charge(p, "k", 10)); left() != 0 {
				t.Errorf("after too high a refund more than 10 may be had: %d left", left())
			}
			if err := engine.Reset(t.Context(), charge(p, "k", 0)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func keysOf(t *testing.T, s *redistest.Server) int64 {
	t.Helper()
	n, err := client(t, s, true).DBSize(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Waiting as long as told is always enough.
func TestRetryingExactlyThenPasses(t *testing.T) {
	server := redistest.Start(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			engine := open(t, e.make, config(t, server))
			p := ratelimit.Policy{Name: "p", Limit: 10, Period: 5 * time.Millisecond}
			n := atOnce(e.name, p)
			for i := range 1000 {
				key := fmt.Sprint("k", i)
				if d := take(t, engine, charge(p, key, n)); !d.Allowed {
					t.Fatalf("the first is refused: %+v", d)
				}
				cost := int64(1 + i%int(n))
				for tries := 0; ; tries++ {
					d := take(t, engine, charge(p, key, cost))
					if d.Allowed {
						break
					}
					if tries > 0 {
						t.Fatalf("try %d: refused again after as long as told: %+v", i, d)
					}
					<-time.After(d.RetryAfter)
				}
			}
		})
	}
}

// atOnce is what may be had at once.
func atOnce(engine string, p ratelimit.Policy) int64 {
	if engine == "GCRA" {
		return p.Limit / 5
	}
	return p.Limit
}

// No window of any phase sees more than the limit, by Redis's own clock.
func TestNoWindowExceedsTheLimit(t *testing.T) {
	server := redistest.Start(t)
	for _, e := range engines[1:] {
		for _, p := range []ratelimit.Policy{
			{Name: "p", Limit: 20, Period: 30 * time.Millisecond},
			{Name: "p", Limit: 300, Period: 100 * time.Millisecond},
		} {
			t.Run(fmt.Sprint(e.name, " ", p.Limit), func(t *testing.T) {
				engine := open(t, e.make, config(t, server))
				type moment struct{ before, after time.Time }
				var took []moment
				for len(took) < 4*int(p.Limit) {
					m := moment{before: time.Now()}
					d := take(t, engine, charge(p, "k", 1))
					if m.after = time.Now(); d.Allowed {
						took = append(took, m)
					}
				}
				// Redis took each of them between before and after.
				for i := 0; i+int(p.Limit) < len(took); i++ {
					if apart := took[i+int(p.Limit)].after.Sub(took[i].before); apart < p.Period {
						t.Fatalf("%d units within %v, of %d in %v", p.Limit+1, apart, p.Limit, p.Period)
					}
				}
			})
		}
	}
}

func TestRefusedPolicies(t *testing.T) {
	server := redistest.Start(t)
	for _, e := range engines {
		engine := open(t, e.make, config(t, server))
		for name, c := range map[string]struct {
			p    ratelimit.Policy
			fine map[string]bool
		}{
			"plain":                   {ratelimit.Policy{Name: "p", Limit: 10, Period: time.Second}, map[string]bool{"fixed window": true, "sliding log": true, "GCRA": true}},
			"no name":                 {ratelimit.Policy{Limit: 10, Period: time.Second}, nil},
			"burst":                   {ratelimit.Policy{Name: "p", Limit: 10, Burst: 4, Period: time.Second}, map[string]bool{"GCRA": true}},
			"burst and rate above":    {ratelimit.Policy{Name: "p", Limit: 10, Burst: 10, Period: time.Second}, nil},
			"nothing to spread":       {ratelimit.Policy{Name: "p", Limit: 1, Period: time.Second}, map[string]bool{"fixed window": true, "sliding log": true}},
			"faster than the clock":   {ratelimit.Policy{Name: "p", Limit: 1_000_000, Period: time.Second}, map[string]bool{"fixed window": true, "sliding log": true}},
			"more than is exact":      {ratelimit.Policy{Name: "p", Limit: 2_000_000_000, Period: 366 * 24 * time.Hour}, map[string]bool{"fixed window": true, "sliding log": true}},
			"less than a millisecond": {ratelimit.Policy{Name: "p", Limit: 10, Period: time.Microsecond}, nil},
		} {
			err := engine.Check(c.p)
			if fine := c.fine[e.name]; fine != (err == nil) || err != nil && !errors.Is(err, ratelimit.ErrPolicy) {
				t.Errorf("%s: %s: %v; fine: %v", e.name, name, err, fine)
			}
			if takeErr := engine.Take(t.Context(), []ratelimit.Charge{charge(c.p, "k", 1)}, make([]ratelimit.Decision, 1)); errors.Is(takeErr, ratelimit.ErrPolicy) != (err != nil) {
				t.Errorf("%s: %s: Take says %v, Check %v", e.name, name, takeErr, err)
			}
		}
	}
}

func TestRefusedCosts(t *testing.T) {
	server := redistest.Start(t)
	for _, e := range engines {
		engine := open(t, e.make, config(t, server))
		p := spare(e.name, 10)
		for want, charges := range map[error][]ratelimit.Charge{
			ratelimit.ErrCost:      {charge(p, "k", 3), charge(p, "other", -1)},
			ratelimit.ErrTooCostly: {charge(p, "k", 6), charge(p, "k", 5)},
		} {
			if err := engine.Take(t.Context(), charges, make([]ratelimit.Decision, 2)); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", e.name, err, want)
			}
		}
		if _, err := engine.Peek(t.Context(), charge(p, "k", -1)); !errors.Is(err, ratelimit.ErrCost) {
			t.Errorf("%s: Peek: %v, want %v", e.name, err, ratelimit.ErrCost)
		}
		if err := engine.Refund(t.Context(), charge(p, "k", -1)); !errors.Is(err, ratelimit.ErrCost) {
			t.Errorf("%s: Refund: %v, want %v", e.name, err, ratelimit.ErrCost)
		}
		if d := peek(t, engine, charge(p, "k", 0)); d.Remaining != 10 {
			t.Errorf("%s: refused calls consumed: %+v", e.name, d)
		}
		// The same counter twice: costs add up.
		out := make([]ratelimit.Decision, 2)
		if err := engine.Take(t.Context(), []ratelimit.Charge{charge(p, "k", 6), charge(p, "k", 4)}, out); err != nil || out[1].Remaining != 0 {
			t.Errorf("%s: 6 and 4 of 10: %+v, %v", e.name, out, err)
		}
	}
}

// What is in Redis tells nothing, and no two counters share a key.
func TestKeysInRedisHoldNoSecretAndDontCollide(t *testing.T) {
	server := redistest.Start(t)
	c := client(t, server, true)
	pairs := [][2]ratelimit.Charge{
		{charge(ratelimit.Policy{Name: "api", Limit: 9, Period: time.Hour}, "login:bob", 1), charge(ratelimit.Policy{Name: "api:login", Limit: 9, Period: time.Hour}, "bob", 1)},
		{charge(ratelimit.Policy{Name: "p", Limit: 9, Period: time.Hour}, "k", 1), charge(ratelimit.Policy{Name: "p", Limit: 10, Period: time.Hour}, "k", 1)},
		{charge(ratelimit.Policy{Name: "p", Limit: 9, Period: time.Hour}, "a\x00b", 1), charge(ratelimit.Policy{Name: "p", Limit: 9, Period: time.Hour}, "a", 1)},
		{charge(ratelimit.Policy{Name: "p", Limit: 9, Period: time.Hour}, "10.1.2.3", 1), charge(ratelimit.Policy{Name: "p", Limit: 9, Period: time.Minute}, "10.1.2.3", 1)},
	}
	made := 0
	for _, e := range engines {
		for _, other := range [][]byte{secret, []byte("another secret of others")} {
			engine := open(t, e.make, redis.Config{Client: c, Secret: other, Timeout: patient})
			for _, pair := range pairs {
				for _, x := range pair {
					take(t, engine, x)
				}
			}
		}
		made += 2 * 2 * len(pairs)
		if n := keysOf(t, server); n != int64(made) {
			t.Fatalf("%s: %d keys for %d counters", e.name, n, made)
		}
	}
	keys, err := c.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		for _, word := range []string{"bob", "login", "api", "10.1", "secret"} {
			if strings.Contains(key, word) {
				t.Errorf("the key %q tells %q", key, word)
			}
		}
		if ttl := c.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > time.Hour+time.Second {
			t.Errorf("the key %q lives for %v", key, ttl)
		}
	}
}

func TestConfigs(t *testing.T) {
	server := redistest.Start(t)
	good := config(t, server)
	for name, c := range map[string]struct {
		change func(*redis.Config)
		want   string
	}{
		"no client":    {func(c *redis.Config) { c.Client = nil }, "Config.Client is missing"},
		"deaf client":  {func(c *redis.Config) { c.Client = client(t, server, false) }, "ContextTimeoutEnabled"},
		"deaf cluster": {func(c *redis.Config) { c.Client = goredis.NewClusterClient(&goredis.ClusterOptions{}) }, "ContextTimeoutEnabled"},
		"deaf ring":    {func(c *redis.Config) { c.Client = goredis.NewRing(&goredis.RingOptions{}) }, "ContextTimeoutEnabled"},
		"wrapped":      {func(c *redis.Config) { c.Client = struct{ goredis.UniversalClient }{c.Client} }, "doesn't tell"},
		"no secret":    {func(c *redis.Config) { c.Secret = nil }, "Config.Secret is missing"},
		"short secret": {func(c *redis.Config) { c.Secret = []byte("short") }, "needs 16"},
		"negative":     {func(c *redis.Config) { c.Timeout = -1 }, "Timeout is negative"},
		"insecure":     {func(c *redis.Config) { c.Secret, c.InsecureNoSecret = nil, true }, ""},
		"defaults":     {func(c *redis.Config) { c.Timeout = 0 }, ""},
	} {
		changed := good
		c.change(&changed)
		for _, e := range engines {
			_, err := e.make(changed)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s: %s: %v; want %q", e.name, name, err, c.want)
			}
		}
	}
}
