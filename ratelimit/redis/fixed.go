package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	ulule "github.com/ulule/limiter/v3"
	store "github.com/ulule/limiter/v3/drivers/store/redis"

	"github.com/strikeplate/strikeplate/ratelimit"
)

// NewFixedWindow returns the default engine, on the Redis store of ulule/limiter
// v3: a window begins with the first charge under a key and ends a Period later,
// and at most Limit units pass in it.
//
// Windows know nothing of each other, so a caller that spends one at its end and
// the next at its beginning gets up to twice the Limit within any one Period.
// Where that matters use [NewSlidingLog] or [NewGCRA], or a second, shorter
// policy. A Burst is refused. Periods are rounded up to a millisecond. A window
// from which everything was given back has never begun.
//
// A charge of one unit is exact: as many pass as the Limit says. The store charges
// first and this engine gives back what didn't fit, so a refused charge of several
// units is seen by others for a moment, and may keep out smaller ones that fit.
// A charge is one command to Redis; a refused one is two.
func NewFixedWindow(c Config) (*Engine, error) {
	s, err := newServer(c, "w")
	if err != nil {
		return nil, err
	}
	f := &fixedWindow{server: s}
	if _, err := f.newAsker(); err != nil { // it asks Redis nothing
		return nil, err
	}
	return &Engine{server: s, rules: f}, nil
}

type fixedWindow struct {
	server *server
	askers sync.Pool // of *asker
}

func (f *fixedWindow) check(p ratelimit.Policy) error {
	if p.Burst != 0 {
		return fmt.Errorf("%w: %s: a fixed window cannot honour Burst %d; use a second, shorter policy", ratelimit.ErrPolicy, p.Name, p.Burst)
	}
	return nil
}

func (f *fixedWindow) most(p ratelimit.Policy) int64 { return p.Limit }

// An asker is a store of ulule's, and a client that keeps what Redis said: the
// store itself tells a window's end in whole seconds, rounded down, and a full
// Period in its last millisecond.
type asker struct {
	ulule.Store
	heard listener
}

func (f *fixedWindow) newAsker() (*asker, error) {
	a := &asker{}
	a.heard = listener{UniversalClient: f.server.client, scripts: map[string]*goredis.Script{}}
	var err error
	a.Store, err = store.NewStoreWithOptions(&a.heard, ulule.StoreOptions{Prefix: f.server.prefix})
	return a, err
}

func (f *fixedWindow) asker() (*asker, error) {
	if a, ok := f.askers.Get().(*asker); ok {
		return a, nil
	}
	return f.newAsker()
}

// A listener is the client that a store talks to.
type listener struct {
	goredis.UniversalClient
	scripts     map[string]*goredis.Script
	used, lasts int64 // what the last script returned: units, milliseconds
}

// ScriptLoad answers for Redis, which is not asked before there is a request: the
// store could not be made while it is down, and would wait for it without a
// deadline, holding a lock.
func (l *listener) ScriptLoad(ctx context.Context, text string) *goredis.StringCmd {
	script := goredis.NewScript(text)
	l.scripts[script.Hash()] = script
	cmd := goredis.NewStringCmd(ctx)
	cmd.SetVal(script.Hash())
	return cmd
}

// EvalSha runs a script, and sends its text to a server that doesn't know it.
func (l *listener) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *goredis.Cmd {
	cmd := l.scripts[hash].Run(ctx, l.UniversalClient, keys, args...)
	l.used, l.lasts = 0, 0
	if values, err := cmd.Int64Slice(); err == nil && len(values) == 2 {
		l.used, l.lasts = values[0], values[1]
	}
	return cmd
}

// period is the policy's as Redis counts it.
func period(p ratelimit.Policy) time.Duration {
	return (p.Period + time.Millisecond - 1).Truncate(time.Millisecond)
}

func rate(p ratelimit.Policy) ulule.Rate { return ulule.Rate{Period: period(p), Limit: p.Limit} }

// ends tells how long a window lasts that Redis says lasts some milliseconds. One
// is over after its last millisecond, and that one has begun.
func ends(p ratelimit.Policy, milliseconds int64) time.Duration {
	left := time.Duration(milliseconds) * time.Millisecond
	return min(max(0, left), period(p)) + time.Millisecond
}

func (f *fixedWindow) take(ctx context.Context, digest string, p ratelimit.Policy, cost int64) (ratelimit.Decision, error) {
	a, err := f.asker()
	if err != nil {
		return ratelimit.Decision{}, err
	}
	defer f.askers.Put(a)
	before := time.Now()
	if _, err := a.Increment(ctx, digest, cost, rate(p)); err != nil {
		return ratelimit.Decision{}, err
	}
	used, left := a.heard.used, ends(p, a.heard.lasts)
	d := ratelimit.Decision{Limit: p.Limit, Allowed: used <= p.Limit, ResetAfter: left}
	now := time.Now()
	// Refunds tell windows apart to the millisecond. From one that is about to end
	// nothing is given back, lest it go to the next.
	ending := left <= now.Sub(before)+3*time.Millisecond
	if d.Allowed {
		d.Remaining, d.Taken = p.Limit-used, now
		if ending {
			d.Taken = now.Add(-2 * period(p))
		}
		return d, nil
	}
	d.Remaining, d.RetryAfter = max(0, p.Limit-(used-cost)), left
	if !ending {
		// Should it fail, the window counts what nobody got. It is refused anyway.
		_ = f.refund(ctx, digest, p, cost, time.Since(now))
	}
	return d, nil
}

func (f *fixedWindow) peek(ctx context.Context, digest string, p ratelimit.Policy, cost int64) (ratelimit.Decision, error) {
	a, err := f.asker()
	if err != nil {
		return ratelimit.Decision{}, err
	}
	defer f.askers.Put(a)
	if _, err := a.Peek(ctx, digest, rate(p)); err != nil {
		return ratelimit.Decision{}, err
	}
	d := ratelimit.Decision{Limit: p.Limit, Remaining: max(0, p.Limit-a.heard.used)}
	if a.heard.used != 0 {
		d.ResetAfter = ends(p, a.heard.lasts)
	}
	if d.Allowed = cost <= d.Remaining; !d.Allowed {
		d.RetryAfter = d.ResetAfter
	}
	return d, nil
}

// A refund never makes a counter, nor leaves one at nothing: the store would begin
// a window there that lets more through than the limit, or last longer.
var refundWindow = goredis.NewScript(`
local used = tonumber(redis.call("get", KEYS[1]) or "0")
local cost, period, ago = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local age = period - redis.call("pttl", KEYS[1])
if age + 1 < ago then
	return 0
end
if used <= cost then
	return redis.call("del", KEYS[1])
end
redis.call("decrby", KEYS[1], ARGV[1])
return 1
`)

func (f *fixedWindow) refund(ctx context.Context, digest string, p ratelimit.Policy, cost int64, ago time.Duration) error {
	return refundWindow.Run(ctx, f.server.client, []string{f.server.prefix + ":" + digest},
		cost, period(p).Milliseconds(), float64(ago)/float64(time.Millisecond)).Err()
}

func (f *fixedWindow) forget(ctx context.Context, digest string, p ratelimit.Policy) error {
	a, err := f.asker()
	if err != nil {
		return err
	}
	defer f.askers.Put(a)
	_, err = a.Reset(ctx, digest, rate(p))
	return err
}
