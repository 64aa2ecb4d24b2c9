package ratelimit

import (
	"fmt"
	"time"

	ulule "github.com/ulule/limiter/v3/drivers/store/memory"
)

// NewFixedWindow returns the default engine: a window begins with the first
// charge under a key and ends a Period later, and at most Limit units pass in it.
//
// Windows know nothing of each other, so a caller that spends one at its end and
// the next at its beginning gets up to twice the Limit within any one Period.
// Where that matters use [NewSlidingLog] or [NewGCRA], or a second, shorter
// policy. A Burst is refused. A counter takes about 150 bytes, whatever the Limit:
// 152 MB at a million of an organisation each.
//
// Counters are those of the memory store of ulule/limiter v3. They are used
// without the cache around them, so that their number is bounded, a window's end
// is known to the nanosecond, and no goroutine is needed.
func NewFixedWindow(c MemoryConfig) (*Memory, error) {
	return newMemory[ulule.Counter](fixedWindow{}, c, defaultKeys)
}

type fixedWindow struct{}

func (fixedWindow) check(p *Policy) error {
	if p.Burst != 0 {
		return fmt.Errorf("%w: %s: a fixed window cannot honour Burst %d; use a second, shorter policy", ErrPolicy, p.Name, p.Burst)
	}
	return nil
}

func (fixedWindow) most(p *Policy) int64         { return p.Limit }
func (fixedWindow) fresh(*Policy) *ulule.Counter { return &ulule.Counter{} }

func (fixedWindow) copy(_ *Policy, from *ulule.Counter, _ time.Time) *ulule.Counter {
	c := &ulule.Counter{}
	if used, end := from.Load(0); end != 0 {
		c.Increment(used, end)
	}
	return c
}

// window describes a counter; end is the window's last nanosecond. In a window
// that is over nothing is used.
func window(p *Policy, used, end int64, now time.Time) Decision {
	d := Decision{Limit: p.Limit, Remaining: max(0, p.Limit-used)}
	if end != 0 {
		d.ResetAfter = max(1, time.Duration(end-now.UnixNano())+1)
	}
	return d
}

func (fixedWindow) look(c *ulule.Counter, p *Policy, cost int64, now time.Time) Decision {
	used, end := c.Load(0)
	d := window(p, used, end, now)
	d.Allowed = cost <= d.Remaining
	if !d.Allowed {
		d.RetryAfter = d.ResetAfter
	}
	return d
}

// take counts first and takes back what doesn't fit; nobody sees it meanwhile.
// Taken back with the window's own end, should that be over by now, the library
// begins another window with less than nothing, which is then over as well.
func (fixedWindow) take(c *ulule.Counter, p *Policy, cost int64, now time.Time) Decision {
	used, end := c.Increment(cost, now.UnixNano()+int64(p.Period)-1) // its last nanosecond
	if used > p.Limit {
		used, _ = c.Increment(-cost, end)
		d := window(p, max(0, used), end, now)
		d.RetryAfter = d.ResetAfter
		return d
	}
	d := window(p, used, end, now)
	d.Allowed, d.Taken = true, now
	return d
}

// refund passes the window's own end, as take does.
func (fixedWindow) refund(c *ulule.Counter, p *Policy, cost int64, taken, _ time.Time) {
	used, end := c.Load(0)
	if end != 0 && taken.UnixNano() > end-int64(p.Period) {
		c.Increment(-min(cost, used), end)
	}
}

func (fixedWindow) idle(c *ulule.Counter, _ time.Time) bool { return c.Expired() }
