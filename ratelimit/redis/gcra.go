package redis

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/go-redis/redis_rate/v10"
	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/ratelimit"
)

// NewGCRA returns an engine on redis_rate v10, which lets Burst units through at
// once and spreads the rest of the Limit over the Period (the generic cell rate
// algorithm). The bucket holds Burst and refills at (Limit - Burst) / Period, so
// that no window of length Period, wherever it begins, sees more than Limit.
//
// A Burst of zero means a fifth of the Limit, and at least one. A Burst as high as
// the Limit is refused, as that would leave nothing to refill with, and so are a
// Limit of 1 and more than 100,000 units a second, which Redis's clock cannot tell
// apart. redis_rate computes with moments of 60 ns; each unit takes that much
// longer to come back than it should, so that none comes back sooner. Remaining is
// what can be had at once.
//
// A refund counts as long as what is given back cannot have come back by itself:
// within cost x Period / (Limit - Burst) of Charge.Taken, less 5 ms for the way to
// Redis. Later it has no effect.
func NewGCRA(c Config) (*Engine, error) {
	s, err := newServer(c, "g:")
	if err != nil {
		return nil, err
	}
	return &Engine{server: s, rules: &gcra{server: s, limiter: redis_rate.NewLimiter(s.client)}}, nil
}

type gcra struct {
	server  *server
	limiter *redis_rate.Limiter
}

const (
	grain       = 60 * time.Nanosecond  // what redis_rate's numbers tell apart, until 2048
	tick        = 2 * time.Microsecond  // what Redis's clock does, and what is lost in between
	minInterval = 10 * time.Microsecond // from one unit to the next
	onTheWay    = 5 * time.Millisecond  // by which a refund may come later than it was sent
	maxSpread   = 1_000_000_000
)

func (g *gcra) check(p ratelimit.Policy) error {
	switch {
	case p.Limit > maxSpread:
		return fmt.Errorf("%w: %s: Limit %d is above %d, the most that is spread exactly", ratelimit.ErrPolicy, p.Name, p.Limit, maxSpread)
	case p.Limit < 2:
		return fmt.Errorf("%w: %s: a Limit of 1 cannot be spread", ratelimit.ErrPolicy, p.Name)
	case p.Burst == p.Limit:
		return fmt.Errorf("%w: %s: with Burst %d any rate exceeds Limit %d within a Period", ratelimit.ErrPolicy, p.Name, p.Burst, p.Limit)
	case p.Period/time.Duration(p.Limit-g.most(p)) < minInterval:
		return fmt.Errorf("%w: %s: a unit every %v is less than %v", ratelimit.ErrPolicy, p.Name, p.Period/time.Duration(p.Limit-g.most(p)), minInterval)
	}
	return nil
}

func (g *gcra) most(p ratelimit.Policy) int64 {
	if p.Burst == 0 {
		return max(1, p.Limit/5)
	}
	return p.Burst
}

func (g *gcra) limit(p ratelimit.Policy) redis_rate.Limit {
	n := p.Limit - g.most(p)
	return redis_rate.Limit{Rate: int(n), Burst: int(g.most(p)), Period: p.Period + time.Duration(n)*grain}
}

// interval is how many seconds a unit takes to come back.
func (g *gcra) interval(p ratelimit.Policy) float64 {
	l := g.limit(p)
	return l.Period.Seconds() / float64(l.Rate)
}

func seconds(s float64) time.Duration { return time.Duration(math.Ceil(s * float64(time.Second))) }

func (g *gcra) describe(p ratelimit.Policy, full time.Duration) (d ratelimit.Decision, tokens float64) {
	tokens = float64(g.most(p)) - full.Seconds()/g.interval(p)
	slack := 1e-6 + 5*grain.Seconds()/g.interval(p)
	d = ratelimit.Decision{Limit: p.Limit, Remaining: max(0, int64(math.Floor(tokens+slack)))}
	if full > 0 {
		d.ResetAfter = full + tick
	}
	return d, tokens
}

func (g *gcra) take(ctx context.Context, digest string, p ratelimit.Policy, cost int64) (ratelimit.Decision, error) {
	res, err := g.limiter.AllowN(ctx, g.key(digest), g.limit(p), int(cost))
	if err != nil {
		return ratelimit.Decision{}, err
	}
	d, _ := g.describe(p, res.ResetAfter)
	if res.Allowed > 0 {
		d.Allowed, d.Taken = true, time.Now()
		return d, nil
	}
	d.Remaining, d.RetryAfter = min(d.Remaining, cost-1), max(0, res.RetryAfter)+tick
	return d, nil
}

// peek takes nothing at all, which redis_rate allows.
func (g *gcra) peek(ctx context.Context, digest string, p ratelimit.Policy, cost int64) (ratelimit.Decision, error) {
	res, err := g.limiter.AllowN(ctx, g.key(digest), g.limit(p), 0)
	if err != nil {
		return ratelimit.Decision{}, err
	}
	d, tokens := g.describe(p, res.ResetAfter)
	if d.Allowed = cost <= d.Remaining; !d.Allowed {
		d.RetryAfter = seconds((float64(cost)-tokens)*g.interval(p)) + tick
	}
	return d, nil
}

// The numbers are redis_rate's: seconds since 2017.
var refundBucket = goredis.NewScript(`
local full = tonumber(redis.call("get", KEYS[1]) or "0")
local time = redis.call("time")
local now = (time[1] - 1483228800) + (time[2] / 1000000)
full = full - tonumber(ARGV[1])
if full <= now then
	return redis.call("del", KEYS[1])
end
redis.call("set", KEYS[1], full, "EX", math.ceil(full - now))
return 1
`)

// refund is refused once the bucket may have been full again since: then the
// units are there already, and what was taken meanwhile is others'.
func (g *gcra) refund(ctx context.Context, digest string, p ratelimit.Policy, cost int64, ago time.Duration) error {
	back := float64(cost) * g.interval(p)
	if (ago + onTheWay).Seconds() >= back {
		return nil
	}
	return refundBucket.Run(ctx, g.server.client, []string{"rate:" + g.key(digest)}, back).Err()
}

func (g *gcra) forget(ctx context.Context, digest string, _ ratelimit.Policy) error {
	return g.limiter.Reset(ctx, g.key(digest))
}

func (g *gcra) key(digest string) string { return g.server.prefix + digest }
