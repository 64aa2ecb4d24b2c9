package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate/ratelimit"
)

func newFallback(t testing.TB, c ratelimit.FallbackConfig) *ratelimit.Fallback {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	f, err := ratelimit.NewFallback(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// passing is how many of n requests pass.
func passing(t testing.TB, e ratelimit.Engine, p ratelimit.Policy, n int) (passed int) {
	t.Helper()
	for range n {
		if takeOne(t, e, p, "k", 1).Allowed {
			passed++
		}
	}
	return passed
}

func TestFallbackIsTransparentWhileAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 4})
		p := quota(40, time.Hour)
		for i := range 40 { // far more than a part
			if d := takeOne(t, f, p, "k", 1); !d.Allowed || d.Limit != 40 || d.Remaining != int64(39-i) || d.ResetAfter < 59*time.Minute {
				t.Fatalf("request %d: %+v", i, d)
			}
		}
		if d := takeOne(t, f, p, "k", 1); d.Allowed {
			t.Errorf("one more: %+v", d)
		}
		if err := f.Reset(t.Context(), units(p, "k", 0)); err != nil || leftOf(t, f, p, "k") != 40 {
			t.Errorf("after a reset: %d left, %v", leftOf(t, f, p, "k"), err)
		}
		for name, want := range map[int64]error{-1: ratelimit.ErrCost, 41: ratelimit.ErrTooCostly} {
			for range 10 { // never a reason to give the engine up
				if err := f.Take(t.Context(), []ratelimit.Charge{units(p, "k", name)}, make([]ratelimit.Decision, 1)); !errors.Is(err, want) {
					t.Errorf("a cost of %d: %v, want %v", name, err, want)
				}
			}
		}
		if s := f.Stats(); s != (ratelimit.FallbackStats{}) {
			t.Errorf("figures %+v, want none", s)
		}
	})
}

// What passes there counts here as far as there is room.
func TestFallbackCountsCostsAboveWhatIsLeftOfAPart(t *testing.T) {
	b := newBehind(t)
	f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 4})
	p := quota(40, time.Hour)
	takeOne(t, f, p, "k", 7)
	takeOne(t, f, p, "k", 7)
	b.set(errDown)
	if n := passing(t, f, p, 20); n != 0 {
		t.Errorf("%d pass alone, after 14 of a part of 10", n)
	}
}

func TestFallbackLetsAPartThroughAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 4})
		p, some, spent := quota(40, time.Hour), quota(43, time.Hour), quota(41, time.Hour)
		some.Name, spent.Name = "some", "spent"
		if n := passing(t, f, some, 4) + passing(t, f, spent, 11); n != 15 {
			t.Fatalf("%d pass while all is well, want 15", n)
		}
		b.set(errDown)
		if n := passing(t, f, p, 100); n != 10 {
			t.Errorf("%d pass alone, want 10", n)
		}
		if n := passing(t, f, some, 100); n != 6 {
			t.Errorf("%d pass alone after 4, want 6", n)
		}
		if n := passing(t, f, spent, 100); n != 0 {
			t.Errorf("%d pass alone after 11 of a part of 10", n)
		}
		d := takeOne(t, f, p, "k", 1)
		if d.Limit != 40 || d.Remaining != 0 || d.RetryAfter <= 0 || d.RetryAfter > time.Hour {
			t.Errorf("refused alone: %+v", d)
		}
		if n := leftOf(t, f, p, "new"); n != 10 {
			t.Errorf("Peek alone tells %d, want 10", n)
		}
		time.Sleep(d.RetryAfter) // of the bubble's clock
		if n := passing(t, f, p, 100); n != 10 {
			t.Errorf("%d pass alone in the next window, want 10", n)
		}
		// Fewer units than instances: one each. A cost above the part: all of it.
		if n := passing(t, f, quota(3, time.Hour), 100); n != 1 {
			t.Errorf("%d of 3 for 4 instances pass, want 1", n)
		}
		if d := takeOne(t, f, p, "costly", 25); !d.Allowed || d.Remaining != 0 {
			t.Errorf("25 of 40 alone: %+v", d)
		}
		for n, want := range map[int64]error{41: ratelimit.ErrTooCostly, -1: ratelimit.ErrCost} {
			if err := f.Take(t.Context(), []ratelimit.Charge{units(p, "k", n)}, make([]ratelimit.Decision, 1)); !errors.Is(err, want) {
				t.Errorf("a cost of %d alone: %v, want %v", n, err, want)
			}
			if _, err := f.Peek(t.Context(), units(p, "k", n)); !errors.Is(err, want) {
				t.Errorf("a peek at %d alone: %v, want %v", n, err, want)
			}
		}
		for _, d := range takeAll(t, f, units(p, "twice", 25), units(p, "twice", 15)) {
			if d.Allowed || d.RetryAfter <= 0 || d.Limit != 40 {
				t.Errorf("25 and 15 of 40 alone: %+v", d)
			}
		}
	})
}

