package ratelimit_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate/ratelimit"
)

func newLease(t testing.TB, c ratelimit.LeaseConfig) *ratelimit.Lease {
	t.Helper()
	l, err := ratelimit.NewLease(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Chunks of 20: a thousand requests ask 50 times.
func TestLeaseAsksOnceAChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		e := newLease(t, ratelimit.LeaseConfig{Engine: b})
		p := quota(1000, time.Hour)
		for i := range 1000 {
			d := takeOne(t, e, p, "k", 1)
			if !d.Allowed || d.Limit != 1000 || d.Remaining != int64(999-i) || d.Taken.IsZero() {
				t.Fatalf("request %d: %+v", i, d)
			}
			if d.ResetAfter < time.Hour-time.Minute || d.ResetAfter > time.Hour+time.Minute {
				t.Fatalf("request %d: reset after %v, of an hour", i, d.ResetAfter)
			}
		}
		if b.takes.Load() != 50 || e.Asked() != 50 {
			t.Errorf("asked %d times (%d told), want 50", b.takes.Load(), e.Asked())
		}
		d := takeOne(t, e, p, "k", 1)
		if d.Allowed || d.Remaining != 0 || d.RetryAfter <= 0 {
			t.Errorf("one more: %+v", d)
		}
		time.Sleep(d.RetryAfter) // of the bubble's clock
		if d := takeOne(t, e, p, "k", 1); !d.Allowed {
			t.Errorf("after as long as told: %+v", d)
		}
	})
}

func TestLeaseOfAFleetIsExactToAChunkEach(t *testing.T) {
	const instances, goroutines = 4, 64
	b := newBehind(t)
	var fleet [instances]*ratelimit.Lease
	for i := range fleet {
		fleet[i] = newLease(t, ratelimit.LeaseConfig{Engine: b})
	}
	p := quota(2500, time.Hour)
	var passed atomic.Int64
	var all sync.WaitGroup
	start := make(chan struct{})
	for g := range goroutines {
		all.Go(func() {
			<-start
			for range 60 {
				if takeOne(t, fleet[g%instances], p, "k", int64(1+g%3)).Allowed {
					passed.Add(int64(1 + g%3))
				}
			}
		})
	}
	close(start)
	all.Wait()
	if n := passed.Load(); n > 2500 || n < 2500-instances*50 {
		t.Errorf("%d passed of 2500, with %d leases of 50", n, instances)
	}
}

// What is left of a window's lease is not spent in the next.
func TestLeaseEndsWithItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		e := newLease(t, ratelimit.LeaseConfig{Engine: b})
		p := quota(1000, time.Minute)
		takeOne(t, e, p, "k", 1)    // 19 are left of the chunk
		time.Sleep(time.Minute + 1) // of the bubble's clock
		takeOne(t, b, p, "k", 1000) // another instance, in the next window
		d := takeOne(t, e, p, "k", 1)
		if d.Allowed {
			t.Errorf("a lease of the last window passes: %+v", d)
		}
	})
}

// In a window's last moments single units are asked for, and none is refused.
func TestLeaseAtTheEndOfAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		e := newLease(t, ratelimit.LeaseConfig{Engine: b})
		p := quota(1000, time.Minute)
		takeOne(t, e, p, "k", 1)
		time.Sleep(time.Minute - time.Millisecond) // of the bubble's clock
		for i := range 50 {
			if d := takeOne(t, e, p, "k", 1); !d.Allowed {
				t.Fatalf("request %d in the last millisecond: %+v", i, d)
			}
		}
		if n := 1000 - leftOf(t, b, p, "k"); n > 20+50 {
			t.Errorf("%d are charged for 51 requests", n)
		}
		time.Sleep(time.Millisecond + 1) // of the bubble's clock
		before := b.takes.Load()
		for range 20 {
			takeOne(t, e, p, "k", 1)
		}
		// The window after begins with single units until its predecessor is over for sure.
		if n := b.takes.Load() - before; n > 20 {
			t.Errorf("asked %d times for 20 requests", n)
		}
		if n := 1000 - leftOf(t, b, p, "k"); n > 40 {
			t.Errorf("%d are charged for 20 requests", n)
		}
	})
}

