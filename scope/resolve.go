package scope

import (
	"fmt"
	"strings"
)

// UnknownError names scopes, or wildcards, that a catalog doesn't list.
type UnknownError struct{ Scopes []string }

// maxNamed is how many unknown scopes an error's text names: they come from
// whoever asked.
const maxNamed = 10

// Error names the first ten.
func (e *UnknownError) Error() string {
	var b strings.Builder
	b.WriteString("not in the catalog:")
	for i, s := range e.Scopes {
		if i == maxNamed {
			fmt.Fprintf(&b, " and %d more", len(e.Scopes)-i)
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %.100q", s)
	}
	return b.String()
}

// Resolve returns the scopes that are meant, in the catalog's order, each once:
// a wildcard that the catalog declares becomes the scopes of its resource that
// are listed now. It fails with an [*UnknownError] if the catalog doesn't list one.
//
// Call it where scopes are granted and keep what it returns. Nothing further on
// knows wildcards, so a scope that is added to the catalog later is not granted
// by what was granted before.
func (c *Catalog) Resolve(scopes []string) ([]string, error) {
	if unknown := c.Unknown(scopes); len(unknown) > 0 {
		return nil, &UnknownError{unknown}
	}
	if len(scopes) == 0 {
		return nil, nil
	}
	meant := make(map[string]bool, len(scopes)) // scopes and wildcards
	for _, s := range scopes {
		meant[s] = true
	}
	var resolved []string
	for _, e := range c.entries {
		if !e.Wildcard() && (meant[e.Scope] || meant[e.Resource()+":*"]) {
			resolved = append(resolved, e.Scope)
		}
	}
	return resolved, nil
}

// Parse takes OAuth's space-separated list apart, as [ParseList] does, and
// resolves it. An empty text is an empty list and never means all.
func (c *Catalog) Parse(text string) ([]string, error) {
	list, err := parseList(text, func(s string) error {
		if isWildcard(s) {
			return nil // known or not is Resolve's to say
		}
		return Check(s)
	})
	if err != nil {
		return nil, err
	}
	return c.Resolve(list)
}