// All or nothing also alone.
func TestFallbackAloneConsumesAllOrNothing(t *testing.T) {
	b := newBehind(t)
	b.set(errDown)
	f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 2})
	wide, tight := quota(40, time.Hour), quota(4, time.Hour)
	for range 10 {
		takeAll(t, f, units(wide, "k", 1), units(tight, "k", 1))
	}
	if n, m := leftOf(t, f, wide, "k"), leftOf(t, f, tight, "k"); n != 18 || m != 0 {
		t.Errorf("%d and %d left of parts of 20 and 2, want 18 and 0", n, m)
	}
}

func TestFallbackGivesTheEngineUpAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		var f *ratelimit.Fallback
		var heard []string
		var logged strings.Builder
		f = newFallback(t, ratelimit.FallbackConfig{
			Shared: b, Instances: 1, Failures: 3, Pause: 2 * time.Second,
			OnChange: func(failing bool, cause error) {
				heard = append(heard, fmt.Sprint(failing, cause, f.Stats().Failing)) // no lock is held
			},
			Logger: slog.New(slog.NewTextHandler(&logged, nil)),
		})
		p := quota(1_000_000, time.Hour)
		passing(t, f, p, 10)
		b.set(errDown)
		if passing(t, f, p, 1000); b.calls.Load() != 13 {
			t.Errorf("a failing engine is asked %d times, want 3", b.calls.Load()-10)
		}
		for range 3 { // each pause one request tries
			time.Sleep(2*time.Second + 1) // of the bubble's clock
			passing(t, f, p, 1000)
		}
		if b.calls.Load() != 16 || !f.Stats().Failing {
			t.Errorf("asked %d times in three pauses, want 3; %+v", b.calls.Load()-13, f.Stats())
		}
		b.set(nil)
		if passing(t, f, p, 1000); b.calls.Load() != 16 {
			t.Error("asked before the pause is over")
		}
		time.Sleep(2*time.Second + 1) // of the bubble's clock
		if passing(t, f, p, 1000); b.calls.Load() != 1016 {
			t.Errorf("asked %d times of 1000 after the pause", b.calls.Load()-16)
		}
		want := []string{"true " + errDown.Error() + " true", "false <nil> false"}
		if !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
		if n := strings.Count(logged.String(), "\n"); n != 2 {
			t.Errorf("%d log lines for two changes:\n%s", n, logged.String())
		}
		if s := f.Stats(); s.Failing || s.Failures != 6 || s.Alone != 5000 { // 3 in a row and one each pause; all but those that were answered
			t.Errorf("figures %+v", s)
		}
	})
}

// A call that fails now and then is made good alone, and changes nothing.
func TestFallbackSparesAnEngineThatFailsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 4, OnChange: func(bool, error) { t.Error("a change is told") }})
		p := quota(40, time.Hour)
		passed := 0
		for i := range 39 {
			if i%4 == 1 {
				b.set(errDown)
			}
			passed += passing(t, f, p, 1)
			b.set(nil)
		}
		// Failed calls have passed only as long as the part of 10 was not spent: 1, 5 and 9.
		if passed != 29+3 {
			t.Errorf("%d passed, want 32", passed)
		}
		// Without an outage there is no probation: the whole limit may pass here.
		if n := passing(t, f, p, 40); n != 11 {
			t.Errorf("%d pass, want the 11 that are left", n)
		}
	})
}

func TestFallbackGivesUpAnEngineThatFailsHalfTheTime(t *testing.T) {
	b := newBehind(t)
	f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 1})
	for i := range 100 {
		b.set([]error{nil, errDown}[i%2])
		passing(t, f, quota(1000, time.Hour), 1)
	}
	if s := f.Stats(); !s.Failing || s.Failures != 10 {
		t.Errorf("%+v; want it given up after 20 calls", s)
	}
}

