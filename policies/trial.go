package policies

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// ErrTrial is returned by [Engine.Try] while another trial runs, and by
// [Trial.Promote] after a trial was stopped.
var ErrTrial = errors.New("policies: another trial runs, or this one has ended")

// Trial evaluates a candidate revision beside the active one: for live decisions
// on routes and keys, and on up to eight rows of each list, it asks what the
// candidate would have said. That happens aside, by one goroutine; where it can't
// keep up comparisons are dropped and counted, and no request waits.
type Trial struct {
	engine    *Engine
	candidate *revision
	queue     chan *comparison
	end       chan struct{}
	ended     sync.Once
	gone      sync.WaitGroup

	compared, dropped atomic.Uint64

	mu          sync.Mutex
	differences map[Difference]uint64
	others      uint64
}

// Outcome is one side of a comparison.
type Outcome struct {
	Allowed bool
	// Rule is the rule that decided, or "error" where none could.
	Rule string
	// Masked: the row may be shown with hidden columns.
	Masked bool
}

// Difference is where a candidate decides otherwise: otherwise in what it allows,
// or by another rule.
type Difference struct {
	// Entry is scopes, manage or a resource; What the route or action.
	Entry, What string
	Old, New    Outcome
}

// Counted is a difference and how often it was seen.
type Counted struct {
	Difference
	Count uint64
}

// Report is what a trial has found so far.
type Report struct {
	Revision string // the candidate's
	// Compared decisions, and those that were not because too many came at once.
	Compared, Dropped uint64
	// Differences, the most frequent first. At most 1,000 kinds are kept; Others
	// counts the differences of further kinds.
	Differences []Counted
	Others      uint64
}

// Bounds of a trial.
const (
	trialQueue       = 1024
	trialDifferences = 1000
)

// comparison is one decision of the active revision.
type comparison struct {
	on, what string
	old      Outcome
	input    func() (ast.Value, error)
}

func (o *outcome) sum() Outcome {
	if o.err != nil {
		return Outcome{Rule: "error"}
	}
	return Outcome{Allowed: o.allowed, Rule: o.rule.id, Masked: len(o.hidden) > 0}
}

// Try reads and compiles a candidate and begins to evaluate it beside the active
// revision, until it is promoted or stopped. One trial can run at a time. What
// was refused as a reload is refused here too.
func (e *Engine) Try(ctx context.Context, s Source) (*Trial, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	read, err := s.read(ctx, limits{e.c.MaxBytes, e.c.MaxFiles})
	if err != nil {
		return nil, err
	}
	candidate, err := e.c.build(ctx, e.specs, e.base, read)
	if err != nil {
		return nil, err
	}
	t := &Trial{
		engine: e, candidate: candidate, queue: make(chan *comparison, trialQueue), end: make(chan struct{}),
		differences: make(map[Difference]uint64),
	}
	if !e.trial.CompareAndSwap(nil, t) {
		return nil, ErrTrial
	}
	t.gone.Go(t.run)
	return t, nil
}

// Revision is the candidate's.
func (t *Trial) Revision() string { return t.candidate.id }

// Stop ends the trial and drops the candidate, after comparing what still waits,
// as far as that takes no longer than one Deadline. Its report can still be read.
func (t *Trial) Stop() {
	t.ended.Do(func() {
		t.engine.trial.CompareAndSwap(t, nil)
		close(t.end)
	})
	t.gone.Wait()
}

// Promote ends the trial and makes its candidate the active revision. The engine
// keeps to its own Source: roll the candidate's files out there as well, or the
// next change or start returns to what is there.
func (t *Trial) Promote(ctx context.Context) error {
	if t.engine.trial.Load() != t {
		return ErrTrial
	}
	t.Stop()
	e := t.engine
	e.state.loading.Lock()
	defer e.state.loading.Unlock()
	return e.activate(ctx, t.candidate, t.candidate.follows(e.active.Load()))
}

// Report tells what the trial has found so far.
func (t *Trial) Report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Report{Revision: t.candidate.id, Compared: t.compared.Load(), Dropped: t.dropped.Load(), Others: t.others}
	for d, n := range t.differences {
		r.Differences = append(r.Differences, Counted{d, n})
	}
	slices.SortFunc(r.Differences, func(a, b Counted) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Entry, b.Entry), cmp.Compare(a.What, b.What),
			cmp.Compare(a.Old.Rule, b.Old.Rule), cmp.Compare(a.New.Rule, b.New.Rule))
	})
	return r
}

// add never waits.
func (t *Trial) add(c *comparison) {
	select {
	case t.queue <- c:
	default:
		t.dropped.Add(1)
	}
}

func (t *Trial) run() {
	for {
		select {
		case c := <-t.queue:
			t.compare(c)
		case <-t.end:
			t.finish()
			return
		}
	}
}

// finish compares what waits, for no longer than one evaluation may take.
func (t *Trial) finish() {
	for begin := time.Now(); len(t.queue) > 0; {
		c := <-t.queue
		if time.Since(begin) > t.engine.c.Deadline {
			t.dropped.Add(1)
			continue
		}
		t.compare(c)
	}
}

func (t *Trial) compare(c *comparison) {
	var now outcome
	input, err := c.input()
	if now.err = err; err == nil {
		on := t.candidate.entries[c.on]
		now.verdict, now.err = on.query.evaluate(context.Background(), t.engine.c.Deadline, t.engine.c.Now, input)
		if now.rule == nil {
			now.rule = on.noRule
		}
	}
	t.compared.Add(1)
	if sum := now.sum(); sum != c.old {
		t.note(Difference{Entry: c.on, What: c.what, Old: c.old, New: sum})
	}
}

// note counts a difference, and logs the first of its kind.
func (t *Trial) note(d Difference) {
	t.mu.Lock()
	n, known := t.differences[d]
	kept := known || len(t.differences) < trialDifferences
	if kept {
		t.differences[d] = n + 1
	} else {
		t.others++
	}
	t.mu.Unlock()
	if kept && !known {
		t.engine.c.Logger.LogAttrs(context.Background(), slog.LevelWarn, "a candidate policy decides otherwise",
			slog.String("candidate", t.candidate.id), slog.String("entry", d.Entry), slog.String("what", d.What),
			slog.String("old", d.Old.Rule), slog.Bool("old_allowed", d.Old.Allowed),
			slog.String("new", d.New.Rule), slog.Bool("new_allowed", d.New.Allowed))
	}
}
