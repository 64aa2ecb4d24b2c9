package ratelimit_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate/ratelimit"
)

func stats(e ratelimit.Engine) ratelimit.MemoryStats { return e.(*ratelimit.Memory).Stats() }

// Nobody who can make up keys gets a spent counter evicted, his own or another's.
func TestThreat24AFloodOfKeysEvictsNoSpentCounter(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{Keys: 1000}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
		take(t, e, charge(hundred, "victim", atOnce))
		var passed int64
		for i := range 20_000 {
			if allowed(take(t, e, charge(hundred, fmt.Sprint("made up ", i), 1))) {
				passed++
			}
		}
		if allowed(take(t, e, charge(hundred, "victim", 1))) {
			t.Error("the flood freed a spent counter")
		}
		s := stats(e)
		if s.Keys > 1000 || s.Max != 1000 {
			t.Errorf("%d counters, %d are allowed", s.Keys, s.Max)
		}
		if s.Shared == 0 {
			t.Error("nothing tells that the engine is full")
		}
		if most := 1000 + 16*atOnce; passed > most { // 16 shards
			t.Errorf("%d made-up keys passed; those without room share counters, so at most %d", passed, most)
		}
		time.Sleep(2 * time.Minute) // of the bubble's clock: all windows end
		if !allowed(take(t, e, charge(hundred, "made up 19999", 1))) {
			t.Error("the engine stays full when all counters are over")
		}
		for i := range 2000 {
			take(t, e, charge(hundred, fmt.Sprint("later ", i), 1))
		}
		if got := stats(e).Shared - s.Shared; got > 1100 {
			t.Errorf("%d of 2,000 new keys found no room after all others were over", got)
		}
	})
}

// A key that was counted together with others, and then gets a counter of its
// own, has spent what was counted there.
func TestThreat24NoFreshQuotaForAKeyThatFindsRoom(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{Keys: 1}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
		short := ratelimit.Policy{Name: "short", Limit: 100, Period: 2 * time.Second}
		take(t, e, charge(short, "in the way", 1))
		if !allowed(take(t, e, charge(hundred, "acme", atOnce))) {
			t.Fatal("a shared counter lets through what is the limit")
		}
		if allowed(take(t, e, charge(hundred, "another", 1))) {
			t.Error("a shared counter let two keys have the limit each")
		}
		before := stats(e)
		time.Sleep(3 * time.Second) // of the bubble's clock: there is room
		passed := int64(0)
		for range 2 * atOnce {
			if allowed(take(t, e, charge(hundred, "acme", 1))) {
				passed++
			}
		}
		if stats(e).Shared != before.Shared {
			t.Fatal("there was no room after all")
		}
		if refilled := int64(5); passed > refilled { // GCRA: 80 a minute
			t.Errorf("%d more passed once the key had its own counter", passed)
		}
	})
}

// What is given back to a key without a counter of its own makes no room for others.
func TestThreat24RefundsToASharedCounterAreLost(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{Keys: 1}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
		take(t, e, charge(hundred, "in the way", 1))
		take(t, e, charge(hundred, "acme", atOnce))
		if err := e.Refund(t.Context(), charge(hundred, "acme", atOnce)); err != nil {
			t.Fatal(err)
		}
		if allowed(take(t, e, charge(hundred, "another", 1))) {
			t.Error("a refund to a shared counter made room for another key")
		}
	})
}

func TestIdleCountersAreDropped(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, _ int64) {
		for i := range 10_000 {
			take(t, e, charge(hundred, fmt.Sprint(i), 1))
		}
		if n := stats(e).Keys; n != 10_000 {
			t.Errorf("%d counters, want 10,000", n)
		}
		time.Sleep(2 * time.Minute) // of the bubble's clock
		for i := range 10_000 {     // reaches every shard
			take(t, e, charge(hundred, fmt.Sprint("new ", i), 1))
		}
		if n := stats(e).Keys; n != 10_000 {
			t.Errorf("%d counters after the old ones were over, want 10,000", n)
		}
	})
}

