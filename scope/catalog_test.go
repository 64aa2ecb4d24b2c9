package scope_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/scope"
)

// mustCatalog makes a catalog whose descriptions nobody reads.
func mustCatalog(tb testing.TB, scopes ...string) *scope.Catalog {
	tb.Helper()
	var entries []scope.Entry
	for _, s := range scopes {
		entries = append(entries, scope.Entry{Scope: s, Description: "About " + s})
	}
	c, err := scope.NewCatalog(entries...)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestCatalog(t *testing.T) {
	c := mustCatalog(t, "a:read", "b:read", "a:write")
	if got := c.Unknown([]string{"a:read", "x:y", "A:read", "x:y", "*"}); !slices.Equal(got, []string{"x:y", "A:read", "*"}) {
		t.Errorf("unknown: %v", got)
	}
	if got := fmt.Sprint(c.Groups()); got != "[{a [{a:read About a:read} {a:write About a:write}]} {b [{b:read About b:read}]}]" {
		t.Errorf("groups: %s", got)
	}
	c.Entries()[0].Scope = "changed"
	if got := c.Scopes(); !slices.Equal(got, []string{"a:read", "b:read", "a:write"}) {
		t.Errorf("scopes: %v", got)
	}
	if e, ok := c.Describe("a:write"); !ok || e.Description != "About a:write" || e.Wildcard() {
		t.Errorf("a:write is described as %+v", e)
	}
	for name, entries := range map[string][]scope.Entry{
		"not a scope: \"a\"": {{Scope: "a", Description: "x"}},
		"listed twice":       {{Scope: "a:b", Description: "x"}, {Scope: "a:b", Description: "y"}},
		"no description":     {{Scope: "a:b", Description: " "}},
	} {
		if _, err := scope.NewCatalog(entries...); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNilCatalogKnowsNothing(t *testing.T) {
	var none *scope.Catalog
	if got := none.Unknown([]string{"a:read"}); len(got) != 1 || none.Groups() != nil || none.Scopes() != nil || none.Entries() != nil {
		t.Error("a nil catalog knows something")
	}
	if got, err := none.Resolve(nil); got != nil || err != nil {
		t.Errorf("nothing is resolved to %q, %v", got, err)
	}
	var unknown *scope.UnknownError
	if _, err := none.Parse("a:read b:*"); !errors.As(err, &unknown) || !slices.Equal(unknown.Scopes, []string{"a:read", "b:*"}) {
		t.Errorf("got %v", err)
	}
}

func TestDeclaredWildcards(t *testing.T) {
	c := mustCatalog(t, "a:*", "a:read", "b:read", "a:write", "b-c:read", "b-c:*")
	if got := c.Scopes(); !slices.Equal(got, []string{"a:read", "b:read", "a:write", "b-c:read"}) {
		t.Errorf("all is %q", got)
	}
	if e, ok := c.Describe("a:*"); !ok || !e.Wildcard() || e.Resource() != "a" || len(c.Entries()) != 6 || len(c.Groups()[0].Entries) != 3 {
		t.Errorf("a:* is %+v", e)
	}
	for _, r := range []struct{ text, want string }{
		{"", ""},
		{"a:read", "a:read"},
		{"a:*", "a:read a:write"},
		{"a:write a:read", "a:read a:write"},
		{"b-c:read a:* a:read a:* b:read", "a:read b:read a:write b-c:read"},
		{"b-c:*", "b-c:read"},
		{"a:* b-c:* b:read", strings.Join(c.Scopes(), " ")},
	} {
		got, err := c.Parse(r.text)
		if err != nil || strings.Join(got, " ") != r.want {
			t.Errorf("%q means %q, %v, want %q", r.text, got, err, r.want)
		}
		if again, err := c.Resolve(got); err != nil || !slices.Equal(again, got) {
			t.Errorf("%q means %q, which means %q, %v", r.text, got, again, err)
		}
		if got, err := c.Resolve(strings.Fields(r.text)); err != nil || strings.Join(got, " ") != r.want {
			t.Errorf("%q is resolved to %q, %v", r.text, got, err)
		}
	}
}

func TestUndeclaredWildcards(t *testing.T) {
	c := mustCatalog(t, "a:*", "a:read", "b:read")
	var unknown *scope.UnknownError
	got, err := c.Parse("a:read b:* a:* x:y b:*")
	if got != nil || !errors.As(err, &unknown) || !slices.Equal(unknown.Scopes, []string{"b:*", "x:y"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if err.Error() != `not in the catalog: "b:*", "x:y"` {
		t.Error(err)
	}
	for _, bad := range []string{"*", "*:*", "*:read", "a:**", "a:re*", ":*", "a:b:*", "a:* ", " a:*", "a:*  b:read", "a:read\tb:read"} {
		if got, err := c.Parse(bad); got != nil || !errors.Is(err, scope.ErrGrammar) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
	for _, err := range []error{scope.Check("a:*"), func() error { _, err := scope.ParseList("a:read a:*"); return err }()} {
		if !errors.Is(err, scope.ErrGrammar) || !strings.Contains(err.Error(), "a wildcard stands for scopes only where a catalog declares it") {
			t.Errorf("a wildcard without a catalog: %v", err)
		}
	}
	for name, scopes := range map[string][]string{
		`no scope of "c" is listed`: {"a:read", "c:*"},
		"not a scope":               {"a:read", "*:*"},
		"form resource:action":      {"a:read", strings.Repeat("a", 99) + ":*"},
		"listed twice":              {"a:read", "a:*", "a:*"},
	} {
		var entries []scope.Entry
		for _, s := range scopes {
			entries = append(entries, scope.Entry{Scope: s, Description: "d"})
		}
		if _, err := scope.NewCatalog(entries...); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v, want %s", scopes, err, name)
		}
	}
}

// What is asked for comes from outside: an error tells a bounded part of it.
func TestUnknownErrorIsBounded(t *testing.T) {
	c := mustCatalog(t, "a:read")
	_, err := c.Resolve(append(numbered(30), strings.Repeat("x", 5000)))
	if err == nil || !strings.HasSuffix(err.Error(), `"r009:read" and 21 more`) {
		t.Error(err)
	}
	_, err = c.Resolve([]string{strings.Repeat("x", 5000)})
	if err == nil || len(err.Error()) > 200 {
		t.Error(err)
	}
	if _, err := c.Parse(strings.Repeat("x", 5000)); err == nil || len(err.Error()) > 300 {
		t.Error(err)
	}
}

func FuzzCatalogParse(f *testing.F) {
	c := mustCatalog(f, "a:*", "a:read", "b:read", "a:write")
	all := c.Scopes()
	for _, seed := range []string{"", "a:*", "b:read a:*", "b:*", "*", "a:read  b:read", "a:\x00", "a:* x:y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := c.Parse(text)
		if err != nil {
			if got != nil {
				t.Fatalf("%q: both %q and %v", text, got, err)
			}
			return
		}
		// Whatever is granted is of the catalog, in its order, each once.
		if want := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !slices.Contains(got, s) }); !slices.Equal(got, want) {
			t.Fatalf("%q means %q", text, got)
		}
		for _, s := range strings.Fields(text) {
			resource, action, _ := strings.Cut(s, ":")
			for _, granted := range all {
				asked := granted == s || action == "*" && strings.HasPrefix(granted, resource+":")
				if asked && !slices.Contains(got, granted) {
					t.Fatalf("%q means %q, without %q", text, got, granted)
				}
			}
		}
		if strings.Count(text, "*") == 0 && len(got) != len(scope.NewSet(strings.Fields(text)...).List()) {
			t.Fatalf("%q means %q", text, got)
		}
	})
}

func ExampleCatalog_Resolve() {
	c, _ := scope.NewCatalog(
		scope.Entry{Scope: "meetings:*", Description: "Everything about meetings"},
		scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings"},
		scope.Entry{Scope: "meetings:write", Description: "Delete meetings"},
		scope.Entry{Scope: "summaries:read", Description: "Retrieve summaries"},
	)
	fmt.Println(c.Resolve([]string{"summaries:read", "meetings:*"}))
	fmt.Println(c.Resolve([]string{"meetings:read", "summaries:*"}))
	// Output:
	// [meetings:read meetings:write summaries:read] <nil>
	// [] not in the catalog: "summaries:*"
}

func ExampleCatalog_Groups() {
	c, _ := scope.NewCatalog(
		scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings"},
		scope.Entry{Scope: "meetings:write", Description: "Delete meetings"},
		scope.Entry{Scope: "summaries:read", Description: "Retrieve summaries"},
	)
	for _, g := range c.Groups() {
		fmt.Println(g.Resource, len(g.Entries))
	}
	// Output:
	// meetings 2
	// summaries 1
}
