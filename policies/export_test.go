package policies

import (
	"context"

	"github.com/strikeplate/strikeplate"
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
