package policies

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
)

// Decision is what [Engine.Visible] finds for one row.
type Decision struct {
	scope.Decision
	// Hidden are the columns and relations to hide, by name, where masks apply: the
	// row isn't allowed, but may be shown without them. A caller that knows no masks
	// looks at Allowed alone.
	Hidden []string
}

// Visible decides which rows of a registered resource a principal may see: one
// decision for each row, in their order. A row must have every declared column
// and relation; nil stands for NULL. Any number of rows is decided by the same
// rules as one. An error means that none could be decided.
func (e *Engine) Visible(ctx context.Context, p *strikeplate.Principal, resource string, rows ...Row) ([]Decision, error) {
	rev, err := e.current()
	if err == nil && p == nil {
		err = errNoPrincipal
	}
	if err != nil {
		return nil, err
	}
	on := rev.entries[resource]
	if on == nil || on.spec.resource == nil {
		return nil, fmt.Errorf("%w: %q", errNoEntry, resource)
	}
	start := time.Now()
	verdicts, err := e.see(ctx, on, p, rows)
	if e.observed() {
		e.observeRows(ctx, rev, on, p, rows, verdicts, outcome{err: err, elapsed: time.Since(start)})
	}
	if err != nil {
		return nil, err
	}
	return rev.decisions(verdicts), nil
}

func (r *revision) decisions(verdicts []verdict) []Decision {
	decisions := make([]Decision, len(verdicts))
	for i := range verdicts {
		hidden := verdicts[i].hidden // the columns of all masks that hold
		slices.Sort(hidden)
		decisions[i] = Decision{Decision: r.decision(&verdicts[i]), Hidden: slices.Compact(hidden)}
	}
	return decisions
}

// see decides on rows.
func (e *Engine) see(ctx context.Context, on *entry, p *strikeplate.Principal, rows []Row) ([]verdict, error) {
	verdicts, err := on.shaper.decide(ctx, p, rows, on.noRule)
	if err != nil {
		e.counts.undecided.Add(1)
	}
	return verdicts, err
}

// seeByRego evaluates the rules themselves, once for each row.
func (e *Engine) seeByRego(ctx context.Context, on *entry, p *strikeplate.Principal, rows []Row) ([]verdict, error) {
	known, err := resourceInput(p, on.spec.name, clientOf(ctx))
	if err != nil {
		return nil, err
	}
	verdicts := make([]verdict, len(rows))
	for i, row := range rows {
		value, err := on.spec.resource.value(row)
		if err != nil {
			return nil, fmt.Errorf("%w: row %d: %w", ErrUndecided, i, err)
		}
		if verdicts[i], err = e.evaluate(ctx, on, withRow(known, value)); err != nil {
			return nil, err
		}
	}
	return verdicts, nil
}

// withRow is an input with its row.
func withRow(known ast.Object, row ast.Value) ast.Value {
	input := ast.NewObjectWithCapacity(known.Len() + 1)
	known.Foreach(input.Insert)
	input.Insert(keyResource, ast.NewTerm(row))
	return input
}