func TestLeaseLeavesSmallLimitsAndHighCostsAlone(t *testing.T) {
	b := newBehind(t)
	e := newLease(t, ratelimit.LeaseConfig{Engine: b})
	small, large := quota(999, time.Hour), quota(1000, time.Hour)
	takeOne(t, e, small, "k", 1)
	if n := leftOf(t, b, small, "k"); n != 998 {
		t.Errorf("a limit of 999 is leased: %d left", n)
	}
	takeOne(t, e, large, "k", 21)
	if n := leftOf(t, b, large, "k"); n != 979 {
		t.Errorf("a cost above a chunk is leased: %d left", n)
	}
	if d := takeOne(t, e, large, "k", 0); !d.Allowed || d.Remaining != 979 {
		t.Errorf("a look: %+v", d)
	}
	for want, c := range map[error]ratelimit.Charge{
		ratelimit.ErrCost:      units(large, "k", -1),
		ratelimit.ErrTooCostly: units(large, "k", 1001),
		ratelimit.ErrPolicy:    units(ratelimit.Policy{Name: "p", Limit: 1000, Burst: 1, Period: time.Hour}, "k", 1),
	} {
		if err := e.Take(t.Context(), []ratelimit.Charge{units(large, "other", 1), c}, make([]ratelimit.Decision, 2)); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if n := leftOf(t, e, large, "other"); n != 1000 {
		t.Errorf("a request with an error consumed: %d left", n)
	}
}

// The last units of a limit are less than a chunk, and pass all the same.
func TestLeaseTakesWhatIsLeftOfALimit(t *testing.T) {
	b := newBehind(t)
	e := newLease(t, ratelimit.LeaseConfig{Engine: b})
	p := quota(1000, time.Hour)
	takeOne(t, b, p, "k", 985) // another instance
	if n := passing(t, e, p, 30); n != 15 {
		t.Errorf("%d pass of the 15 that are left", n)
	}
}

func TestLeaseTakesAllOrNothing(t *testing.T) {
	b := newBehind(t)
	e := newLease(t, ratelimit.LeaseConfig{Engine: b})
	wide, tight, other := quota(1000, time.Hour), quota(5, time.Hour), quota(2000, time.Hour)
	takeOne(t, e, wide, "k", 20)
	takeOne(t, e, other, "k", 1)
	takeOne(t, b, tight, "k", 5)
	// The direct one refuses: nothing is handed out.
	out := takeAll(t, e, units(wide, "k", 2), units(tight, "k", 1), units(other, "k", 3))
	if !out[0].Allowed || out[1].Allowed || !out[2].Allowed {
		t.Errorf("decisions %+v", out)
	}
	if a, c := leftOf(t, e, wide, "k"), leftOf(t, e, other, "k"); a != 980 || c != 1999 {
		t.Errorf("%d and %d left, want 980 and 1999", a, c)
	}
	// The leased one refuses: the others get theirs back.
	if err := e.Reset(t.Context(), units(tight, "k", 0)); err != nil {
		t.Fatal(err)
	}
	for range 49 {
		takeOne(t, e, wide, "k", 20)
	}
	out = takeAll(t, e, units(other, "k", 3), units(tight, "k", 1), units(wide, "k", 1))
	if !out[0].Allowed || !out[1].Allowed || out[2].Allowed || out[2].RetryAfter <= 0 {
		t.Errorf("decisions %+v", out)
	}
	if out[0].Remaining != 1999 || out[1].Remaining != 5 || !out[0].Taken.IsZero() || !out[1].Taken.IsZero() {
		t.Errorf("decisions %+v tell of what was given back", out)
	}
	if n, m := leftOf(t, e, tight, "k"), leftOf(t, e, other, "k"); n != 5 || m != 1999 {
		t.Errorf("%d and %d left, want 5 and 1999", n, m)
	}
	// An error midway, too.
	b.set(errDown)
	if err := e.Take(t.Context(), []ratelimit.Charge{units(other, "k", 3), units(wide, "k", 1)}, make([]ratelimit.Decision, 2)); !errors.Is(err, errDown) {
		t.Errorf("the engine's error is %v", err)
	}
	b.set(nil)
	if m := leftOf(t, e, other, "k"); m != 1999 {
		t.Errorf("after an error %d are left, want 1999", m)
	}
}

func TestLeaseRefundsPeeksAndResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		e := newLease(t, ratelimit.LeaseConfig{Engine: b})
		p := quota(1000, time.Hour)
		refund := func(n int64, taken time.Time) {
			t.Helper()
			c := units(p, "k", n)
			c.Taken = taken
			if err := e.Refund(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		d := takeOne(t, e, p, "k", 7)
		refund(3, d.Taken)
		if n := leftOf(t, e, p, "k"); n != 996 {
			t.Errorf("4 taken, %d left", n)
		}
		if n := leftOf(t, b, p, "k"); n != 980 {
			t.Errorf("the chunk is 20, and %d are left behind it", n)
		}
		takeOne(t, b, p, "k", 975)                                 // another instance; 5 are left there, and 16 here
		for n, want := range map[int64]bool{20: true, 21: false} { // 21 are no chunk
			d, err := e.Peek(t.Context(), units(p, "k", n))
			if err != nil || d.Allowed != want || d.Allowed && (d.Remaining != 21-n || d.RetryAfter != 0) || !d.Allowed && d.Remaining != 21 {
				t.Errorf("peek at %d: %+v, %v", n, d, err)
			}
		}
		if err := b.Refund(t.Context(), units(p, "k", 975)); err != nil {
			t.Fatal(err)
		}
		// What no longer fits into a chunk goes back to the engine behind.
		for range 5 {
			takeOne(t, e, p, "k", 20)
		}
		refund(20, d.Taken)
		refund(20, d.Taken)
		if n := leftOf(t, e, p, "k"); n != 1000-4-60 {
			t.Errorf("64 taken, %d left", n)
		}
		if n := leftOf(t, e, p, "k") - leftOf(t, b, p, "k"); n > 20 {
			t.Errorf("%d are on lease, more than a chunk", n)
		}
		// What was taken in a window that is over doesn't come back in the next.
		time.Sleep(2 * time.Hour) // of the bubble's clock
		takeOne(t, e, p, "k", 10)
		refund(10, d.Taken)
		if n := leftOf(t, e, p, "k"); n != 990 {
			t.Errorf("10 taken in a new window, %d left", n)
		}
		if err := e.Reset(t.Context(), units(p, "k", 0)); err != nil {
			t.Fatal(err)
		}
		if n := leftOf(t, e, p, "k"); n != 1000 {
			t.Errorf("after a reset %d are left", n)
		}
	})
}

