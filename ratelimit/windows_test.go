package ratelimit_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate/ratelimit"
)

// sequences is how many random arrival sequences are tried: a million, and fewer
// under the race detector, which makes each twenty times as slow.
func sequences() int {
	switch {
	case testing.Short():
		return 10_000
	case raceEnabled:
		return 50_000
	default:
		return 1_000_000
	}
}

// No window of length Period, wherever it begins, sees more than Limit. The
// fullest window of any phase begins with an arrival, so those are all looked at.
func TestNoWindowOfAnyPhaseExceedsTheLimit(t *testing.T) {
	for name, simulation := range ratelimit.Simulations {
		if simulation == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(5, 24))
			most, passed := 0.0, 0
			for range sequences() {
				full, n := trySequence(t, rnd, simulation)
				most, passed = max(most, full), passed+n
			}
			t.Logf("%d sequences, %d arrivals passed, the fullest window held %.2f of its limit", sequences(), passed, most)
			if most < 0.85 { // a limit that is spread is full for a moment only
				t.Errorf("no window was ever near full: the arrivals try nothing")
			}
		})
	}
}

type arrival struct {
	at   time.Time
	cost int64
}

// trySequence returns how full the fullest window was, and how many arrivals passed.
func trySequence(t *testing.T, rnd *rand.Rand, simulation func(ratelimit.Policy) func(int64, time.Time) ratelimit.Decision) (full float64, n int) {
	t.Helper()
	p := ratelimit.Policy{Name: "p", Limit: 2 + rnd.Int64N(9), Period: time.Second + time.Duration(rnd.Int64N(1000))}
	p.Burst = rnd.Int64N(p.Limit)
	if rnd.IntN(16) == 0 {
		p.Limit = 200 // slots of a log hold several then
	}
	take := simulation(p)
	now := time.Now()
	var room [64]arrival
	passed := room[:0]
	// Impatient, regular or tied to what the engine says: those find the edges.
	kind, gap := rnd.IntN(3), 1+rnd.Int64N(int64(p.Period)*2/p.Limit)
	for range 24 {
		cost := int64(1)
		if p.Limit == 200 {
			cost = 1 + rnd.Int64N(20)
		}
		d := take(cost, now)
		if d.Allowed {
			passed = append(passed, arrival{now, cost})
		}
		switch {
		case kind == 0 && d.RetryAfter > 0:
			now = now.Add(d.RetryAfter)
		case kind == 1:
			now = now.Add(time.Duration(gap))
		default:
			now = now.Add(time.Duration(rnd.Int64N(gap)))
		}
	}
	for i, first := range passed {
		var sum int64
		for _, a := range passed[i:] {
			if a.at.Sub(first.at) >= p.Period {
				break
			}
			sum += a.cost
		}
		if sum > p.Limit {
			t.Fatalf("%+v: %d within a period after %v: %v", p, sum, first.at, passed)
		}
		full = max(full, float64(sum)/float64(p.Limit))
	}
	return full, len(passed)
}

// A fixed window keeps its limit within each window, and lets up to twice the
// limit through around the boundary of two: no more, and it is reached.
func TestFixedWindowLetsTwiceTheLimitThroughAroundABoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		var passed []time.Time
		hammer := func(n int) {
			for range n {
				if allowed(take(t, e, charge(hundred, "acme", 1))) {
					passed = append(passed, time.Now())
				}
			}
		}
		hammer(1)
		time.Sleep(time.Minute - 1) // of the bubble's clock
		hammer(300)
		time.Sleep(3 * time.Nanosecond) // of the bubble's clock
		hammer(300)
		most := 0
		for i, first := range passed {
			n := 0
			for _, at := range passed[i:] {
				if at.Sub(first) < time.Minute {
					n++
				}
			}
			most = max(most, n)
		}
		if most != 199 { // the first of the window's own belongs to another period
			t.Errorf("the fullest period saw %d, want 199 of a limit of 100", most)
		}
	})
}

// Random arrivals stay within the documented bound, and windows within the limit.
func TestFixedWindowNeverExceedsTwiceTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		p := ratelimit.Policy{Name: "p", Limit: 7, Period: time.Second}
		rnd := rand.New(rand.NewPCG(5, 24))
		var passed []time.Time
		for range 20_000 {
			if allowed(take(t, e, charge(p, "acme", 1))) {
				passed = append(passed, time.Now())
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(time.Second) / 7))) // of the bubble's clock
		}
		for i := range passed {
			if j := i + 14; j < len(passed) && passed[j].Sub(passed[i]) < p.Period {
				t.Fatalf("15 within a period of a limit of 7")
			}
		}
	})
}

// Whoever waits exactly as long as he was told gets through.
func TestRetryingExactlyThenWorks(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
		rnd := rand.New(rand.NewPCG(5, 24))
		refused := 0
		for i := range 1000 {
			p := ratelimit.Policy{Name: "p", Limit: 2 + rnd.Int64N(1000), Period: time.Millisecond + time.Duration(rnd.Int64N(int64(time.Minute)))}
			key := string(rune(i))
			var d ratelimit.Decision
			for n := 0; ; n++ {
				d = take(t, e, charge(p, key, 1))[0]
				if !d.Allowed {
					break
				}
				if n > 5000 {
					t.Fatalf("%+v: never refused", p)
				}
				if rnd.IntN(8) == 0 {
					time.Sleep(time.Duration(rnd.Int64N(int64(p.Period) / p.Limit))) // of the bubble's clock
				}
			}
			refused++
			time.Sleep(d.RetryAfter - time.Microsecond) // of the bubble's clock
			if d.RetryAfter > time.Microsecond && allowed(take(t, e, charge(p, key, 1))) && d.RetryAfter > time.Millisecond {
				// A little early may pass, but what was told isn't far off.
				if early := take(t, e, charge(p, key, 1))[0]; early.Allowed {
					t.Errorf("%+v: told to wait %v, and two pass a microsecond before", p, d.RetryAfter)
				}
				continue
			}
			time.Sleep(time.Microsecond) // of the bubble's clock
			if !allowed(take(t, e, charge(p, key, 1))) {
				t.Errorf("%+v: refused after waiting %v as told", p, d.RetryAfter)
			}
		}
		if refused != 1000 {
			t.Errorf("%d of 1,000 were tried", refused)
		}
	})
}
