package keyauth

import (
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

// throttle counts wrong secrets by (look-up id, address) together. An id alone
// is public, and an address alone is shared by whole offices: throttling either
// would let anybody lock others out.
type throttle struct {
	pairs     *otter.Cache[attempt, *rate.Limiter]
	addresses *otter.Cache[netip.Prefix, struct{}]
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
	return &throttle{pairs: pairs, addresses: addresses}, nil
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
}

func (t *throttle) close() {
	t.pairs.StopAllGoroutines()
	t.addresses.StopAllGoroutines()
}
