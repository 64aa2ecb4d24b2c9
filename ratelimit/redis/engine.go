package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/ratelimit"
)

// Engine is a [ratelimit.Engine] that counts in Redis. It is safe for concurrent
// use. It has no goroutine and needs no closing.
type Engine struct {
	server *server
	rules  rules
}

// rules are what differs among engines. They know one counter at a time, by its
// digest.
type rules interface {
	check(p ratelimit.Policy) error
	most(p ratelimit.Policy) int64 // what can be had at once of an unused policy
	take(ctx context.Context, digest string, p ratelimit.Policy, cost int64) (ratelimit.Decision, error)
	peek(ctx context.Context, digest string, p ratelimit.Policy, cost int64) (ratelimit.Decision, error)
	// refund gives back what was taken so long ago.
	refund(ctx context.Context, digest string, p ratelimit.Policy, cost int64, ago time.Duration) error
	forget(ctx context.Context, digest string, p ratelimit.Policy) error
}

// Check implements [ratelimit.Engine].
func (e *Engine) Check(p ratelimit.Policy) error {
	if err := p.Validate(); err != nil {
		return err
	}
	return e.rules.check(p)
}

func (e *Engine) accept(c *ratelimit.Charge, cost int64) error {
	if err := e.Check(c.Policy); err != nil {
		return err
	}
	if c.Cost < 0 {
		return fmt.Errorf("%w: %s: %d", ratelimit.ErrCost, c.Policy.Name, c.Cost)
	}
	if most := e.rules.most(c.Policy); cost > most {
		return fmt.Errorf("%w: %s: %d of at most %d", ratelimit.ErrTooCostly, c.Policy.Name, cost, most)
	}
	return nil
}

// Take implements [ratelimit.Engine]. See the package's documentation for how
// exact it is.
func (e *Engine) Take(ctx context.Context, charges []ratelimit.Charge, out []ratelimit.Decision) error {
	digests, err := e.digests(charges)
	if err != nil {
		return err
	}
	ctx, cancel := e.server.bound(ctx)
	defer cancel()
	for i := range charges {
		c := &charges[i]
		if out[i], err = e.take(ctx, digests[i], c.Policy, c.Cost); err != nil {
			return fmt.Errorf("ratelimit/redis: %w", err)
		}
		if !out[i].Allowed {
			return e.undo(ctx, charges, digests, out, i)
		}
	}
	return nil
}

func (e *Engine) take(ctx context.Context, digest string, p ratelimit.Policy, cost int64) (ratelimit.Decision, error) {
	if cost == 0 {
		return e.rules.peek(ctx, digest, p, cost)
	}
	return e.rules.take(ctx, digest, p, cost)
}

// digests refuses what cannot be asked for, before anything is consumed.
func (e *Engine) digests(charges []ratelimit.Charge) ([]string, error) {
	all := make([]string, len(charges))
	for i := range charges {
		all[i] = e.server.digest(&charges[i])
		cost := charges[i].Cost
		for j := range i {
			if all[j] == all[i] {
				cost += charges[j].Cost
			}
		}
		if err := e.accept(&charges[i], cost); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// undo gives back what was taken before the charge that didn't fit, and looks at
// those after it.
func (e *Engine) undo(ctx context.Context, charges []ratelimit.Charge, digests []string, out []ratelimit.Decision, refused int) error {
	for i := range charges {
		c, d := &charges[i], &out[i]
		switch {
		case i < refused && c.Cost > 0:
			if err := e.rules.refund(ctx, digests[i], c.Policy, c.Cost, time.Since(d.Taken)); err != nil {
				return fmt.Errorf("ratelimit/redis: %w", err)
			}
			d.Remaining, d.Taken = d.Remaining+c.Cost, time.Time{}
			if d.Remaining == e.rules.most(c.Policy) {
				d.ResetAfter = 0
			}
		case i > refused:
			var err error
			if *d, err = e.rules.peek(ctx, digests[i], c.Policy, c.Cost); err != nil {
				return fmt.Errorf("ratelimit/redis: %w", err)
			}
		}
	}
	return nil
}

// Peek implements [ratelimit.Engine].
func (e *Engine) Peek(ctx context.Context, c ratelimit.Charge) (ratelimit.Decision, error) {
	if err := e.accept(&c, c.Cost); err != nil {
		return ratelimit.Decision{}, err
	}
	ctx, cancel := e.server.bound(ctx)
	defer cancel()
	d, err := e.rules.peek(ctx, e.server.digest(&c), c.Policy, c.Cost)
	if err != nil {
		return ratelimit.Decision{}, fmt.Errorf("ratelimit/redis: %w", err)
	}
	if d.Allowed {
		d.Remaining -= c.Cost
	}
	return d, nil
}

// Refund implements [ratelimit.Engine].
func (e *Engine) Refund(ctx context.Context, c ratelimit.Charge) error {
	if err := e.accept(&c, c.Cost); err != nil || c.Cost == 0 {
		return err
	}
	var ago time.Duration
	if !c.Taken.IsZero() {
		ago = max(0, time.Since(c.Taken))
	}
	ctx, cancel := e.server.bound(ctx)
	defer cancel()
	if err := e.rules.refund(ctx, e.server.digest(&c), c.Policy, c.Cost, ago); err != nil {
		return fmt.Errorf("ratelimit/redis: %w", err)
	}
	return nil
}

// Reset implements [ratelimit.Engine].
func (e *Engine) Reset(ctx context.Context, c ratelimit.Charge) error {
	if err := e.Check(c.Policy); err != nil {
		return err
	}
	ctx, cancel := e.server.bound(ctx)
	defer cancel()
	if err := e.rules.forget(ctx, e.server.digest(&c), c.Policy); err != nil {
		return fmt.Errorf("ratelimit/redis: %w", err)
	}
	return nil
}
