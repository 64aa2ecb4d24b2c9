package routers

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/scope"
)

// Service is what protects an API, whatever routes it.
type Service struct {
	keys           strikeplate.Authenticator
	authorizer     scope.Authorizer
	byAddress      *ratelimit.Limiter
	byOrganisation *ratelimit.Limiter
	done           []func(*strikeplate.Exchange)
}

// New makes a Service. keys says who calls, such as a *keyauth.Authenticator, and
// authorizer whether they may, such as a *policies.Engine. done are told of each
// request when it is complete: a usage counter's Observe belongs there.
func New(keys strikeplate.Authenticator, authorizer scope.Authorizer, done ...func(*strikeplate.Exchange)) (*Service, error) {
	byAddress, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Policy: ratelimit.Policy{Name: "address", Limit: 600, Period: time.Minute}, By: ratelimit.ByAddress,
	}}})
	if err != nil {
		return nil, err
	}
	byOrganisation, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Policy: ratelimit.Policy{Name: "organisation", Limit: 300, Period: time.Minute}, By: ratelimit.ByOrganisation,
	}}})
	return &Service{keys, authorizer, byAddress, byOrganisation, done}, err
}

// Around protects a router: nobody gets to it without a good key.
func (s *Service) Around(router http.Handler) http.Handler {
	edge := strikeplate.Edge{Done: s.done, Refusing: []func(http.Header, *http.Request, *strikeplate.Principal){s.byOrganisation.Refusing}}
	return edge.Handler(s.byAddress.Handler(strikeplate.Require(s.keys)(s.byOrganisation.Handler(router))))
}

// The API: what routes require, and what they answer.
var (
	read  = scope.Requirement{AllOf: []string{"meetings:read"}}
	write = scope.Requirement{AllOf: []string{"meetings:write"}}
)

// meeting answers with the id that the router found in the path, and with whom the
// request acts for, which handlers of every router find in its context.
func meeting(w http.ResponseWriter, r *http.Request, id string) {
	principal, _ := strikeplate.FromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"id": id, "organisation": principal.Organisation})
}

func nothing(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusNoContent) }

// tell names the route to whoever counts or decides by it.
func tell(r *http.Request, path string) {
	if x := strikeplate.ExchangeFrom(r.Context()); x != nil && path != "" {
		x.SetPattern(r.Method + " " + path)
	}
}

// notFound and notAllowed say in the service's dialect what routers say in plain text.
func notFound(w http.ResponseWriter, r *http.Request) {
	strikeplate.Fail(w, r, &strikeplate.Error{Status: http.StatusNotFound, Code: strikeplate.CodeNotFound, Message: "There is nothing at this path."})
}

func notAllowed(w http.ResponseWriter, r *http.Request) {
	strikeplate.Fail(w, r, &strikeplate.Error{Status: http.StatusMethodNotAllowed, Code: strikeplate.CodeMethod, Message: "This path doesn't offer the request's method."})
}
