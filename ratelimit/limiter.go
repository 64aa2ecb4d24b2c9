package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/strikeplate/strikeplate"
)

// Config says what a [Limiter] counts and with what. Rules, Plans and Charges add
// up; at least one is needed.
type Config struct {
	// Engine counts; nil means a [NewFixedWindow] of its own.
	Engine Engine
	// Rules are limits that are the same for everybody; none if empty.
	Rules []Rule
	// Plans limit callers by their plan; nil means not at all.
	Plans *Plans
	// Charges appends what a request costs beyond Rules and Plans to out, and
	// returns that; nil means nothing. p is nil before authentication. It may not
	// keep out. Policies are all that it may name: New has the engine check them.
	Charges  func(r *http.Request, p *strikeplate.Principal, out []Charge) []Charge
	Policies []Policy
	// Refundable lets handlers give back what their request cost, with [Refund]. It
	// costs two allocations a request. False: Refund has no effect on this limiter.
	Refundable bool
	// InsecureFailOpen lets requests through, uncounted, while the engine fails.
	// False: they are answered 503. Consider a fallback engine instead of this.
	InsecureFailOpen bool
	// Logger hears of requests let through so, at most once a second; nil means
	// [slog.Default].
	Logger *slog.Logger
}

// Rule is one limit and what it counts.
type Rule struct {
	Policy Policy
	// By says what is counted; it is required.
	By By
	// Cost is what a request costs; nil means 1. See [CostByRoute].
	Cost Cost
}

// A Cost tells what a request costs, in units of the policy. The Principal may be
// nil. A negative cost is answered 503, and one above the limit 403.
type Cost func(r *http.Request, p *strikeplate.Principal) int64

// Limiter refuses requests above their limits and tells callers where they stand.
// It is safe for concurrent use.
type Limiter struct {
	engine     Engine
	inMemory   bool
	rules      []toldRule
	plans      *Plans
	extra      func(r *http.Request, p *strikeplate.Principal, out []Charge) []Charge
	refundable bool
	failOpen   *complaint // nil: closed
	scratch    sync.Pool
}

// New makes a Limiter. The error wraps [ErrPolicy] if the engine cannot honour one
// of the policies.
func New(c Config) (*Limiter, error) {
	if len(c.Rules) == 0 && c.Plans == nil && c.Charges == nil {
		return nil, errors.New("ratelimit: Config without Rules, Plans and Charges limits nothing")
	}
	if (c.Charges == nil) != (len(c.Policies) == 0) {
		return nil, errors.New("ratelimit: Config.Policies are those that Config.Charges names: one needs the other")
	}
	l := &Limiter{engine: c.Engine, plans: c.Plans, extra: c.Charges, refundable: c.Refundable}
	if l.engine == nil {
		e, err := NewFixedWindow(MemoryConfig{})
		if err != nil {
			return nil, err
		}
		l.engine = e
	}
	_, l.inMemory = l.engine.(*Memory)
	if err := l.check(c); err != nil {
		return nil, err
	}
	for _, rule := range c.Rules {
		l.rules = append(l.rules, toldRule{rule, tell(rule.Policy)[0]})
	}
	if c.InsecureFailOpen {
		l.failOpen = &complaint{logger: c.Logger}
	}
	l.scratch.New = func() any { return new(scratch) }
	return l, nil
}

func (l *Limiter) check(c Config) error {
	policies := c.Policies
	for i, rule := range c.Rules {
		if rule.By == nil {
			return fmt.Errorf("ratelimit: Config.Rules[%d].By is missing", i)
		}
		policies = append(policies[:len(policies):len(policies)], rule.Policy)
	}
	if c.Plans != nil {
		policies = append(policies[:len(policies):len(policies)], c.Plans.Policies()...)
	}
	for _, p := range policies {
		if err := l.engine.Check(p); err != nil {
			return err
		}
	}
	return nil
}

type toldRule struct {
	Rule
	told *told
}

// charges collects what a request costs.
func (l *Limiter) charges(r *http.Request, p *strikeplate.Principal, s *scratch) {
	s.charges, s.known = s.charges[:0], s.known[:0]
	for i := range l.rules {
		rule := &l.rules[i]
		if key := rule.By(r, p); key != "" {
			s.charges = append(s.charges, Charge{Policy: rule.Policy, Key: key, Cost: rule.Cost.of(r, p)})
			s.known = append(s.known, rule.told)
		}
	}
	if l.plans != nil && p != nil {
		bound, key := l.plans.resolve(r, p)
		s.charges = l.plans.charge(r, p, bound.policies, key, s.charges)
		if bound.known != nil {
			s.known = append(s.known, bound.known[:len(s.charges)-len(s.known)]...)
		}
	}
	if l.extra != nil {
		s.charges = l.extra(r, p, s.charges)
	}
	for len(s.known) < len(s.charges) {
		s.known = append(s.known, nil)
	}
}

func (c Cost) of(r *http.Request, p *strikeplate.Principal) int64 {
	if c == nil {
		return 1
	}
	return c(r, p)
}

// Peek tells where the counter of a charge stands and whether its cost would pass,
// and consumes nothing. For an administrator's view of a plan, see [Plans.Charges].
func (l *Limiter) Peek(ctx context.Context, c Charge) (Decision, error) { return l.engine.Peek(ctx, c) }

// Refund gives the costs of charges back. It goes on after an error, and returns all.
// Within a request's handler, use the function [Refund].
func (l *Limiter) Refund(ctx context.Context, charges ...Charge) error {
	var all []error
	for _, c := range charges {
		if err := l.engine.Refund(ctx, c); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Reset forgets what was counted under the policies and keys of charges. It goes
// on after an error, and returns all.
func (l *Limiter) Reset(ctx context.Context, charges ...Charge) error {
	var all []error
	for _, c := range charges {
		all = append(all, l.engine.Reset(ctx, c))
	}
	return errors.Join(all...)
}
