package scope

import (
	"errors"
	"fmt"
	"slices"

	"github.com/strikeplate/strikeplate"
)

// Requirement is what a route demands of a credential. All that is set has to be
// met. Scopes, access levels or Authenticated: one of these must be set, so that
// no route stands open because a line was forgotten.
type Requirement struct {
	// AllOf are scopes that are all needed.
	AllOf []string `json:"all_of,omitempty"`
	// AnyOf are scopes of which one is needed, the weakest first: the first is what
	// a refusal proposes to OAuth clients. Empty: none.
	AnyOf []string `json:"any_of,omitempty"`
	// Access are the access levels of which the credential must have one, for
	// products whose credentials carry no scopes. Empty: the level doesn't matter.
	Access []strikeplate.Access `json:"access,omitempty"`
	// Environment that the credential must be of; empty: either.
	Environment strikeplate.Environment `json:"environment,omitempty"`
	// Authenticated says that any valid credential will do, as for a route that
	// tells its caller who it is. It goes with an Environment, and with nothing else.
	Authenticated bool `json:"authenticated,omitempty"`
}

var levels = []strikeplate.Access{
	strikeplate.UserLimited, strikeplate.UserFull, strikeplate.OrganisationLimited, strikeplate.OrganisationFull, strikeplate.Legacy,
}

var errDemandsNothing = errors.New("it demands neither scopes nor an access level; " +
	"if any valid credential will do, say Authenticated: true")

// Check reports what is wrong with a requirement: it demands nothing, contradicts
// itself, or names what is no scope, no scope of the catalog, no access level or
// no environment. With a nil Catalog scopes are checked for their form.
func (n Requirement) Check(c *Catalog) error {
	demands := len(n.AllOf) + len(n.AnyOf) + len(n.Access)
	switch {
	case demands == 0 && !n.Authenticated:
		return errDemandsNothing
	case demands > 0 && n.Authenticated:
		return errors.New("it says that any valid credential will do, and demands more")
	case n.Environment != "" && n.Environment != strikeplate.Live && n.Environment != strikeplate.Test:
		return fmt.Errorf("there is no environment %q", n.Environment)
	}
	for i, level := range n.Access {
		if !slices.Contains(levels, level) {
			return fmt.Errorf("there is no access level %q", level)
		}
		if slices.Contains(n.Access[:i], level) {
			return fmt.Errorf("access level %q is listed twice", level)
		}
	}
	return n.checkScopes(c)
}

func (n Requirement) checkScopes(c *Catalog) error {
	all := n.Scopes()
	for i, s := range all {
		if err := Check(s); err != nil {
			return err
		}
		if slices.Contains(all[:i], s) {
			return fmt.Errorf("scope %q is listed twice", s)
		}
	}
	if c == nil {
		return nil
	}
	if unknown := c.Unknown(all); len(unknown) > 0 {
		return &UnknownError{unknown}
	}
	return nil
}

// mustBeGood panics: a bad requirement is a programming mistake, and might be a
// route that nobody meant to open.
func (n Requirement) mustBeGood(c *Catalog, where string) {
	if err := n.Check(c); err != nil {
		panic(fmt.Sprintf("scope: the requirement of %s: %v", where, err))
	}
}

// Scopes returns the scopes that are named, AllOf before AnyOf.
func (n Requirement) Scopes() []string { return slices.Concat(n.AllOf, n.AnyOf) }

// Missing returns the scopes for want of which the held ones don't suffice: those
// of AllOf that are not among them, then, if none of AnyOf is, all of AnyOf. It
// returns nil, without an allocation, if they suffice.
func (n Requirement) Missing(held []string) []string {
	var missing []string
	for _, s := range n.AllOf {
		if !slices.Contains(held, s) {
			missing = append(missing, s)
		}
	}
	if !n.hasAny(held) {
		missing = append(missing, n.AnyOf...)
	}
	return missing
}

// hasAny also holds where nothing is to choose from.
func (n *Requirement) hasAny(held []string) bool {
	for _, s := range n.AnyOf {
		if slices.Contains(held, s) {
			return true
		}
	}
	return len(n.AnyOf) == 0
}

func (n Requirement) clone() Requirement {
	n.AllOf, n.AnyOf, n.Access = slices.Clone(n.AllOf), slices.Clone(n.AnyOf), slices.Clone(n.Access)
	return n
}
