package ratelimit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// LeaseConfig says how much is taken ahead.
type LeaseConfig struct {
	// Engine is who decides, shared by the fleet. It is required. Fixed windows fit
	// best; see [NewLease].
	Engine Engine
	// Part says how much a lease is: the Limit divided by it. Zero means 50, which
	// is 2 %; less is refused.
	Part int64
	// Counters is how many leases are kept at once; zero means 65,536. When all are
	// in use, others are asked for one by one.
	Counters int
}

const (
	defaultPart     = 50
	leasedFrom      = 1000 // the lowest Limit whose lease saves anything
	defaultCounters = 1 << 16
)

// NewLease returns an engine that takes from another in chunks and hands them out
// in this process, so that a fleet asks its server once for many requests: with
// chunks of 2 % at most 0.05 times a request. Limits below 1,000, costs above a
// chunk and costs of zero are asked for one by one.
//
// No more than the limit ever passes through fixed windows. Up to a chunk for each
// instance may stay unused when a window ends, where others asked for more: a
// limit is under-used by at most instances x chunk. Over an engine that slides or
// spreads, units are used up to a lease's life later than they were taken, so that
// a window may see as much more.
//
// What an instance has leased when its counter is reset elsewhere, it may still
// hand out. Refund no more than was taken: units on lease count as taken.
func NewLease(c LeaseConfig) (*Lease, error) {
	switch {
	case c.Engine == nil:
		return nil, errors.New("ratelimit: LeaseConfig.Engine is missing")
	case c.Part != 0 && c.Part < defaultPart:
		return nil, fmt.Errorf("ratelimit: LeaseConfig.Part is %d: a lease may be a Limit's %dth part at most", c.Part, defaultPart)
	case c.Counters < 0:
		return nil, fmt.Errorf("ratelimit: LeaseConfig.Counters is negative: %d", c.Counters)
	}
	if c.Part == 0 {
		c.Part = defaultPart
	}
	if c.Counters == 0 {
		c.Counters = defaultCounters
	}
	l := &Lease{inner: c.Engine, part: c.Part, most: c.Counters, leases: map[[DigestSize]byte]*lease{}}
	if _, err := rand.Read(l.secret[:]); err != nil {
		return nil, err
	}
	return l, nil
}

// Lease is an [Engine] that takes ahead. It is safe for concurrent use, and has no
// goroutine. Requests wait for each other only where one asks for their lease.
type Lease struct {
	inner  Engine
	part   int64
	most   int
	secret [32]byte
	asked  atomic.Uint64

	mu     sync.RWMutex
	leases map[[DigestSize]byte]*lease
	swept  time.Time
}

// A lease is what this process may hand out of one counter.
type lease struct {
	turn  chan struct{} // holds one while somebody works on the lease
	left  int64
	used  int64     // handed out since since
	since time.Time // when the window's first chunk was asked for
	ends  time.Time // when it is worth nothing any more: before over
	over  time.Time // when the window has ended for sure
	said  int64     // what was left for all when the last chunk was taken

	failed time.Time // when a chunk was last asked for in vain, and why
	why    error
}

// Asked is how many times the engine behind was asked, since the start.
func (l *Lease) Asked() uint64 { return l.asked.Load() }

// Check implements [Engine].
func (l *Lease) Check(p Policy) error { return l.inner.Check(p) }

func (l *Lease) chunk(p Policy) int64 { return p.Limit / l.part }

func (l *Lease) leasable(c *Charge) bool {
	return c.Policy.Limit >= leasedFrom && c.Cost > 0 && c.Cost <= l.chunk(c.Policy)
}

// Take implements [Engine].
func (l *Lease) Take(ctx context.Context, charges []Charge, out []Decision) error {
	var leaseRoom [usual]*lease
	var directRoom [usual]int
	leases, direct := leaseRoom[:0], directRoom[:0]
	for i := range charges {
		if err := l.inner.Check(charges[i].Policy); err != nil {
			return err
		}
		leases = append(leases, l.find(&charges[i]))
		if leases[i] == nil {
			direct = append(direct, i)
		}
	}
	if len(direct) == len(charges) {
		l.asked.Add(1)
		return l.inner.Take(ctx, charges, out)
	}
	fits, err := l.takeDirect(ctx, charges, out, direct)
	if err != nil {
		return err
	}
	given := 0 // leases up to here have given something
	for given < len(charges) && fits {
		if c := &charges[given]; leases[given] != nil {
			if out[given], err = l.takeLeased(ctx, leases[given], c); err != nil {
				break
			}
			fits = out[given].Allowed
		}
		if fits {
			given++
		}
	}
	if err == nil && fits {
		return nil
	}
	return errors.Join(err, l.undo(ctx, charges, out, leases, given))
}

