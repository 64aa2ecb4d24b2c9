package scope

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
)

var errNobody = errors.New("scope: no Principal: scope.Require must stand inside strikeplate.Require")

// nobody is the refusal of a request without a Principal: an anonymous one, which
// is told to authenticate, or one that no authenticator saw. A credential in plain
// sight that nobody read may be the service's mistake, for its developer to see.
func nobody(r *http.Request) *strikeplate.Error {
	message := "Authentication is required. Send a credential in the Authorization header."
	if len(r.Header["Authorization"]) > 0 {
		message = "Nothing looked at the credential in the Authorization header. Either it is of a kind that isn't accepted here, " +
			"or the service is at fault: scope.Require must stand inside strikeplate.Require."
	}
	return &strikeplate.Error{Status: http.StatusUnauthorized, Code: strikeplate.CodeMissing, Message: message,
		Challenge: []string{"Bearer"}, Err: errNobody}
}

// undecided keeps what an Authorizer that can't decide has to tell the client, if
// it is to come back. Anything else that is in err says nothing about the request.
func undecided(p *strikeplate.Principal, err error) error {
	var e *strikeplate.Error
	if errors.As(err, &e) && e != nil && e.Status == http.StatusServiceUnavailable {
		return err
	}
	return &strikeplate.Error{Status: http.StatusServiceUnavailable, Code: strikeplate.CodeUnavailable, RetryAfter: time.Second,
		Message: "It could not be decided whether this request is allowed. Try again shortly.", Credential: p.Credential, Err: err}
}

// denied tells a principal why it may not.
func (n *Requirement) denied(p *strikeplate.Principal, d *Decision) *strikeplate.Error {
	e := &strikeplate.Error{Status: http.StatusForbidden, Credential: p.Credential, Rule: d.Rule}
	missing := slices.DeleteFunc(slices.Clone(d.Missing), func(s string) bool { return Check(s) != nil }) // or one could end the quoted string
	switch {
	case len(missing) > 0:
		sufficient := strings.Join(n.sufficient(p.Scopes, missing), " ")
		e.Code = strikeplate.CodeScope
		e.Message = "The credential lacks what this route requires. Use one that has " + n.wording(missing) + "."
		e.Challenge = []string{`Bearer error="insufficient_scope", scope="` + sufficient + `"`}
		e.Params = map[string]string{"missing": strings.Join(missing, " "), "scope": sufficient}
	case d.Rule == RuleEnvironment && n.Environment != "":
		e.Code = strikeplate.CodeEnvironment
		e.Message = "This route is for credentials of the environment " + string(n.Environment) + " only. Use one of them."
	case d.Rule == RuleAccess && len(n.Access) > 0:
		e.Code = strikeplate.CodeAccess
		e.Message = "This route is not for the credential's access level. Use one that has " + list(n.Access, "or") + "."
	case d.Reason != "":
		e.Code = strikeplate.CodeForbidden
		e.Message = "This request is not allowed: " + d.Reason + "."
	default:
		e.Code = strikeplate.CodeForbidden
		e.Message = "This request is not allowed."
	}
	return e
}

// sufficient are the scopes with which the route may be called (RFC 6750 3: "the
// required scope"), including those that are there already, since a client asks
// for all of them anew. The list can't say "one of", so of alternatives it has the
// one that is there, or else the first: all of them would be more than needed.
func (n *Requirement) sufficient(held, missing []string) []string {
	enough := slices.Clone(n.AllOf)
	if len(n.AnyOf) > 0 {
		choice := slices.IndexFunc(n.AnyOf, func(s string) bool { return slices.Contains(held, s) })
		enough = append(enough, n.AnyOf[max(0, choice)])
	}
	for _, s := range missing {
		if !slices.Contains(n.AnyOf, s) && !slices.Contains(enough, s) {
			enough = append(enough, s) // wanted by a policy
		}
	}
	return enough
}

// wording says "a:x", "a:x or b:x", or "a:x, b:x and one of c:x, d:x".
func (n *Requirement) wording(missing []string) string {
	var needed, choice []string
	for _, s := range missing {
		if slices.Contains(n.AnyOf, s) {
			choice = append(choice, s)
		} else {
			needed = append(needed, s)
		}
	}
	switch {
	case len(needed) == 0:
		return list(choice, "or")
	case len(choice) == 1:
		needed = append(needed, choice[0])
	case len(choice) > 1:
		needed = append(needed, "one of "+strings.Join(choice, ", "))
	}
	return list(needed, "and")
}

// list says "a, b and c". There is at least one.
func list[S ~string](items []S, last string) string {
	var b strings.Builder
	for i, item := range items {
		switch {
		case i > 0 && i == len(items)-1:
			b.WriteString(" " + last + " ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(item))
	}
	return b.String()
}
