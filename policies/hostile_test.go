package policies_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
)

// TestHostilePolicies loads every file of testdata/hostile alone. Its first lines
// say what must come of it: refused, denied (loaded, but every request that would
// come in ends in an error) or harmless (what the bundled rules deny stays denied).
func TestHostilePolicies(t *testing.T) {
	names, err := filepath.Glob("testdata/hostile/*.rego")
	if err != nil || len(names) < 50 {
		t.Fatal(len(names), err)
	}
	seen := map[string]int{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		outcome := header(t, string(text), "# outcome: ")
		seen[outcome]++
		t.Run(strings.TrimSuffix(filepath.Base(name), ".rego"), func(t *testing.T) {
			want := header(t, string(text), "# want: ")
			start := time.Now()
			c := policies.Config{Source: policies.Source{FS: files(filepath.Base(name), string(text))}}
			if want == "eval_cancel_error" {
				c.Deadline = 50 * time.Millisecond
			}
			e, err := tryEngine(t, c)
			t.Logf("%v: %v", time.Since(start), err)
			switch outcome {
			case "refused":
				refusedWith(t, err, filepath.Base(name), want)
			case "denied":
				deniedWith(t, e, err, want)
			case "harmless":
				harmless(t, e, err)
			default:
				t.Fatalf("no such outcome: %q", outcome)
			}
		})
	}
	for _, outcome := range []string{"refused", "denied", "harmless"} {
		if seen[outcome] < 5 {
			t.Errorf("only %d are %s", seen[outcome], outcome)
		}
	}
}

// header is the rest of the line that begins with name.
func header(t *testing.T, text, name string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if _, rest, ok := strings.Cut(line, name); ok {
			return strings.TrimSpace(rest)
		}
		if strings.TrimSpace(line) == strings.TrimSpace(name) {
			return ""
		}
	}
	if strings.Contains(text, strings.TrimSpace(name)) {
		return ""
	}
	t.Fatalf("no line %q", name)
	return ""
}

func refusedWith(t *testing.T, err error, file, want string) {
	t.Helper()
	switch {
	case !errors.Is(err, policies.ErrSource):
		t.Errorf("not refused: %v", err)
	case !strings.Contains(err.Error(), want):
		t.Errorf("the message lacks %q: %v", want, err)
	case !strings.Contains(err.Error(), file):
		t.Errorf("the message lacks the file's name: %v", err)
	}
}

func deniedWith(t *testing.T, e *policies.Engine, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatalf("refused, which is too good: %v", err)
	}
	start := time.Now()
	d, err := e.Authorize(context.Background(), ask(key(nil)))
	if !errors.Is(err, policies.ErrUndecided) || d.Allowed {
		t.Fatalf("decided: %+v, %v", d, err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("the message lacks %q: %v", want, err)
	}
	t.Logf("denied after %v", time.Since(start))
}

func harmless(t *testing.T, e *policies.Engine, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	ctx := context.Background()
	if d, err := e.Authorize(ctx, ask(key(nil))); err != nil || !d.Allowed {
		t.Errorf("a good request: %+v, %v", d, err)
	}
	if d, err := e.Authorize(ctx, ask(key(func(p *strikeplate.Principal) { p.Scopes = nil }))); err != nil || d.Allowed {
		t.Errorf("without scopes: %+v, %v", d, err)
	}
	limited := key(func(p *strikeplate.Principal) { p.Access = strikeplate.OrganisationLimited })
	foreign := func(r policies.Row) { r["organisation"] = "other" }
	ds, err := e.Visible(ctx, limited, "meetings", meeting(private), meeting(foreign))
	if err != nil || ds[0].Allowed || ds[1].Allowed {
		t.Errorf("rows: %+v, %v", ds, err)
	}
}