// Trap 6: no Close, so one goroutine per store for ever; no bound, so a million
// keys cost what they cost.
func TestTrap6NoGoroutineAndBoundedMemory(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, engine := range engines {
		const bound = 20_000
		slow := policy("slow", 100, time.Hour) // nothing is over when the test is slow
		var stats ratelimit.MemoryStats
		bytes := grown(t, func() any {
			e, err := engine.make(ratelimit.MemoryConfig{Keys: bound})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 5 * bound {
				take(t, e, charge(slow, fmt.Sprint("key ", i), 1))
			}
			stats = e.Stats()
			return e
		})
		if stats.Keys != bound || stats.Shared != 4*bound {
			t.Errorf("%s: %+v", engine.name, stats)
		}
		t.Logf("%s: %d bytes a counter", engine.name, bytes/bound)
		if bytes/bound > 1000 {
			t.Errorf("%s: %d bytes a counter", engine.name, bytes/bound)
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// grown returns how many bytes what f returns takes.
func grown(t testing.TB, f func() any) int64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	keep := f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(keep)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// BenchmarkMillionKeys reports the memory of a million counters.
func BenchmarkMillionKeys(b *testing.B) {
	const million = 1_000_000
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			var bytes int64
			for b.Loop() {
				bytes = grown(b, func() any {
					e, err := engine.make(ratelimit.MemoryConfig{Keys: million})
					if err != nil {
						b.Fatal(err)
					}
					for i := range million {
						take(b, e, charge(hundred, ratelimit.Key("organisation", fmt.Sprintf("org_%08d", i), "live"), 1))
					}
					return e
				})
			}
			b.ReportMetric(float64(bytes)/million, "B/key")
		})
	}
}

// Trap 1: the storage key omits the rate, so limiters on one store share a
// counter, and a prefix and a key that join to the same text do too.
func TestTrap1CountersAreNamedByThePolicyToo(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, atOnce int64) {
		hourly := hundred
		hourly.Period = time.Hour
		api, login := hundred, hundred
		api.Name, login.Name = "api", "api:login"
		take(t, e, charge(hundred, "acme", atOnce), charge(api, "login:bob", atOnce))
		if !allowed(take(t, e, charge(hourly, "acme", 1))) {
			t.Error("two rates share a counter")
		}
		if !allowed(take(t, e, charge(login, "bob", 1))) {
			t.Error("api + login:bob and api:login + bob share a counter")
		}
	})
}

// Traps 2 and 3: a Reset a full period late, or floored to the second before.
func TestTrap3ResetIsExactToTheWindowsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(123_456_789) // of the bubble's clock: a window that begins within a second
		p := ratelimit.Policy{Name: "p", Limit: 1, Period: 1500 * time.Millisecond}
		if d := take(t, e, charge(p, "acme", 1))[0]; d.ResetAfter != p.Period {
			t.Errorf("a window of %v resets after %v", p.Period, d.ResetAfter)
		}
		time.Sleep(700 * time.Millisecond) // of the bubble's clock
		d := take(t, e, charge(p, "acme", 1))[0]
		if d.Allowed || d.RetryAfter != 800*time.Millisecond {
			t.Errorf("told to wait %v, want 800ms", d.RetryAfter)
		}
		time.Sleep(d.RetryAfter - 1) // of the bubble's clock
		if d := take(t, e, charge(p, "acme", 1))[0]; d.Allowed || d.RetryAfter != 1 {
			t.Errorf("a nanosecond before the end: %+v", d)
		}
		time.Sleep(1 * time.Nanosecond) // of the bubble's clock
		if !allowed(take(t, e, charge(p, "acme", 1))) {
			t.Error("refused at the window's end")
		}
	})
}

// Trap 8: periods below a millisecond never expire; a refund to 0 restarts the
// window; a shortened policy leaves live keys.
func TestTrap8RefundsAndShortenedPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		tiny := hundred
		tiny.Period = time.Microsecond
		if e.Check(tiny) == nil {
			t.Error("a period of a microsecond was accepted")
		}
		take(t, e, charge(hundred, "acme", 1))
		time.Sleep(40 * time.Second) // of the bubble's clock
		if err := e.Refund(t.Context(), charge(hundred, "acme", 1)); err != nil {
			t.Fatal(err)
		}
		if d := take(t, e, charge(hundred, "acme", 100))[0]; !d.Allowed || d.ResetAfter != 20*time.Second {
			t.Errorf("after a refund to nothing: %+v, want the end of the same window", d)
		}
		// A refund that comes after the end mustn't leave credit in the next window.
		time.Sleep(20 * time.Second) // of the bubble's clock
		if err := e.Refund(t.Context(), charge(hundred, "acme", 50)); err != nil {
			t.Fatal(err)
		}
		if d := take(t, e, charge(hundred, "acme", 1))[0]; d.Remaining != 99 {
			t.Errorf("after a refund past the end %d remain, want 99", d.Remaining)
		}
		take(t, e, charge(hundred, "spent", 100))
		short := hundred
		short.Period = time.Second
		take(t, e, charge(short, "spent", 100))
		time.Sleep(time.Second) // of the bubble's clock
		if !allowed(take(t, e, charge(short, "spent", 1))) {
			t.Error("a shortened policy waits for the long window's end")
		}
	})
}
