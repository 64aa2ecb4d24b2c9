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

// behind is an engine behind a decorator, that can be made to fail.
type behind struct {
	ratelimit.Engine
	calls, takes atomic.Int64
	mu           sync.Mutex
	err          error // what calls return; errHang: nothing, until the context ends
}

var (
	errHang = errors.New("hang")
	errDown = errors.New("connection refused")
)

func newBehind(t testing.TB) *behind {
	t.Helper()
	e, err := ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return &behind{Engine: e}
}

func (b *behind) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *behind) failure(ctx context.Context) error {
	b.calls.Add(1)
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if errors.Is(err, errHang) {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (b *behind) Take(ctx context.Context, charges []ratelimit.Charge, out []ratelimit.Decision) error {
	b.takes.Add(1)
	if err := b.failure(ctx); err != nil {
		return err
	}
	return b.Engine.Take(ctx, charges, out)
}

func (b *behind) Peek(ctx context.Context, c ratelimit.Charge) (ratelimit.Decision, error) {
	if err := b.failure(ctx); err != nil {
		return ratelimit.Decision{}, err
	}
	return b.Engine.Peek(ctx, c)
}

func (b *behind) Refund(ctx context.Context, c ratelimit.Charge) error {
	if err := b.failure(ctx); err != nil {
		return err
	}
	return b.Engine.Refund(ctx, c)
}

func (b *behind) Reset(ctx context.Context, c ratelimit.Charge) error {
	if err := b.failure(ctx); err != nil {
		return err
	}
	return b.Engine.Reset(ctx, c)
}

func quota(limit int64, period time.Duration) ratelimit.Policy {
	return ratelimit.Policy{Name: "p", Limit: limit, Period: period}
}

func units(p ratelimit.Policy, key string, n int64) ratelimit.Charge {
	return ratelimit.Charge{Policy: p, Key: key, Cost: n}
}

// takeAll takes charges and fails the test on an error.
func takeAll(t testing.TB, e ratelimit.Engine, charges ...ratelimit.Charge) []ratelimit.Decision {
	t.Helper()
	out := make([]ratelimit.Decision, len(charges))
	if err := e.Take(t.Context(), charges, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// takeOne takes one charge.
func takeOne(t testing.TB, e ratelimit.Engine, p ratelimit.Policy, key string, n int64) ratelimit.Decision {
	t.Helper()
	return takeAll(t, e, units(p, key, n))[0]
}

// left is how much Peek says is left.
func leftOf(t testing.TB, e ratelimit.Engine, p ratelimit.Policy, key string) int64 {
	t.Helper()
	d, err := e.Peek(t.Context(), units(p, key, 0))
	if err != nil {
		t.Fatal(err)
	}
	return d.Remaining
}

func TestTimeoutEndsEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := newBehind(t)
		slow.set(errHang)
		e, err := ratelimit.NewTimeout(slow, 70*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		c := units(quota(10, time.Hour), "k", 1)
		for name, call := range map[string]func(context.Context) error{
			"Take": func(ctx context.Context) error {
				return e.Take(ctx, []ratelimit.Charge{c}, make([]ratelimit.Decision, 1))
			},
			"Peek":   func(ctx context.Context) error { _, err := e.Peek(ctx, c); return err },
			"Refund": func(ctx context.Context) error { return e.Refund(ctx, c) },
			"Reset":  func(ctx context.Context) error { return e.Reset(ctx, c) },
		} {
			for _, own := range []time.Duration{time.Hour, 30 * time.Millisecond} {
				ctx, cancel := context.WithTimeout(t.Context(), own)
				start := time.Now()
				err := call(ctx)
				if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != min(own, 70*time.Millisecond) {
					t.Errorf("%s: %v after %v", name, err, took)
				}
				cancel()
			}
		}
		slow.set(nil)
		if d := takeOne(t, e, c.Policy, "k", 4); d.Remaining != 6 || leftOf(t, slow.Engine, c.Policy, "k") != 6 {
			t.Errorf("the engine behind is not asked: %+v", d)
		}
		if err := e.Check(ratelimit.Policy{}); !errors.Is(err, ratelimit.ErrPolicy) {
			t.Errorf("Check: %v", err)
		}
	})
	if _, err := ratelimit.NewTimeout(nil, time.Second); err == nil {
		t.Error("no engine passes")
	}
	if _, err := ratelimit.NewTimeout(newBehind(t), 0); err == nil {
		t.Error("no time passes")
	}
}

func denyCache(t testing.TB, c ratelimit.DenyCacheConfig) *ratelimit.DenyCache {
	t.Helper()
	d, err := ratelimit.NewDenyCache(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDenyCacheRepeatsARefusalForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		e := denyCache(t, ratelimit.DenyCacheConfig{Engine: b})
		p := quota(3, time.Hour)
		for range 3 { // what passes is asked for each time
			takeOne(t, e, p, "k", 1)
		}
		first := takeOne(t, e, p, "k", 1)
		if first.Allowed || b.takes.Load() != 4 {
			t.Fatalf("the fourth of three: %+v, asked %d times", first, b.takes.Load())
		}
		time.Sleep(99 * time.Millisecond) // of the bubble's clock
		again := takeOne(t, e, p, "k", 1)
		if b.takes.Load() != 4 || e.Repeated() != 1 {
			t.Errorf("asked %d times, repeated %d; want 4 and 1", b.takes.Load(), e.Repeated())
		}
		if again.Allowed || again.Limit != 3 || first.RetryAfter-again.RetryAfter != 99*time.Millisecond || first.ResetAfter-again.ResetAfter != 99*time.Millisecond {
			t.Errorf("repeated %+v, after 99 ms of %+v", again, first)
		}
		time.Sleep(time.Millisecond) // of the bubble's clock
		if takeOne(t, e, p, "k", 1); b.takes.Load() != 5 {
			t.Errorf("after 100 ms the engine is not asked")
		}
		// Others are asked for.
		takeOne(t, e, p, "other", 1)
		takeOne(t, e, p, "k", 2)
		takeOne(t, e, quota(4, time.Hour), "k", 1)
		takeAll(t, e, units(p, "k", 1), units(p, "other", 1))
		if b.takes.Load() != 9 {
			t.Errorf("other requests are answered without asking: %d calls, want 9", b.takes.Load())
		}
		// Several charges are repeated as a whole.
		if out := takeAll(t, e, units(p, "k", 1), units(p, "other", 1)); out[0].Allowed || !out[1].Allowed || b.takes.Load() != 9 {
			t.Errorf("several charges: %+v, %d calls", out, b.takes.Load())
		}
		takeAll(t, e, units(p, "other", 1), units(p, "k", 1))
		takeAll(t, e, units(p, "k", 1), units(p, "other", 2))
		if b.takes.Load() != 11 {
			t.Error("another order, or other costs, are answered without asking")
		}
		// A reset is noticed at once.
		if err := e.Reset(t.Context(), units(p, "k", 0)); err != nil {
			t.Fatal(err)
		}
		if d := takeOne(t, e, p, "k", 1); !d.Allowed {
			t.Errorf("after a reset: %+v", d)
		}
	})
}

// Never a full reset: who waits as long as told passes.
func TestDenyCacheEndsWithTheRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		e := denyCache(t, ratelimit.DenyCacheConfig{Engine: b})
		p := quota(1, 40*time.Millisecond)
		takeOne(t, e, p, "k", 1)
		for range 2 { // the second is repeated
			time.Sleep(10 * time.Millisecond) // of the bubble's clock
			if d := takeOne(t, e, p, "k", 1); d.Allowed {
				t.Fatalf("passes too early: %+v", d)
			}
		}
		d := takeOne(t, e, p, "k", 1)
		time.Sleep(d.RetryAfter) // of the bubble's clock
		if d := takeOne(t, e, p, "k", 1); !d.Allowed {
			t.Errorf("after as long as told: %+v", d)
		}
	})
}