// Leaving early must not make an engine look broken, or anybody could have it
// given up.
func TestFallbackCountsNoClientThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		b.set(errHang)
		f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 1})
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			err := f.Take(ctx, []ratelimit.Charge{units(quota(10, time.Hour), "k", 1)}, make([]ratelimit.Decision, 1))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("a client that left is told %v", err)
			}
			if _, err := f.Peek(ctx, units(quota(10, time.Hour), "k", 1)); err == nil {
				t.Error("a client that left may peek")
			}
			cancel()
		}
		if s := f.Stats(); s != (ratelimit.FallbackStats{}) {
			t.Errorf("%+v; want no failure", s)
		}
		b.set(nil)
		if n := passing(t, f, quota(10, time.Hour), 20); n != 10 {
			t.Errorf("%d pass, want 10", n)
		}
	})
}

// An engine that is back may have lost its counters: for a Period both must agree.
func TestThreat24AfterAnOutageBothMustAgreeForAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 4})
		p, short := quota(40, time.Hour), quota(20, time.Minute)
		passed := passing(t, f, p, 30)
		outage := func() {
			b.set(errDown)
			passed += passing(t, f, p, 100)
			b.set(nil)
			for _, key := range []string{"k", "other"} { // all is forgotten
				if err := b.Reset(t.Context(), units(p, key, 0)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second + 1) // of the bubble's clock
			passed += passing(t, f, p, 100)
		}
		for range 10 {
			outage()
		}
		if passed != 30 {
			t.Errorf("%d passed in ten outages, 30 of them before", passed)
		}
		// What was refused is not charged there, and another caller has a part.
		if n := leftOf(t, b, p, "k"); n != 40 {
			t.Errorf("%d left there after refusals only, want 40", n)
		}
		if d := takeAll(t, f, units(p, "other", 10))[0]; !d.Allowed || d.Limit != 40 {
			t.Errorf("the part of another: %+v", d)
		}
		out := takeAll(t, f, units(short, "other", 1), units(p, "other", 1))
		if !out[0].Allowed || out[1].Allowed || out[1].Limit != 40 || out[1].RetryAfter <= 0 {
			t.Errorf("more than the part of another: %+v", out)
		}
		if n := leftOf(t, b, short, "other"); n != 20 {
			t.Errorf("a request refused here is charged there: %d left of 20", n)
		}
		// A short policy's probation is over soon, a long one's later.
		time.Sleep(time.Minute) // of the bubble's clock
		if n := passing(t, f, short, 30); n != 20 {
			t.Errorf("%d of 20 pass after a minute", n)
		}
		time.Sleep(time.Hour) // of the bubble's clock
		if n := passing(t, f, p, 100); n != 40 {
			t.Errorf("%d of 40 pass after an hour", n)
		}
	})
}

func TestFallbackRefundsWhereItWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 2})
		p := quota(40, time.Hour)
		refund := func(d ratelimit.Decision) {
			t.Helper()
			c := units(p, "k", 5)
			c.Taken = d.Taken
			if err := f.Refund(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		tick := func() { time.Sleep(time.Millisecond) } // of the bubble's clock
		refund(takeOne(t, f, p, "k", 5))
		if n := leftOf(t, b, p, "k"); n != 40 {
			t.Errorf("given back there: %d left of 40", n)
		}
		before := takeOne(t, f, p, "k", 5)
		tick()
		b.set(errDown)
		alone := takeOne(t, f, p, "k", 5)
		b.set(nil)
		tick()
		refund(alone)
		refund(before) // it may have been decided alone, for all that is known
		if n := leftOf(t, b, p, "k"); n != 35 {
			t.Errorf("taken alone, given back there: %d left, want 35", n)
		}
		after := takeOne(t, f, p, "k", 5)
		refund(after)
		if n := leftOf(t, b, p, "k"); n != 35 {
			t.Errorf("taken and given back there: %d left, want 35", n)
		}
		// Here all came back: the part is whole.
		b.set(errDown)
		if n := passing(t, f, p, 30); n != 20 {
			t.Errorf("%d pass alone after all was given back, want 20", n)
		}
		if err := f.Refund(t.Context(), units(p, "k", 5)); err != nil {
			t.Errorf("giving back what was just taken alone: %v", err)
		}
		if n := passing(t, f, p, 30); n != 5 {
			t.Errorf("%d pass alone after 5 were given back", n)
		}
		if err := f.Refund(t.Context(), units(p, "k", -1)); !errors.Is(err, ratelimit.ErrCost) {
			t.Errorf("a negative refund: %v", err)
		}
	})
}

