package scope

import (
	"net/http"
	"reflect"

	"github.com/strikeplate/strikeplate"
)

// Require lets only requests through that a allows. It stands inside of
// [strikeplate.Require] or [strikeplate.Optional], around one route's handler,
// and adds no allocation to a request that passes. Others are answered:
//
//   - 401 missing_api_key without a Principal;
//   - 403 insufficient_scope if scopes are missing, with a challenge that names
//     enough of them (RFC 6750 3.1), and the missing ones in Params["missing"];
//   - 403 wrong_environment, insufficient_access, or forbidden if a policy denies;
//   - 503 temporarily_unavailable if a could not decide.
//
// It panics if a is nil or the requirement is a bad one ([Requirement.Check]).
// [Routes] keeps a list of requirements besides.
func Require(a Authorizer, need Requirement) func(http.Handler) http.Handler {
	mustDecide(a)
	need = need.clone()
	need.mustBeGood(nil, "Require")
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("scope: nil handler")
		}
		return &gate{authorizer: a, need: need, next: next}
	}
}

// mustDecide also finds the nil pointer that a New returned along with an error.
func mustDecide(a Authorizer) {
	v := reflect.ValueOf(a)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		panic("scope: nil Authorizer")
	}
}

// gate stands in front of one handler.
type gate struct {
	authorizer Authorizer
	need       Requirement
	next       http.Handler
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := strikeplate.FromContext(r.Context())
	if !ok {
		strikeplate.Fail(w, r, nobody(r))
		return
	}
	d, err := g.authorizer.Authorize(r.Context(), Request{Principal: p, Requirement: g.need, Method: r.Method, Route: route(r)})
	switch {
	case err != nil:
		strikeplate.Fail(w, r, undecided(p, err))
	case !d.Allowed:
		strikeplate.Fail(w, r, g.need.denied(p, &d))
	default:
		g.next.ServeHTTP(w, r)
	}
}

// route is the pattern that matched r, as far as it is known.
func route(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	if x := strikeplate.ExchangeFrom(r.Context()); x != nil {
		return x.Pattern() // another router than http.ServeMux may have told it
	}
	return ""
}
