package ratelimit_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/strikeplate/strikeplate/ratelimit"
)

// engines are those in memory. atOnce is what each lets through at once of a
// limit of 100.
var engines = []struct {
	name   string
	make   func(ratelimit.MemoryConfig) (*ratelimit.Memory, error)
	atOnce int64
}{
	{"fixed window", ratelimit.NewFixedWindow, 100},
	{"sliding log", ratelimit.NewSlidingLog, 100},
	{"GCRA", ratelimit.NewGCRA, 20},
}

// eachEngine runs a test in a bubble, for each engine.
func eachEngine(t *testing.T, c ratelimit.MemoryConfig, f func(t *testing.T, e ratelimit.Engine, atOnce int64)) {
	t.Helper()
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, err := engine.make(c)
				if err != nil {
					t.Fatal(err)
				}
				f(t, e, engine.atOnce)
			})
		})
	}
}

var hundred = ratelimit.Policy{Name: "hundred", Limit: 100, Period: time.Minute}

func charge(p ratelimit.Policy, key string, cost int64) ratelimit.Charge {
	return ratelimit.Charge{Policy: p, Key: key, Cost: cost}
}

func take(t testing.TB, e ratelimit.Engine, charges ...ratelimit.Charge) []ratelimit.Decision {
	t.Helper()
	out := make([]ratelimit.Decision, len(charges))
	if err := e.Take(t.Context(), charges, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func allowed(out []ratelimit.Decision) bool {
	for _, d := range out {
		if !d.Allowed {
			return false
		}
	}
	return true
}

func remaining(t testing.TB, e ratelimit.Engine, p ratelimit.Policy, key string) int64 {
	t.Helper()
	d, err := e.Peek(t.Context(), charge(p, key, 0))
	if err != nil {
		t.Fatal(err)
	}
	return d.Remaining
}

// burst runs f on 64 goroutines that leave one barrier.
func burst(f func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range 64 {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

func TestExactAmongManyAtOnce(t *testing.T) {
	for round := range 20 {
		eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
			var passed atomic.Int64
			burst(func(int) {
				for range 5 {
					if allowed(take(t, e, charge(hundred, "acme", 1))) {
						passed.Add(1)
					}
				}
			})
			if passed.Load() != atOnce {
				t.Fatalf("round %d: %d passed, want exactly %d", round, passed.Load(), atOnce)
			}
		})
	}
}

// Each request has two charges in an order of its own, so that those who lock in
// the order given would wait for each other, and only one of the two binds.
func TestAllOrNoneAmongManyAtOnce(t *testing.T) {
	wide := ratelimit.Policy{Name: "wide", Limit: 1000, Burst: 0, Period: time.Minute}
	for range 20 {
		eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
			var passed atomic.Int64
			before := remaining(t, e, wide, "acme")
			burst(func(i int) {
				for range 5 {
					both := []ratelimit.Charge{charge(hundred, "acme", 1), charge(wide, "acme", 1)}
					if i%2 == 0 {
						both[0], both[1] = both[1], both[0]
					}
					if allowed(take(t, e, both...)) {
						passed.Add(1)
					}
				}
			})
			if passed.Load() != atOnce {
				t.Errorf("%d passed, want exactly %d", passed.Load(), atOnce)
			}
			if spent := before - remaining(t, e, wide, "acme"); spent != passed.Load() {
				t.Errorf("the wide policy was charged %d for %d requests that passed", spent, passed.Load())
			}
		})
	}
}