// takeDirect takes what is not leased, all or nothing.
func (l *Lease) takeDirect(ctx context.Context, charges []Charge, out []Decision, direct []int) (fits bool, err error) {
	if len(direct) == 0 {
		return true, nil
	}
	some, decisions := make([]Charge, len(direct)), make([]Decision, len(direct))
	for i, at := range direct {
		some[i] = charges[at]
	}
	l.asked.Add(1)
	if err := l.inner.Take(ctx, some, decisions); err != nil {
		return false, err
	}
	for i, at := range direct {
		out[at] = decisions[i]
	}
	return refusedBy(decisions) < 0, nil
}

// undo gives back what was taken of a request that doesn't pass, and looks at the
// charges that were not asked for.
func (l *Lease) undo(ctx context.Context, charges []Charge, out []Decision, leases []*lease, given int) error {
	directPassed := true
	for i := range charges {
		directPassed = directPassed && (leases[i] != nil || out[i].Allowed)
	}
	var all []error
	for i := range charges {
		c := charges[i]
		switch {
		case leases[i] == nil && directPassed && c.Cost > 0:
			c.Taken = out[i].Taken
			all = append(all, l.inner.Refund(ctx, c))
			out[i].Remaining, out[i].Taken = out[i].Remaining+c.Cost, time.Time{}
		case leases[i] != nil && i < given:
			leases[i].lock()
			leases[i].giveBack(c.Cost, out[i].Taken)
			leases[i].unlock()
			out[i].Remaining, out[i].Taken = out[i].Remaining+c.Cost, time.Time{}
		case leases[i] != nil && (i > given || !directPassed):
			leases[i].lock()
			out[i] = leases[i].look(&c, time.Now())
			leases[i].unlock()
		}
	}
	return errors.Join(all...)
}

