package policies

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate/scope"
)

var _ scope.Authorizer = (*Engine)(nil)

// errNoPrincipal: there is nobody to decide about.
var errNoPrincipal = fmt.Errorf("%w: there is no principal", ErrUndecided)

// Authorize decides whether a principal may call a route, by the entry scopes. It
// implements [scope.Authorizer]: an error means that it could not be decided, and
// wraps [ErrUndecided].
//
// Decision.Reason is fit for the caller: a bundled rule's own, and that of an
// embedder's rule if its metadata say `custom: {public: true}`.
func (e *Engine) Authorize(ctx context.Context, r scope.Request) (scope.Decision, error) {
	rev, err := e.current()
	if err == nil && r.Principal == nil {
		err = errNoPrincipal
	}
	if err != nil {
		return scope.Decision{}, err
	}
	if !e.observed() {
		v, _, err := e.decideRoute(ctx, rev, r)
		return rev.routeDecision(&v, &r, err), err
	}
	start := time.Now()
	v, remembered, err := e.decideRoute(ctx, rev, r)
	e.observeRoute(ctx, rev, r, outcome{verdict: v, err: err, remembered: remembered, elapsed: time.Since(start)})
	return rev.routeDecision(&v, &r, err), err
}

// decideRoute looks a decision up, or makes it.
func (e *Engine) decideRoute(ctx context.Context, rev *revision, r scope.Request) (v verdict, wasRemembered bool, err error) {
	var key []byte
	if rev.remembered != nil {
		if v, wasRemembered, key = rev.remembered.find(ctx, r); wasRemembered {
			e.counts.remembered.Add(1)
			return v, true, nil
		}
	}
	input, err := routeInput(r, clientOf(ctx))
	if err == nil {
		v, err = e.evaluate(ctx, rev.entries[scopesName], input)
	}
	if err == nil && key != nil {
		rev.remembered.keep(key, v)
	}
	return v, false, err
}

// evaluate runs an entry's rules, and counts.
func (e *Engine) evaluate(ctx context.Context, on *entry, input ast.Value) (verdict, error) {
	e.counts.evaluated.Add(1)
	v, err := on.query.evaluate(ctx, e.c.Deadline, e.c.Now, input)
	if err != nil {
		e.counts.undecided.Add(1)
		return verdict{}, fmt.Errorf("%s: %w", on.spec.name, err)
	}
	if v.rule == nil {
		v.rule = on.noRule
	}
	return v, nil
}

// routeDecision is what the caller is told, with what the credential lacks.
func (r *revision) routeDecision(v *verdict, q *scope.Request, err error) scope.Decision {
	if err != nil {
		return scope.Decision{}
	}
	d := r.decision(v)
	if d.Rule == scope.RuleMissing {
		d.Missing = q.Requirement.Missing(q.Principal.Scopes)
	}
	return d
}

// What is told of rules whose reasons are the service's own business.
const (
	privateAllow = "a policy of this service allows it"
	privateDeny  = "a policy of this service denies it"
)

// decision is a verdict as the caller may know it.
func (r *revision) decision(v *verdict) scope.Decision {
	d := scope.Decision{Allowed: v.allowed, Rule: v.rule.id, Reason: v.rule.reason, Revision: r.id}
	switch {
	case v.rule.public:
	case v.allowed:
		d.Reason = privateAllow
	default:
		d.Reason = privateDeny
	}
	return d
}

// outcome is a verdict with how it came about.
type outcome struct {
	verdict
	err        error
	remembered bool
	elapsed    time.Duration
}

var errNoEntry = errors.New("policies: no such resource is registered")
