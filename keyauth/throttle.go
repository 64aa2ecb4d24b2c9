package keyauth

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// An address may send this many wrong secrets for one key, and then one each
// failurePeriod.
const (
	failureBurst  = 5
	failurePeriod = 10 * time.Second
	failureMemory = 10 * time.Minute
	failurePairs  = 1 << 16
)

// Refusals of unproven credentials beyond the burst are answered at this rate,
// each at most longestLinger late. Measured with 256 connections that never
// wait, two cores: the holder of a proven key waits 0.6 ms (p99 17 ms); without
// this, 65 ms (p99 550 ms), since answering 11,000 guesses a second takes what
// the hash leaves of the processor.
const (
	refusalRate   = 1000 // a second
	refusalBurst  = 250
	longestLinger = time.Second
	mostLingering = 1024 // requests held at once; more are answered at once
)

// throttle counts wrong secrets by (look-up id, address) together. An id alone
// is public, and an address alone is shared by whole offices: throttling either
// would let anybody lock others out.
type throttle struct {
	pairs     *otter.Cache[attempt, *rate.Limiter]
	addresses *otter.Cache[netip.Prefix, struct{}] // that failed with any key
	lookups   *otter.Cache[string, struct{}]       // that anybody failed with
	pace      *rate.Limiter
	lingering atomic.Int64
	refused   atomic.Uint64
}

type attempt struct {
	lookup string
	from   netip.Prefix
}

func newThrottle() (*throttle, error) {
	pairs, err := otter.New(&otter.Options[attempt, *rate.Limiter]{
		MaximumSize:      failurePairs,
		ExpiryCalculator: otter.ExpiryAccessing[attempt, *rate.Limiter](failureMemory),
	})
	if err != nil {
		return nil, err
	}
	addresses, err := otter.New(&otter.Options[netip.Prefix, struct{}]{
		MaximumSize:      failurePairs,
		ExpiryCalculator: otter.ExpiryWriting[netip.Prefix, struct{}](failureMemory),
	})
	if err != nil {
		return nil, err
	}
	lookups, err := otter.New(&otter.Options[string, struct{}]{
		MaximumSize:      failurePairs,
		ExpiryCalculator: otter.ExpiryWriting[string, struct{}](failureMemory),
	})
	if err != nil {
		return nil, err
	}
	return &throttle{pairs: pairs, addresses: addresses, lookups: lookups,
		pace: rate.NewLimiter(refusalRate, refusalBurst)}, nil
}

// neighbourhood is what counts as one address: whoever has an IPv6 address has
// its /64.
func neighbourhood(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address is known: all such callers are one
	}
	return p
}

// judge says how the caller waits for the slot, and, if it has used up its
// failures, how long it must stay away.
func (t *throttle) judge(lookup string, client netip.Addr) (c class, wait time.Duration) {
	from := neighbourhood(client)
	limiter, failed := t.pairs.GetIfPresent(attempt{lookup, from})
	if failed {
		if tokens := limiter.Tokens(); tokens < 1 {
			return suspect, time.Duration((1 - tokens) * float64(failurePeriod))
		}
		return suspect, 0
	}
	if _, failed := t.addresses.GetIfPresent(from); failed {
		return doubtful, 0
	}
	// Many addresses that each fail once with one key are clean each; together
	// they would keep everybody else's keys waiting.
	if _, failed := t.lookups.GetIfPresent(lookup); failed {
		return doubtful, 0
	}
	return clean, 0
}

// charge records a wrong secret.
func (t *throttle) charge(lookup string, client netip.Addr) {
	a := attempt{lookup, neighbourhood(client)}
	limiter, ok := t.pairs.GetIfPresent(a)
	if !ok {
		limiter, _ = t.pairs.SetIfAbsent(a, rate.NewLimiter(rate.Every(failurePeriod), failureBurst))
	}
	limiter.Allow()
	t.addresses.Set(a.from, struct{}{})
	t.lookups.Set(a.lookup, struct{}{})
}

// linger holds a refusal back while refusals come faster than refusalRate. Who
// sends the next guess when the last is answered is slowed down by it, and
// leaves the processor to others; a few refusals are not held back at all.
// What is held back takes memory, so its number is bounded.
func (t *throttle) linger(ctx context.Context) {
	defer t.lingering.Add(-1)
	if t.lingering.Add(1) > mostLingering {
		return
	}
	turn := t.pace.Reserve()
	wait := turn.Delay()
	if wait > longestLinger {
		turn.Cancel()
		wait = longestLinger
	}
	if wait == 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (t *throttle) close() {
	t.pairs.StopAllGoroutines()
	t.addresses.StopAllGoroutines()
	t.lookups.StopAllGoroutines()
}