func TestDecisions(t *testing.T) {
	p := ratelimit.Policy{Name: "p", Limit: 10, Period: 10 * time.Second}
	spread := ratelimit.Policy{Name: "p", Limit: 10, Burst: 5, Period: 10 * time.Second} // one every 2 s
	type step struct {
		wait time.Duration
		cost int64
		want ratelimit.Decision
	}
	s := time.Second
	yes := func(left int64, reset time.Duration) ratelimit.Decision {
		return ratelimit.Decision{Allowed: true, Limit: 10, Remaining: left, ResetAfter: reset}
	}
	no := func(left int64, retry, reset time.Duration) ratelimit.Decision {
		return ratelimit.Decision{Limit: 10, Remaining: left, RetryAfter: retry, ResetAfter: reset}
	}
	for name, steps := range map[string][]step{
		"fixed window": {
			{0, 0, yes(10, 0)}, {0, 4, yes(6, 10*s)}, {3 * s, 6, yes(0, 7*s)}, {0, 1, no(0, 7*s, 7*s)}, {0, 0, yes(0, 7*s)},
			{6 * s, 1, no(0, s, s)}, {s, 1, yes(9, 10*s)}, {0, 10, no(9, 10*s, 10*s)}, {0, 9, yes(0, 10*s)},
		},
		"sliding log": {
			{0, 0, yes(10, 0)}, {0, 4, yes(6, 10*s)}, {3 * s, 6, yes(0, 10*s)}, {0, 1, no(0, 7*s, 10*s)}, {0, 5, no(0, 10*s, 10*s)},
			{7 * s, 4, yes(0, 10*s)}, {0, 1, no(0, 3*s, 10*s)}, {3 * s, 6, yes(0, 10*s)},
		},
		"GCRA": {
			{0, 0, yes(5, 0)}, {0, 5, yes(0, 10*s)}, {0, 1, no(0, 2*s, 10*s)}, {2 * s, 1, yes(0, 10*s)}, {s, 1, no(0, s, 9*s)},
			{0, 3, no(0, 5*s, 9*s)}, {5 * s, 3, yes(0, 10*s)}, {20 * s, 0, yes(5, 0)},
		},
	} {
		for _, engine := range engines {
			if engine.name != name {
				continue
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e, err := engine.make(ratelimit.MemoryConfig{})
					if err != nil {
						t.Fatal(err)
					}
					p := p
					if name == "GCRA" {
						p = spread
					}
					roughly := cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() <= time.Microsecond })
					for i, step := range steps {
						time.Sleep(step.wait) // of the bubble's clock
						got := take(t, e, charge(p, "k", step.cost))[0]
						if consumed := got.Allowed && step.cost > 0; consumed != got.Taken.Equal(time.Now()) {
							t.Errorf("step %d: Taken is %v", i, got.Taken)
						}
						if diff := cmp.Diff(step.want, got, roughly, cmpopts.IgnoreFields(ratelimit.Decision{}, "Taken")); diff != "" {
							t.Errorf("step %d: %s", i, diff)
						}
					}
				})
			})
		}
	}
}

func TestPeekConsumesNothing(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
		take(t, e, charge(hundred, "acme", atOnce-1))
		for range 3 {
			one, err := e.Peek(t.Context(), charge(hundred, "acme", 1))
			if err != nil || !one.Allowed || one.Remaining != 0 {
				t.Errorf("Peek of the last one: %+v, %v", one, err)
			}
			two, err := e.Peek(t.Context(), charge(hundred, "acme", 2))
			if err != nil || two.Allowed || two.Remaining != 1 || two.RetryAfter <= 0 {
				t.Errorf("Peek of one too many: %+v, %v", two, err)
			}
		}
		if !allowed(take(t, e, charge(hundred, "acme", 1))) {
			t.Error("Peek consumed")
		}
		if left := remaining(t, e, hundred, "nobody"); left != atOnce {
			t.Errorf("an unused counter has %d left, want %d", left, atOnce)
		}
	})
}

func TestRefundAndReset(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
		refund := func(cost int64) {
			t.Helper()
			if err := e.Refund(t.Context(), charge(hundred, "acme", cost)); err != nil {
				t.Fatal(err)
			}
		}
		refund(5) // of nothing
		take(t, e, charge(hundred, "acme", atOnce))
		refund(3)
		if left := remaining(t, e, hundred, "acme"); left != 3 {
			t.Errorf("after a refund of 3: %d left", left)
		}
		if allowed(take(t, e, charge(hundred, "acme", 4))) {
			t.Error("4 passed after a refund of 3")
		}
		refund(atOnce)
		refund(atOnce)
		if left := remaining(t, e, hundred, "acme"); left != atOnce {
			t.Errorf("after too many refunds: %d left, want %d", left, atOnce)
		}
		take(t, e, charge(hundred, "acme", atOnce))
		if err := e.Reset(t.Context(), charge(hundred, "acme", 0)); err != nil {
			t.Fatal(err)
		}
		if left := remaining(t, e, hundred, "acme"); left != atOnce {
			t.Errorf("after a reset: %d left, want %d", left, atOnce)
		}
	})
}

