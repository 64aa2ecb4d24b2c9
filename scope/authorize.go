package scope

import (
	"context"
	"errors"
	"slices"

	"github.com/strikeplate/strikeplate"
)

// Request asks whether a principal may call a route.
type Request struct {
	Principal   *strikeplate.Principal
	Requirement Requirement
	// Method is the request's. Route is the pattern that was registered, such as
	// "GET /v1/meetings/{id}"; empty where it isn't known.
	Method, Route string
}

// Decision is an answer. The zero Decision denies.
type Decision struct {
	Allowed bool
	// Rule is the id of the rule that decided, and Reason why, as half a sentence
	// without a full stop. Callers are shown both: nothing in them may be secret.
	Rule, Reason string
	// Revision names the set of rules, where there may be several in time.
	Revision string
	// Missing are the scopes that would have changed a denial: set only where the
	// lack of scopes is the reason, as [Requirement.Missing] returns them.
	Missing []string
}

// Authorizer decides. It is safe for concurrent use. An error means that it
// could not decide, and is answered 503; a denial is no error.
type Authorizer interface {
	Authorize(ctx context.Context, r Request) (Decision, error)
}

// The ids of the rules that compare a requirement with a principal, in the order
// in which they are checked. Policies that replace [Plain] keep them.
const (
	RuleEnvironment = "scopes.environment" // denies: the credential is of another environment
	RuleAccess      = "scopes.access"      // denies: it has none of the access levels
	RuleMissing     = "scopes.missing"     // denies: it lacks scopes
	RuleGranted     = "scopes.granted"     // allows
)

var errNoPrincipal = errors.New("scope: there is no principal to decide about")

// Plain is the [Authorizer] that allows exactly what a [Requirement] says, for
// services that want no policies. Environment comes before the access level, and
// that before scopes, so that nobody collects scopes for a route that stays
// closed.
type Plain struct{}

// Authorize implements [Authorizer]. It fails without a Principal only. A
// requirement that demands nothing is met: to refuse such is [Requirement.Check]'s.
func (Plain) Authorize(_ context.Context, r Request) (Decision, error) {
	p, need := r.Principal, &r.Requirement
	switch {
	case p == nil:
		return Decision{}, errNoPrincipal
	case need.Environment != "" && p.Environment != need.Environment:
		return Decision{Rule: RuleEnvironment, Reason: "the route is not for the credential's environment"}, nil
	case len(need.Access) > 0 && (p.Access == "" || !slices.Contains(need.Access, p.Access)):
		return Decision{Rule: RuleAccess, Reason: "the route is not for the credential's access level"}, nil
	}
	if missing := need.Missing(p.Scopes); len(missing) > 0 {
		return Decision{Rule: RuleMissing, Reason: "the credential lacks a scope that the route requires", Missing: missing}, nil
	}
	return Decision{Allowed: true, Rule: RuleGranted, Reason: "the credential has what the route requires"}, nil
}