func TestFallbackFailsClosedByPolicy(t *testing.T) {
	b := newBehind(t)
	f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 1, FailClosed: []string{"guard"}})
	guard := quota(10, time.Hour)
	guard.Name = "guard"
	if d := takeOne(t, f, guard, "k", 1); !d.Allowed {
		t.Errorf("while all is well: %+v", d)
	}
	b.set(errDown)
	for range 20 { // also when it is given up
		err := f.Take(t.Context(), []ratelimit.Charge{units(quota(10, time.Hour), "k", 1), units(guard, "k", 1)}, make([]ratelimit.Decision, 2))
		if err == nil {
			t.Fatal("a guard passes")
		}
		if _, err := f.Peek(t.Context(), units(guard, "k", 1)); err == nil {
			t.Error("Peek tells about a guard")
		}
	}
	if n := passing(t, f, quota(10, time.Hour), 20); n != 10 {
		t.Errorf("%d pass, want all 10: the guard's refusals cost nothing", n)
	}
}

// Many at once, while the engine comes and goes: no part is exceeded.
func TestFallbackFromManyGoroutines(t *testing.T) {
	b := newBehind(t)
	b.set(errDown)
	var told atomic.Int64
	var telling sync.Mutex
	failed := false
	f := newFallback(t, ratelimit.FallbackConfig{Shared: b, Instances: 4, Pause: time.Millisecond, OnChange: func(failing bool, _ error) {
		if !telling.TryLock() {
			t.Error("two changes are told at once")
			return
		}
		defer telling.Unlock()
		if failing == failed {
			t.Errorf("failing: %v is told twice in a row", failing)
		}
		failed = failing
		told.Add(1)
		<-time.After(time.Millisecond)
	}})
	p := quota(400, time.Hour)
	var passed atomic.Int64
	var all sync.WaitGroup
	for g := range 64 {
		all.Go(func() {
			for i := range 100 {
				if g == 0 {
					b.set([]error{errDown, nil}[i%2])
				}
				if out := make([]ratelimit.Decision, 1); f.Take(t.Context(), []ratelimit.Charge{units(p, "k", 1)}, out) == nil && out[0].Allowed {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := passed.Load(); n > 400+100 {
		t.Errorf("%d passed, of 400 there and 100 here", n)
	}
	t.Logf("%d passed, %d changes, %+v", passed.Load(), told.Load(), f.Stats())
}

func TestFallbackConfigs(t *testing.T) {
	for name, c := range map[string]ratelimit.FallbackConfig{
		"no engine":    {Instances: 1},
		"no instances": {Shared: newBehind(t)},
		"negative":     {Shared: newBehind(t), Instances: 1, Pause: -1},
	} {
		if _, err := ratelimit.NewFallback(c); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	spread, err := ratelimit.NewGCRA(ratelimit.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	f := newFallback(t, ratelimit.FallbackConfig{Shared: newBehind(t), Local: spread, Instances: 4})
	if err := f.Check(quota(4, time.Hour)); !errors.Is(err, ratelimit.ErrPolicy) {
		t.Errorf("a part that the local engine can't honour: %v", err)
	}
	if err := f.Check(ratelimit.Policy{Name: "p", Limit: 10, Burst: 2, Period: time.Hour}); !errors.Is(err, ratelimit.ErrPolicy) {
		t.Errorf("a policy that the shared engine can't honour: %v", err)
	}
	if err := f.Check(quota(8, time.Hour)); err != nil {
		t.Errorf("a policy that both can honour: %v", err)
	}
}

func ExampleNewFallback() {
	shared, err := ratelimit.NewFixedWindow(ratelimit.MemoryConfig{}) // in earnest, one of ratelimit/redis
	if err != nil {
		panic(err)
	}
	bounded, err := ratelimit.NewTimeout(shared, 100*time.Millisecond)
	if err != nil {
		panic(err)
	}
	engine, err := ratelimit.NewFallback(ratelimit.FallbackConfig{
		Shared:    bounded,
		Instances: 4,
		OnChange:  func(failing bool, _ error) { fmt.Println("failing:", failing) }, // a gauge
	})
	if err != nil {
		panic(err)
	}
	d, err := engine.Peek(context.Background(), ratelimit.Charge{
		Policy: ratelimit.Policy{Name: "pro", Limit: 300, Period: time.Minute},
		Key:    ratelimit.Key("organisation", "acme"),
		Cost:   1,
	})
	fmt.Println(d.Allowed, d.Remaining, err)
	// Output: true 299 <nil>
}
