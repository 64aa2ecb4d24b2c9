package scope_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/scope"
)

func TestCheck(t *testing.T) {
	for text, good := range map[string]bool{
		"meetings:read": true, "action_items:write": true, "action-items:write": true, "A1:b2": true,
		"": false, "meetings": false, ":": false, "meetings:": false, ":read": false, "meetings:read:all": false,
		"meetings:*": false, "*": false, "meetings: read": false, "meetings:read\n": false, "méetings:read": false,
		"\x00:a": false, strings.Repeat("a", 50) + ":" + strings.Repeat("b", 49): true,
		strings.Repeat("a", 50) + ":" + strings.Repeat("b", 50): false,
	} {
		if err := scope.Check(text); (err == nil) != good || err != nil && !errors.Is(err, scope.ErrGrammar) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseList(t *testing.T) {
	got, err := scope.ParseList("a:read b:write a:read")
	if err != nil || !slices.Equal(got, []string{"a:read", "b:write"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := scope.ParseList(""); err != nil || len(got) != 0 {
		t.Errorf("empty: %v, %v", got, err)
	}
	for _, bad := range []string{" ", "a:read  b:read", " a:read", "a:read ", "a:read,b:read", "a:read\tb:read"} {
		if got, err := scope.ParseList(bad); !errors.Is(err, scope.ErrGrammar) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

func TestCatalog(t *testing.T) {
	c, err := scope.NewCatalog(
		scope.Entry{Scope: "a:read", Description: "Read A"},
		scope.Entry{Scope: "b:read", Description: "Read B"},
		scope.Entry{Scope: "a:write", Description: "Write A"},
	)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Unknown([]string{"a:read", "x:y", "A:read", "x:y", "*"}); !slices.Equal(got, []string{"x:y", "A:read", "*"}) {
		t.Errorf("unknown: %v", got)
	}
	if got := fmt.Sprint(c.Groups()); got != "[{a [{a:read Read A} {a:write Write A}]} {b [{b:read Read B}]}]" {
		t.Errorf("groups: %s", got)
	}
	c.Entries()[0].Scope = "changed"
	if got := c.Scopes(); !slices.Equal(got, []string{"a:read", "b:read", "a:write"}) {
		t.Errorf("scopes: %v", got)
	}
	var none *scope.Catalog
	if got := none.Unknown([]string{"a:read"}); len(got) != 1 || none.Groups() != nil || none.Scopes() != nil {
		t.Error("a nil catalog knows something")
	}
	for name, entries := range map[string][]scope.Entry{
		"grammar": {{Scope: "a", Description: "x"}}, "wildcard": {{Scope: "a:*", Description: "x"}},
		"twice": {{Scope: "a:b", Description: "x"}, {Scope: "a:b", Description: "y"}}, "undescribed": {{Scope: "a:b", Description: " "}},
	} {
		if _, err := scope.NewCatalog(entries...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseList(f *testing.F) {
	for _, seed := range []string{"", "a:read", "a:read b:write", " ", "a:read  b", "a:\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := scope.ParseList(text)
		if err != nil {
			return
		}
		again, err := scope.ParseList(strings.Join(list, " "))
		if err != nil || !slices.Equal(list, again) {
			t.Fatalf("%q: %v, then %v (%v)", text, list, again, err)
		}
	})
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