func TestDenyCacheRemembersNoErrors(t *testing.T) {
	b := newBehind(t)
	e := denyCache(t, ratelimit.DenyCacheConfig{Engine: b})
	b.set(errDown)
	if err := e.Take(t.Context(), []ratelimit.Charge{units(quota(1, time.Hour), "k", 1)}, make([]ratelimit.Decision, 1)); !errors.Is(err, errDown) {
		t.Errorf("the engine's error is %v", err)
	}
	b.set(nil)
	if d := takeOne(t, e, quota(1, time.Hour), "k", 1); !d.Allowed {
		t.Errorf("after an error: %+v", d)
	}
}

func TestDenyCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBehind(t)
		e := denyCache(t, ratelimit.DenyCacheConfig{Engine: b, Entries: 32})
		p := quota(1, time.Hour)
		names := make([]string, 1000)
		for i := range names {
			names[i] = string(rune('a'+i%26)) + time.Duration(i).String()
			takeOne(t, e, p, names[i], 1)
			takeOne(t, e, p, names[i], 1)
		}
		for _, name := range names {
			takeOne(t, e, p, name, 1)
		}
		if n := e.Repeated(); n == 0 || n > 32 {
			t.Errorf("%d of %d refusals were remembered, want at most 32", n, len(names))
		}
		time.Sleep(time.Second) // of the bubble's clock
		before := e.Repeated()
		for _, name := range names[:32] {
			for range 3 {
				takeOne(t, e, p, name+"new", 1)
			}
		}
		if e.Repeated() == before {
			t.Error("refusals that are over take the room of new ones")
		}
	})
}

func TestDenyCacheConfigs(t *testing.T) {
	for name, c := range map[string]ratelimit.DenyCacheConfig{
		"no engine": {},
		"long":      {Engine: newBehind(t), For: 101 * time.Millisecond},
		"negative":  {Engine: newBehind(t), For: -1},
		"entries":   {Engine: newBehind(t), Entries: -1},
	} {
		if _, err := ratelimit.NewDenyCache(c); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}
