package scope

import (
	"fmt"
	"slices"
	"strings"
)

// Entry is one scope of a catalog and what it allows, in words for the person
// who chooses it.
type Entry struct {
	Scope       string `json:"scope"`
	Description string `json:"description"`
}

// Resource is the part before the colon.
func (e Entry) Resource() string {
	resource, _, _ := strings.Cut(e.Scope, ":")
	return resource
}

// Wildcard reports whether the entry stands for all scopes of its resource, as
// "meetings:*" does.
func (e Entry) Wildcard() bool { return isWildcard(e.Scope) }

// Group is the entries of one resource.
type Group struct {
	Resource string  `json:"resource"`
	Entries  []Entry `json:"entries"`
}

// Catalog lists a product's scopes, in the order in which they are shown. It is
// immutable and safe for concurrent use. A nil Catalog knows no scopes.
type Catalog struct {
	entries []Entry
	index   map[string]int
}

// NewCatalog checks the entries: each must be a scope, or a wildcard for a
// resource of which a scope is listed too; listed once, with a description.
func NewCatalog(entries ...Entry) (*Catalog, error) {
	c := &Catalog{entries: slices.Clone(entries), index: make(map[string]int, len(entries))}
	concrete := make(map[string]bool) // by resource
	for i, e := range entries {
		if !e.Wildcard() {
			if err := Check(e.Scope); err != nil {
				return nil, err
			}
			concrete[e.Resource()] = true
		}
		if _, twice := c.index[e.Scope]; twice {
			return nil, fmt.Errorf("scope %q is listed twice", e.Scope)
		}
		if strings.TrimSpace(e.Description) == "" {
			return nil, fmt.Errorf("scope %q has no description", e.Scope)
		}
		c.index[e.Scope] = i
	}
	for _, e := range entries {
		if !concrete[e.Resource()] {
			return nil, fmt.Errorf("wildcard %q stands for nothing: no scope of %q is listed", e.Scope, e.Resource())
		}
	}
	return c, nil
}

// Entries returns the whole catalog, wildcards included.
func (c *Catalog) Entries() []Entry {
	if c == nil {
		return nil
	}
	return slices.Clone(c.entries)
}

// Scopes returns the catalog's scopes without its wildcards: what "all" means at
// this moment.
func (c *Catalog) Scopes() []string {
	if c == nil {
		return nil
	}
	all := make([]string, 0, len(c.entries))
	for _, e := range c.entries {
		if !e.Wildcard() {
			all = append(all, e.Scope)
		}
	}
	return all
}

// Groups returns the entries by resource, in the order of each one's first entry.
func (c *Catalog) Groups() []Group {
	var groups []Group
	for _, e := range c.Entries() {
		i := slices.IndexFunc(groups, func(g Group) bool { return g.Resource == e.Resource() })
		if i < 0 {
			i = len(groups)
			groups = append(groups, Group{Resource: e.Resource()})
		}
		groups[i].Entries = append(groups[i].Entries, e)
	}
	return groups
}

// Describe returns the entry of a scope or of a declared wildcard.
func (c *Catalog) Describe(scope string) (Entry, bool) {
	if c == nil {
		return Entry{}, false
	}
	i, ok := c.index[scope]
	if !ok {
		return Entry{}, false
	}
	return c.entries[i], true
}

// Unknown returns those of the scopes that the catalog doesn't list, each once.
// A declared wildcard is listed: [Catalog.Resolve] accepts what is not unknown.
func (c *Catalog) Unknown(scopes []string) []string {
	var unknown []string
	seen := make(map[string]bool)
	for _, s := range scopes {
		if _, ok := c.Describe(s); !ok && !seen[s] {
			seen[s] = true
			unknown = append(unknown, s)
		}
	}
	return unknown
}
