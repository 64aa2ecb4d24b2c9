package policies

import (
	"context"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
)

// CollideAll makes the keys of all remembered decisions share one hash.
func CollideAll(e *Engine) { e.active.Load().remembered.mask = 0 }

// RememberedSize is how many decisions are kept, once those that are too many are
// gone.
func RememberedSize(e *Engine) int {
	d := e.active.Load().remembered.decisions
	d.CleanUp()
	return d.EstimatedSize()
}

// ByRego is Visible by evaluating the rules themselves: what the differential test
// compares the compiled conditions with.
func ByRego(ctx context.Context, e *Engine, p *strikeplate.Principal, resource string, rows ...Row) ([]Decision, error) {
	rev := e.active.Load()
	verdicts, err := e.seeByRego(ctx, rev.entries[resource], p, rows)
	if err != nil {
		return nil, err
	}
	return rev.decisions(verdicts), nil
}

// CompilerOf is what an entry's rules were compiled with.
func CompilerOf(e *Engine, name string) *ast.Compiler { return e.active.Load().entries[name].compiler }

// InputOf is the input of the entry scopes.
func InputOf(t testing.TB, r scope.Request) ast.Value {
	t.Helper()
	v, err := routeInput(r, clientOf(context.Background()))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Reactivate swaps the active revision for itself.
func Reactivate(e *Engine, times int) {
	for range times {
		_ = e.activate(context.Background(), e.active.Load(), nil)
	}
}