// What was taken in a window that is over can't make room in the one that runs.
func TestRefundOfAWindowThatIsOver(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
		old := charge(hundred, "acme", 1)
		old.Taken = take(t, e, old)[0].Taken
		time.Sleep(time.Minute) // of the bubble's clock
		taken := take(t, e, charge(hundred, "acme", atOnce))[0].Taken
		if err := e.Refund(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		if left := remaining(t, e, hundred, "acme"); left != 0 {
			t.Errorf("a refund from the window before made room for %d", left)
		}
		fresh := charge(hundred, "acme", 1)
		fresh.Taken = taken
		if err := e.Refund(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		if left := remaining(t, e, hundred, "acme"); left != 1 {
			t.Errorf("a refund in the same window left %d, want 1", left)
		}
	})
}

func TestErrors(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
		bad := hundred
		bad.Limit = 0
		for name, c := range map[string]struct {
			charges []ratelimit.Charge
			want    error
		}{
			"a negative cost":          {[]ratelimit.Charge{charge(hundred, "acme", -1)}, ratelimit.ErrCost},
			"a cost above the limit":   {[]ratelimit.Charge{charge(hundred, "acme", atOnce+1)}, ratelimit.ErrTooCostly},
			"a policy without a limit": {[]ratelimit.Charge{charge(bad, "acme", 1)}, ratelimit.ErrPolicy},
			"the second is negative":   {[]ratelimit.Charge{charge(hundred, "acme", 1), charge(hundred, "b", -1)}, ratelimit.ErrCost},
			"together above the limit": {[]ratelimit.Charge{charge(hundred, "acme", atOnce), charge(hundred, "acme", 1)}, ratelimit.ErrTooCostly},
		} {
			err := e.Take(t.Context(), c.charges, make([]ratelimit.Decision, len(c.charges)))
			if !errors.Is(err, c.want) {
				t.Errorf("%s: Take returned %v, want %v", name, err, c.want)
			}
			if len(c.charges) == 1 {
				if _, err := e.Peek(t.Context(), c.charges[0]); !errors.Is(err, c.want) {
					t.Errorf("%s: Peek returned %v, want %v", name, err, c.want)
				}
				if err := e.Refund(t.Context(), c.charges[0]); !errors.Is(err, c.want) {
					t.Errorf("%s: Refund returned %v, want %v", name, err, c.want)
				}
			}
			if left := remaining(t, e, hundred, "acme"); left != atOnce {
				t.Errorf("%s: %d left, want %d", name, left, atOnce)
			}
		}
		if err := e.Take(t.Context(), nil, nil); err != nil {
			t.Errorf("no charges: %v", err)
		}
	})
}

func TestTheSameCounterTwice(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
		take(t, e, charge(hundred, "acme", atOnce-2))
		if allowed(take(t, e, charge(hundred, "acme", 1), charge(hundred, "acme", 2))) {
			t.Error("1 and 2 of one counter passed where 2 were left")
		}
		if left := remaining(t, e, hundred, "acme"); left != 2 {
			t.Errorf("%d left, want 2", left)
		}
		out := take(t, e, charge(hundred, "acme", 1), charge(hundred, "acme", 1))
		if !allowed(out) || out[1].Remaining != 0 {
			t.Errorf("1 and 1 where 2 were left: %+v", out)
		}
	})
}

