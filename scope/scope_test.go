package scope_test

import (
	"errors"
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
