package scope

import (
	"slices"
	"strings"
)

// maxScanned is how many scopes are looked through one by one. Measured: a map
// answers in 10 ns at any size, a scan of 9 in 8 to 22 ns, of 15 in 12 to 34.
const maxScanned = 8

// Set is an immutable set of scopes. The zero Set is empty. It is safe for
// concurrent use.
type Set struct {
	sorted []string
	index  map[string]struct{} // nil for a small set
}

// NewSet copies the scopes; repetitions count once.
func NewSet(scopes ...string) Set {
	sorted := slices.Clone(scopes)
	slices.Sort(sorted)
	return newSet(slices.Compact(sorted))
}

// newSet takes distinct, sorted scopes over.
func newSet(sorted []string) Set {
	s := Set{sorted: sorted}
	if len(sorted) > maxScanned {
		s.index = make(map[string]struct{}, len(sorted))
		for _, scope := range sorted {
			s.index[scope] = struct{}{}
		}
	}
	return s
}

// Has reports whether scope is in the set.
func (s Set) Has(scope string) bool {
	if s.index == nil {
		return slices.Contains(s.sorted, scope)
	}
	_, ok := s.index[scope]
	return ok
}

// HasAll reports whether every one of the scopes is in the set. It is true of none.
func (s Set) HasAll(scopes ...string) bool {
	for _, scope := range scopes {
		if !s.Has(scope) {
			return false
		}
	}
	return true
}

// HasAny reports whether one of the scopes is in the set. It is false of none.
func (s Set) HasAny(scopes ...string) bool {
	for _, scope := range scopes {
		if s.Has(scope) {
			return true
		}
	}
	return false
}

// Missing returns those of the scopes that are not in the set, in the order
// given, each once.
func (s Set) Missing(scopes ...string) []string {
	var missing []string
	for _, scope := range scopes {
		if !s.Has(scope) && !slices.Contains(missing, scope) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// Intersect returns what both sets have.
func (s Set) Intersect(other Set) Set {
	return newSet(slices.DeleteFunc(slices.Clone(s.sorted), func(scope string) bool { return !other.Has(scope) }))
}

// Union returns what either set has.
func (s Set) Union(other Set) Set { return NewSet(slices.Concat(s.sorted, other.sorted)...) }

// Equal reports whether both sets have the same scopes.
func (s Set) Equal(other Set) bool { return slices.Equal(s.sorted, other.sorted) }

// Len is the number of scopes.
func (s Set) Len() int { return len(s.sorted) }

// List returns the scopes in alphabetical order.
func (s Set) List() []string { return slices.Clone(s.sorted) }

// String is the scopes in alphabetical order with spaces between, as OAuth
// writes them (RFC 6749 3.3).
func (s Set) String() string { return strings.Join(s.sorted, " ") }
