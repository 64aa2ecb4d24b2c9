package ratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate"
)

// Plan names a set of policies: a burst and a sustained one, for instance. All of
// them bind.
type Plan struct {
	// Name is what Principal.Plan says.
	Name string
	// Policies are at least one, each with a name of its own.
	Policies []Policy
}

// PlansConfig says how much each plan allows.
type PlansConfig struct {
	// Plans are all that there are; at least one.
	Plans []Plan
	// Default is the plan of callers whose own is not among Plans, or empty. Empty
	// means the strictest: the one whose tightest policy lets least through in the
	// long run. Nobody is unlimited by accident.
	Default string
	// By says what is counted; nil means [ByOrganisation].
	By By
	// Cost is what a request costs under every policy of a plan; nil means 1.
	Cost Cost
	// Overrides replace a plan's policies for some; nil means for nobody.
	Overrides Overrides
	// Now tells whether an override has ended; nil means [time.Now]. Windows run on
	// real time whatever it says.
	Now func() time.Time
}

// Plans resolve what a Principal may do. They are safe for concurrent use.
type Plans struct {
	plans     map[string]bound
	all       []Policy
	fallback  bound
	by        By
	cost      Cost
	overrides Overrides
	now       func() time.Time
}

// bound are the policies that bind a caller, and what is told of them: nil if
// nothing is written yet.
type bound struct {
	policies []Policy
	known    []*told
}

// NewPlans checks and copies the plans.
func NewPlans(c PlansConfig) (*Plans, error) {
	ps := &Plans{plans: map[string]bound{}, by: c.By, cost: c.Cost, overrides: c.Overrides, now: c.Now}
	if ps.by == nil {
		ps.by = ByOrganisation
	}
	if ps.now == nil {
		ps.now = time.Now
	}
	if len(c.Plans) == 0 {
		return nil, errors.New("ratelimit: PlansConfig.Plans is empty")
	}
	strictest := 0.0
	for _, plan := range c.Plans {
		if _, double := ps.plans[plan.Name]; double || plan.Name == "" {
			return nil, fmt.Errorf("ratelimit: plan %q is named twice or not at all", plan.Name)
		}
		if err := checkPolicies(plan.Policies); err != nil {
			return nil, fmt.Errorf("ratelimit: plan %q: %w", plan.Name, err)
		}
		own := bound{slices.Clone(plan.Policies), tell(plan.Policies...)}
		ps.plans[plan.Name] = own
		ps.all = append(ps.all, own.policies...)
		if r := longRun(own.policies); ps.fallback.policies == nil || r < strictest {
			ps.fallback, strictest = own, r
		}
	}
	if c.Default != "" {
		ps.fallback = ps.plans[c.Default]
		if ps.fallback.policies == nil {
			return nil, fmt.Errorf("ratelimit: PlansConfig.Default %q is not among Plans", c.Default)
		}
	}
	return ps, nil
}

// checkPolicies wants at least one policy, and names that tell them apart.
func checkPolicies(policies []Policy) error {
	if len(policies) == 0 {
		return fmt.Errorf("%w: there is none, and without limit is nobody", ErrPolicy)
	}
	for i, p := range policies {
		if err := p.Validate(); err != nil {
			return err
		}
		if slices.ContainsFunc(policies[:i], func(other Policy) bool { return other.Name == p.Name }) {
			return fmt.Errorf("%w: two are named %q", ErrPolicy, p.Name)
		}
	}
	return nil
}

// longRun is how much policies let through per second, all of them binding.
func longRun(policies []Policy) float64 {
	least := -1.0
	for _, p := range policies {
		if r := float64(p.Limit) / p.Period.Seconds(); least < 0 || r < least {
			least = r
		}
	}
	return least
}

// Policies returns those of all plans, for an engine to check. Overrides are not
// among them.
func (ps *Plans) Policies() []Policy { return slices.Clone(ps.all) }

// Charges appends what a request by p costs to out, and returns that: nothing
// without a Principal. A nil r stands for no request in particular, as when an
// administrator looks: overrides of routes don't apply then, and the cost is 0.
//
//	for _, c := range plans.Charges(nil, p, nil) {
//		d, err := limiter.Peek(ctx, c) // d.Remaining of d.Limit
//	}
func (ps *Plans) Charges(r *http.Request, p *strikeplate.Principal, out []Charge) []Charge {
	if p == nil {
		return out
	}
	bound, key := ps.resolve(r, p)
	return ps.charge(r, p, bound.policies, key, out)
}

func (ps *Plans) charge(r *http.Request, p *strikeplate.Principal, policies []Policy, key string, out []Charge) []Charge {
	if key == "" {
		return out
	}
	var cost int64
	if r != nil {
		cost = ps.cost.of(r, p)
	}
	for i := range policies {
		out = append(out, Charge{Policy: policies[i], Key: key, Cost: cost})
	}
	return out
}

// resolve returns the policies that bind p, and what they count.
func (ps *Plans) resolve(r *http.Request, p *strikeplate.Principal) (bound, string) {
	if ps.overrides != nil {
		// One without policies limits nothing: then the plan still does.
		if o, ok := ps.overrides.Override(r, p); ok && !o.ended(ps.now()) && len(o.Policies) > 0 {
			return bound{policies: o.Policies}, ps.keyOf(r, p, &o)
		}
	}
	own, ok := ps.plans[p.Plan]
	if !ok {
		own = ps.fallback
	}
	return own, ps.by(r, p)
}

// keyOf says what an override counts: as the plan does, but a key's override
// counts that key alone, and a route's that route.
func (ps *Plans) keyOf(r *http.Request, p *strikeplate.Principal, o *Override) string {
	key := ps.by(r, p)
	if o.Lineage != "" {
		key = ByLineage(r, p)
	}
	if o.Route != "" && key != "" {
		key = Key("route", o.Route, key)
	}
	return key
}
