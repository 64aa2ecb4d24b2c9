package ratelimit

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// maxSpread keeps tokens exact in a float64 and within an int on any machine.
const maxSpread = 1_000_000_000

// NewGCRA returns an engine that lets Burst units through at once and spreads
// the rest of the Limit over the Period (the generic cell rate algorithm, also
// known as token bucket). The bucket holds Burst and refills at
// (Limit - Burst) / Period, so that no window of length Period, wherever it
// begins, sees more than Limit.
//
// A Burst of zero means a fifth of the Limit, and at least one. A Burst as high as
// the Limit is refused, as that would leave nothing to refill with, and so are a
// Limit of 1 and one above 1,000,000,000. Remaining is what can be had at once.
// A counter takes about 220 bytes, whatever the Limit. Buckets are those of
// golang.org/x/time/rate.
func NewGCRA(c MemoryConfig) (*Memory, error) {
	return newMemory[bucket](gcra{}, c, defaultKeys)
}

type gcra struct{}

type bucket struct {
	*rate.Limiter
	full time.Time // when something was last taken while it was full
}

func (gcra) check(p *Policy) error {
	switch {
	case p.Limit > maxSpread:
		return fmt.Errorf("%w: %s: Limit %d is above %d, the most that is spread exactly", ErrPolicy, p.Name, p.Limit, maxSpread)
	case p.Limit < 2:
		return fmt.Errorf("%w: %s: a Limit of 1 cannot be spread", ErrPolicy, p.Name)
	case p.Burst == p.Limit:
		return fmt.Errorf("%w: %s: with Burst %d any rate exceeds Limit %d within a Period", ErrPolicy, p.Name, p.Burst, p.Limit)
	}
	return nil
}

func (gcra) most(p *Policy) int64 {
	if p.Burst == 0 {
		return max(1, p.Limit/5)
	}
	return p.Burst
}

// perSecond is the rate at which burst + rate x period is the limit.
func (g gcra) perSecond(p *Policy) rate.Limit {
	return rate.Limit(float64(p.Limit-g.most(p)) / p.Period.Seconds())
}

func (g gcra) fresh(p *Policy) *bucket {
	return &bucket{Limiter: rate.NewLimiter(g.perSecond(p), int(g.most(p)))}
}

// after is how long until tokens have come, rounded up to a nanosecond.
func (g gcra) after(p *Policy, tokens float64) time.Duration {
	return time.Duration(math.Ceil(tokens / float64(g.perSecond(p)) * float64(time.Second)))
}

// slack is how far tokens may be below a whole number and count as it: what
// arithmetic loses, and far less than comes in a nanosecond of any rate at which
// a policy could be watched to that precision.
const slack = 1e-6

func (g gcra) look(b *bucket, p *Policy, cost int64, now time.Time) Decision {
	tokens := b.TokensAt(now)
	d := g.describe(p, tokens)
	d.Allowed = cost <= d.Remaining
	if !d.Allowed {
		d.RetryAfter = max(1, g.after(p, float64(cost)-tokens))
	}
	return d
}

func (g gcra) describe(p *Policy, tokens float64) Decision {
	d := Decision{Limit: p.Limit, Remaining: max(0, int64(math.Floor(tokens+slack)))}
	if most := float64(g.most(p)); tokens < most {
		d.ResetAfter = g.after(p, most-tokens)
	}
	return d
}

func (g gcra) take(b *bucket, p *Policy, cost int64, now time.Time) Decision {
	if d := g.look(b, p, cost, now); !d.Allowed {
		return d
	}
	if b.TokensAt(now) >= float64(g.most(p)) {
		b.full = now
	}
	b.ReserveN(now, int(cost)) // it fits: no waiting comes of it
	d := g.describe(p, b.TokensAt(now))
	d.Allowed, d.Taken = true, now
	return d
}

// refund puts tokens back, unless the bucket was full since they were taken: then
// they have come back already.
func (g gcra) refund(b *bucket, p *Policy, cost int64, taken, now time.Time) {
	tokens := b.TokensAt(now)
	if taken.Before(b.full) || tokens >= float64(g.most(p)) {
		return
	}
	b.ReserveN(now, -int(min(cost, int64(math.Ceil(float64(g.most(p))-tokens)))))
}

func (g gcra) idle(b *bucket, now time.Time) bool { return b.TokensAt(now) >= float64(b.Burst()) }

// copy rounds what was taken up to whole units.
func (g gcra) copy(p *Policy, from *bucket, now time.Time) *bucket {
	b := g.fresh(p)
	b.full = from.full
	b.ReserveN(now, int(math.Ceil(float64(g.most(p))-from.TokensAt(now))))
	return b
}