// Whoever waits for another's chunk does not wait again when that fails.
func TestLeaseFailsForAllWhoWaitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		b.set(errHang)
		bounded, err := ratelimit.NewTimeout(b, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		e := newLease(t, ratelimit.LeaseConfig{Engine: bounded})
		start := time.Now()
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				err := e.Take(t.Context(), []ratelimit.Charge{units(quota(1000, time.Hour), "k", 1)}, make([]ratelimit.Decision, 1))
				if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 100*time.Millisecond {
					t.Errorf("%v after %v", err, took)
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := e.Take(ctx, []ratelimit.Charge{units(quota(1000, time.Hour), "k", 1)}, make([]ratelimit.Decision, 1)); err == nil || time.Since(start) > 10*time.Millisecond {
			t.Errorf("with a context of 10 ms: %v after %v", err, time.Since(start))
		}
		all.Wait()
		b.set(nil)
		if d := takeOne(t, e, quota(1000, time.Hour), "k", 1); !d.Allowed {
			t.Errorf("once the engine answers: %+v", d)
		}
	})
}

func TestLeaseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		e := newLease(t, ratelimit.LeaseConfig{Engine: b, Counters: 2})
		p := quota(1000, time.Minute)
		for _, key := range []string{"a", "b", "c"} {
			takeOne(t, e, p, key, 1)
		}
		for key, want := range map[string]int64{"a": 980, "b": 980, "c": 999} {
			if n := leftOf(t, b, p, key); n != want {
				t.Errorf("%s: %d left behind, want %d", key, n, want)
			}
		}
		time.Sleep(2 * time.Minute) // of the bubble's clock
		if takeOne(t, e, p, "c", 1); leftOf(t, b, p, "c") != 980 {
			t.Error("leases that are over take the room of new ones")
		}
	})
}

func TestLeaseConfigs(t *testing.T) {
	for name, c := range map[string]ratelimit.LeaseConfig{
		"no engine": {},
		"10 %":      {Engine: newBehind(t), Part: 10},
		"negative":  {Engine: newBehind(t), Part: -1},
		"counters":  {Engine: newBehind(t), Counters: -1},
	} {
		if _, err := ratelimit.NewLease(c); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}