func TestCheck(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		name   string
		policy ratelimit.Policy
		ok     string // engines that honour it
	}{
		{"plain", ratelimit.Policy{Name: "a", Limit: 10, Period: time.Second}, "fixed window, sliding log, GCRA"},
		{"no name", ratelimit.Policy{Limit: 10, Period: time.Second}, ""},
		{"a name that would need escaping", ratelimit.Policy{Name: `a"b`, Limit: 10, Period: time.Second}, ""},
		{"a long name", ratelimit.Policy{Name: strings.Repeat("n", 65), Limit: 10, Period: time.Second}, ""},
		{"the longest name", ratelimit.Policy{Name: strings.Repeat("n", 64), Limit: 10, Period: time.Second}, "fixed window, sliding log, GCRA"},
		{"no limit", ratelimit.Policy{Name: "a", Period: time.Second}, ""},
		{"a negative limit", ratelimit.Policy{Name: "a", Limit: -1, Period: time.Second}, ""},
		{"a limit of 1", ratelimit.Policy{Name: "a", Limit: 1, Period: time.Second}, "fixed window, sliding log"},
		{"a huge limit", ratelimit.Policy{Name: "a", Limit: 999_999_999_999, Period: day}, "fixed window, sliding log"},
		{"a limit that is too huge", ratelimit.Policy{Name: "a", Limit: 1_000_000_000_000, Period: day}, ""},
		{"no period", ratelimit.Policy{Name: "a", Limit: 10}, ""},
		{"a period below a millisecond", ratelimit.Policy{Name: "a", Limit: 10, Period: time.Millisecond - 1}, ""},
		{"a millisecond", ratelimit.Policy{Name: "a", Limit: 10, Period: time.Millisecond}, "fixed window, sliding log, GCRA"},
		{"a period above a year", ratelimit.Policy{Name: "a", Limit: 10, Period: 367 * day}, ""},
		{"a burst", ratelimit.Policy{Name: "a", Limit: 10, Burst: 4, Period: time.Second}, "GCRA"},
		{"a burst of the limit", ratelimit.Policy{Name: "a", Limit: 10, Burst: 10, Period: time.Second}, ""},
		{"a burst above the limit", ratelimit.Policy{Name: "a", Limit: 10, Burst: 11, Period: time.Second}, ""},
		{"a negative burst", ratelimit.Policy{Name: "a", Limit: 10, Burst: -1, Period: time.Second}, ""},
	} {
		for _, engine := range engines {
			e, err := engine.make(ratelimit.MemoryConfig{})
			if err != nil {
				t.Fatal(err)
			}
			err = e.Check(c.policy)
			if want := strings.Contains(c.ok, engine.name); want != (err == nil) || err != nil && !errors.Is(err, ratelimit.ErrPolicy) {
				t.Errorf("%s, %s: %v", c.name, engine.name, err)
			}
		}
	}
	if _, err := ratelimit.NewFixedWindow(ratelimit.MemoryConfig{Keys: -1}); err == nil {
		t.Error("a negative bound was accepted")
	}
}

// Policies and keys that would be one text if they were merely joined, and keys
// too long to be kept as they are.
func TestCountersDontCollide(t *testing.T) {
	long := strings.Repeat("k", 64)
	with := func(change func(*ratelimit.Policy)) ratelimit.Policy {
		p := ratelimit.Policy{Name: "api", Limit: 10, Burst: 2, Period: time.Minute}
		change(&p)
		return p
	}
	all := []ratelimit.Charge{
		{Policy: with(func(*ratelimit.Policy) {}), Key: "login:bob"},
		{Policy: with(func(p *ratelimit.Policy) { p.Name = "api:login" }), Key: "bob"},
		{Policy: with(func(p *ratelimit.Policy) { p.Limit = 11 }), Key: "login:bob"},
		{Policy: with(func(p *ratelimit.Policy) { p.Burst = 3 }), Key: "login:bob"},
		{Policy: with(func(p *ratelimit.Policy) { p.Period++ }), Key: "login:bob"},
		{Policy: with(func(*ratelimit.Policy) {}), Key: ""},
		{Policy: with(func(*ratelimit.Policy) {}), Key: long},
		{Policy: with(func(*ratelimit.Policy) {}), Key: long + "1"},
		{Policy: with(func(*ratelimit.Policy) {}), Key: long + "2"},
	}
	digests := map[[ratelimit.DigestSize]byte]int{}
	e, err := ratelimit.NewGCRA(ratelimit.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range all {
		c.Cost = c.Policy.Burst
		if !allowed(take(t, e, c)) {
			t.Errorf("charge %d shares a counter with another", i)
		}
		digests[c.Digest(nil)]++
		c.Cost, c.Taken = 1, time.Now()
		digests[c.Digest(nil)]++ // neither counts
		digests[c.Digest([]byte("secret"))]++
	}
	if len(digests) != 2*len(all) {
		t.Errorf("%d charges have %d digests without and with a secret", len(all), len(digests))
	}
}

func TestDigestOfLongKeysAllocatesAndOthersDont(t *testing.T) {
	c := charge(hundred, strings.Repeat("k", 128), 1)
	secret := make([]byte, 32)
	if n := testing.AllocsPerRun(100, func() { c.Digest(secret) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func ExampleKey() {
	// A limit of your own: by the workspace that a request names.
	fmt.Println(ratelimit.Key("workspace", "a", "bc") == ratelimit.Key("workspace", "ab", "c"))
	// Output: false
}
