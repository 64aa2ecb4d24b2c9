package policies

import (
	"context"
	"slices"

	"github.com/strikeplate/strikeplate"
)

// VisibleByRego decides as Visible does, by evaluating the rules themselves for
// each row: what all else is compared with.
func (e *Engine) VisibleByRego(ctx context.Context, p *strikeplate.Principal, resource string, rows ...Row) ([]Decision, error) {
	rev, err := e.current()
	if err != nil {
		return nil, err
	}
	verdicts, err := e.seeByRego(ctx, rev.entries[resource], p, rows)
	if err != nil {
		return nil, err
	}
	decisions := make([]Decision, len(verdicts))
	for i := range verdicts {
		hidden := verdicts[i].hidden
		slices.Sort(hidden)
		decisions[i] = Decision{Decision: rev.decision(&verdicts[i]), Hidden: slices.Compact(hidden)}
	}
	return decisions, nil
}

// Arguments are the principal's fields that a resource's queries are bound to.
func (e *Engine) Arguments(resource string) []string {
	var names []string
	for _, f := range e.active.Load().entries[resource].shaper.fields {
		names = append(names, f.name)
	}
	return names
}

// CollideShapes makes all keys of shapes have one hash.
func (e *Engine) CollideShapes(resource string) {
	e.active.Load().entries[resource].shaper.shapes.mask = 0
}

// Shapes is how many shapes a resource keeps.
func (e *Engine) Shapes(resource string) int {
	kept := e.active.Load().entries[resource].shaper.shapes.kept
	kept.CleanUp()
	return kept.EstimatedSize()
}
