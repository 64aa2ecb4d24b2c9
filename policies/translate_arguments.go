package policies

import "github.com/strikeplate/strikeplate"

// argument is a field of the principal that can be bound to a query instead of
// being known when its shape is made. All are text.
type argument struct {
	name string
	of   func(*strikeplate.Principal) string
}

var arguments = []argument{
	{"organisation", func(p *strikeplate.Principal) string { return p.Organisation }},
	{"environment", func(p *strikeplate.Principal) string { return string(p.Environment) }},
	{"subject", func(p *strikeplate.Principal) string { return p.Subject }},
	{"credential", func(p *strikeplate.Principal) string { return p.Credential }},
	{"lineage", func(p *strikeplate.Principal) string { return p.Lineage }},
	{"client_id", func(p *strikeplate.Principal) string { return p.ClientID }},
	{"plan", func(p *strikeplate.Principal) string { return p.Plan }},
	{"kind", func(p *strikeplate.Principal) string { return string(p.Kind) }},
	{"access", func(p *strikeplate.Principal) string { return string(p.Access) }},
	{"expires", func(p *strikeplate.Principal) string { return expiry(p.Expires) }},
}

// argumentPrefix begins the names of arguments in predicates.
const argumentPrefix = "principal."