// find returns the lease that a charge is handed out of, and nil if it has none:
// it costs nothing or too much, or there is no room.
func (l *Lease) find(c *Charge) *lease {
	if !l.leasable(c) {
		return nil
	}
	digest := c.Digest(l.secret[:])
	l.mu.RLock()
	found := l.leases[digest]
	l.mu.RUnlock()
	if found != nil {
		return found
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.leases[digest]; found != nil {
		return found
	}
	if len(l.leases) >= l.most && !l.sweep(time.Now()) {
		return nil
	}
	found = &lease{turn: make(chan struct{}, 1)}
	l.leases[digest] = found
	return found
}

// sweep drops leases that are worth nothing, at most once a second. Whoever holds
// one of them is done with it, or will have a lease that nobody else finds.
func (l *Lease) sweep(now time.Time) (room bool) {
	if now.Sub(l.swept) < time.Second {
		return false
	}
	l.swept = now
	for digest, lease := range l.leases {
		select {
		case lease.turn <- struct{}{}:
			if !now.Before(lease.ends) {
				delete(l.leases, digest)
			}
			lease.unlock()
		default: // in use
		}
	}
	return len(l.leases) < l.most
}

func (x *lease) lock()   { x.turn <- struct{}{} }
func (x *lease) unlock() { <-x.turn }

// takeLeased hands out of a lease, and asks for another chunk if that isn't enough.
func (l *Lease) takeLeased(ctx context.Context, x *lease, c *Charge) (Decision, error) {
	came := time.Now()
	select {
	case x.turn <- struct{}{}:
		defer x.unlock()
	case <-ctx.Done():
		return Decision{}, ctx.Err()
	}
	if x.failed.After(came) {
		return Decision{}, x.why // whoever waited does not wait as long again
	}
	now := time.Now()
	if !now.Before(x.ends) {
		x.left, x.used, x.said = 0, 0, 0
	}
	if x.left < c.Cost {
		refusal, err := l.refill(ctx, x, c, now)
		if err != nil {
			x.failed, x.why = time.Now(), err
			return Decision{}, err
		}
		if refusal != nil {
			return *refusal, nil
		}
	}
	x.left, x.used = x.left-c.Cost, x.used+c.Cost
	d := x.describe(c.Policy, now)
	d.Allowed, d.Taken = true, now
	return d, nil
}

// refill takes a chunk, or what is left of one, or what is needed at least. It
// returns the refusal if not even that is to be had.
func (l *Lease) refill(ctx context.Context, x *lease, c *Charge, now time.Time) (*Decision, error) {
	need := c.Cost - x.left
	want := max(need, l.chunk(c.Policy)-x.left)
	switch {
	case now.Before(x.ends) && x.said >= need:
		want = max(need, min(want, x.said))
	case !now.Before(x.ends) && now.Before(x.over): // there would be no time to spend a chunk
		want = need
	}
	for {
		charge := [1]Charge{{Policy: c.Policy, Key: c.Key, Cost: want}}
		var out [1]Decision
		l.asked.Add(1)
		if err := l.inner.Take(ctx, charge[:], out[:]); err != nil {
			return nil, err
		}
		d := &out[0]
		if d.Allowed {
			x.add(want, d, now)
			return nil, nil
		}
		if x.said = d.Remaining; d.Remaining < need || want == need {
			d.Remaining += x.left
			return d, nil
		}
		want = max(need, min(d.Remaining, want-1))
	}
}

// early is how much sooner than it was said to end a window may end: what clocks
// round to, and by how much they differ.
func early(resetAfter time.Duration) time.Duration {
	return 2*time.Millisecond + resetAfter/10_000
}

// add puts a chunk into a lease. It ends with the window it was taken from,
// counted from before it was asked for.
func (x *lease) add(units int64, d *Decision, asked time.Time) {
	ends := asked.Add(d.ResetAfter - early(d.ResetAfter))
	if !asked.Before(x.ends) {
		x.since, x.ends = asked, ends
	}
	if x.left > 0 && x.ends.Before(ends) {
		ends = x.ends
	}
	x.left, x.ends, x.said = x.left+units, ends, d.Remaining
	x.over = asked.Add(d.ResetAfter + early(d.ResetAfter))
}

// describe tells what this process knows of a counter.
func (x *lease) describe(p Policy, now time.Time) Decision {
	return Decision{Limit: p.Limit, Remaining: x.left + x.said, ResetAfter: max(0, x.over.Sub(now))}
}

// look tells what would come of a charge, as far as this process knows: after its
// window nothing is counted.
func (x *lease) look(c *Charge, now time.Time) Decision {
	d := Decision{Limit: c.Policy.Limit, Remaining: c.Policy.Limit}
	if now.Before(x.ends) {
		d = x.describe(c.Policy, now)
	}
	if d.Allowed = d.Remaining >= c.Cost; !d.Allowed {
		d.RetryAfter = d.ResetAfter
	}
	return d
}

// giveBack returns what is left to give back elsewhere.
func (x *lease) giveBack(cost int64, taken time.Time) (rest int64) {
	if now := time.Now(); !now.Before(x.ends) || !taken.IsZero() && taken.Before(x.since) {
		return cost
	}
	back := min(cost, x.used)
	x.left, x.used = x.left+back, x.used-back
	return cost - back
}

// Peek implements [Engine]. What is on lease here is there to be had, by requests
// that cost no more than a chunk.
func (l *Lease) Peek(ctx context.Context, c Charge) (Decision, error) {
	d, err := l.inner.Peek(ctx, c)
	if err != nil {
		return d, err
	}
	one := c
	one.Cost = 1
	x := l.find(&one)
	if x == nil {
		return d, nil
	}
	x.lock()
	defer x.unlock()
	if d.Allowed {
		d.Remaining += c.Cost
	}
	if time.Now().Before(x.ends) {
		d.Remaining += x.left
	}
	if l.leasable(&c) && c.Cost <= d.Remaining {
		d.Allowed, d.RetryAfter = true, 0
	}
	if d.Allowed {
		d.Remaining -= c.Cost
	}
	return d, nil
}

// Refund implements [Engine]. What was handed out of the present lease goes back
// into it, up to a chunk, and the rest to the engine behind.
func (l *Lease) Refund(ctx context.Context, c Charge) error {
	if x := l.find(&c); x != nil {
		x.lock()
		here := min(c.Cost, max(0, l.chunk(c.Policy)-x.left))
		c.Cost -= here - x.giveBack(here, c.Taken)
		x.unlock()
		if c.Cost == 0 {
			return nil
		}
	}
	return l.inner.Refund(ctx, c)
}

// Reset implements [Engine].
func (l *Lease) Reset(ctx context.Context, c Charge) error {
	c.Cost = 1
	if x := l.find(&c); x != nil {
		x.lock()
		defer x.unlock()
		x.left, x.used, x.said, x.ends, x.over = 0, 0, 0, time.Time{}, time.Time{}
	}
	return l.inner.Reset(ctx, c)
}
