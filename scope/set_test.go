package scope_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/scope"
)

// numbered returns n scopes, the later ones after the earlier in the alphabet.
func numbered(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("r%03d:read", i)
	}
	return list
}

// TestSet compares sets of all sizes, searched one way or the other, with lists.
func TestSet(t *testing.T) {
	universe := numbered(24)
	dice := rand.New(rand.NewPCG(1, 2))
	draw := func() []string {
		drawn := make([]string, dice.IntN(20))
		for i := range drawn {
			drawn[i] = universe[dice.IntN(len(universe))]
		}
		return drawn
	}
	for range 2000 {
		a, b := draw(), draw()
		s, other := scope.NewSet(a...), scope.NewSet(b...)
		in := func(list []string) func(string) bool {
			return func(text string) bool { return slices.Contains(list, text) }
		}
		both, either := []string{}, []string{}
		for _, text := range universe {
			if s.Has(text) != in(a)(text) {
				t.Fatalf("%q in %q: %v", text, a, s.Has(text))
			}
			if in(a)(text) && in(b)(text) {
				both = append(both, text)
			}
			if in(a)(text) || in(b)(text) {
				either = append(either, text)
			}
		}
		missing := slices.DeleteFunc(distinct(b), in(a))
		if got := s.Missing(b...); !slices.Equal(got, missing) {
			t.Fatalf("%q lacks %q of %q, want %q", a, got, b, missing)
		}
		if s.HasAll(b...) != (len(missing) == 0) || s.HasAny(b...) != (len(both) > 0) {
			t.Fatalf("%q has all of %q: %v, any: %v", a, b, s.HasAll(b...), s.HasAny(b...))
		}
		if got := s.Intersect(other); !slices.Equal(got.List(), both) || got.Len() != len(both) || !got.Equal(scope.NewSet(both...)) {
			t.Fatalf("%q and %q: %q", a, b, got.List())
		}
		if got := s.Union(other); !slices.Equal(got.List(), either) || !got.HasAll(either...) || got.Equal(s) != (len(missing) == 0) {
			t.Fatalf("%q or %q: %q", a, b, got.List())
		}
	}
}

// distinct returns each text once, in order.
func distinct(list []string) []string {
	var once []string
	for _, text := range list {
		if !slices.Contains(once, text) {
			once = append(once, text)
		}
	}
	return once
}

func TestSetIsImmutable(t *testing.T) {
	for _, n := range []int{3, 30} {
		given := numbered(n)
		s := scope.NewSet(given...)
		first := given[0]
		given[0] = "changed:read"
		s.List()[0] = "changed:read"
		s.Intersect(s).List()[0] = "changed:read"
		if !s.Has(first) || s.Has("changed:read") || s.List()[0] != first {
			t.Errorf("a set of %d was changed from outside: %v", n, s)
		}
	}
}

func TestEmptySet(t *testing.T) {
	var none scope.Set
	if none.Has("") || none.HasAny() || none.HasAny("a:b") || !none.HasAll() || none.HasAll("a:b") || none.Len() != 0 || none.String() != "" {
		t.Error("the zero set isn't empty")
	}
	if !none.Equal(scope.NewSet()) || none.Equal(scope.NewSet("a:b")) || !none.Intersect(scope.NewSet("a:b")).Equal(none) {
		t.Error("the zero set isn't like an empty one")
	}
	if diff := cmp.Diff(none, scope.NewSet()); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{4, 8, 9, 15, 50} {
		list := numbered(n)
		s, index, ask := scope.NewSet(list...), make(map[string]bool), make([]string, 2*n)
		for i, text := range list {
			index[text] = true
			ask[2*i], ask[2*i+1] = string([]byte(text)), "x"+text[1:] // equal, but not the same memory
		}
		found := false
		for name, has := range map[string]func(string) bool{
			"set":  s.Has,
			"scan": func(text string) bool { return slices.Contains(list, text) },
			"map":  func(text string) bool { return index[text] },
		} {
			b.Run(fmt.Sprintf("%02d/%s", n, name), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					found = has(ask[i%len(ask)]) || found
				}
			})
		}
	}
}

func ExampleSet() {
	granted := scope.NewSet("meetings:read", "meetings:write", "notes:read")
	allowed := scope.NewSet("meetings:read", "notes:read", "team:read")
	fmt.Println(granted.Intersect(allowed))
	fmt.Println(granted.HasAll("meetings:read", "notes:read"), granted.Missing("notes:read", "team:read"))
	// Output:
	// meetings:read notes:read
	// true [team:read]
}
