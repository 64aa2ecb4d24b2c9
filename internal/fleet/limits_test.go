package fleet_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// spenders is how many ask an instance at a time, so that many requests wait, and
// would pass, where the counters don't answer.
const spenders = 4

// spend asks an instance with a key whose limit is spent all the time.
func (f *fleet) spend(ctx context.Context, m *member) {
	for ctx.Err() == nil {
		a := m.ask(ctx, f.elsewhere)
		if ctx.Err() == nil {
			f.ledger.spent(m, a)
		}
		pause(ctx, spenders*50*time.Millisecond)
	}
}

// admissions are the requests that passed under the limit that is spent all the time.
type admissions struct {
	passed  []answer
	refused int         // 429
	losses  []time.Time // when the counters were lost: Redis keeps nothing on disk
}

// spent notes what came of a request under that limit.
func (l *ledger) spent(m *member, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts(m, a)
	switch {
	case a.err != nil:
	case a.status == 200:
		l.admitted.passed = append(l.admitted.passed, a)
	case a.status == 429:
		l.admitted.refused++
	case a.status == 401:
		l.refusedValid++
		l.note("%s answered 401 to the other organisation's key", m.name)
	}
}

// lostCounters says that what was counted so far is forgotten.
func (l *ledger) lostCounters() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.admitted.losses = append(l.admitted.losses, time.Now())
}

// judge compares what passed with what may. A window begins with its first request
// and ends a period later, so a stretch as long as a period meets two windows at
// most, and D seconds meet D/period + 1. When counters are lost, a window begins
// that may not have begun yet.
func (a *admissions) judge() (holds bool, text string) {
	const margin = 10 * time.Millisecond // Redis's clock ticks in milliseconds
	slices.SortFunc(a.passed, func(x, y answer) int { return x.sent.Compare(y.sent) })
	holds = a.refused > 0
	most, bound := 0, 0
	for i, first := range a.passed {
		end := first.sent.Add(spentPeriod - margin)
		n := 0
		for _, x := range a.passed[i:] {
			if x.sent.After(end) {
				break
			}
			if !x.received.After(end) {
				n++
			}
		}
		allowed := spentLimit * (2 + a.lost(first.sent, end))
		holds = holds && n <= allowed
		if n-allowed > most-bound || bound == 0 || n-allowed == most-bound && n > most {
			most, bound = n, allowed
		}
	}
	total, whole := len(a.passed), 0
	if total > 0 {
		last := slices.MaxFunc(a.passed, func(x, y answer) int { return cmp.Compare(x.received.UnixNano(), y.received.UnixNano()) })
		stretch := last.received.Sub(a.passed[0].sent)
		whole = spentLimit * (int(stretch/spentPeriod) + 1 + len(a.losses))
	}
	holds = holds && total > 0 && total <= whole
	return holds, fmt.Sprintf("%d passed of at most %d (%d in %v, counters lost %d times), within %v at most %d of %d; %d refused",
		total, whole, spentLimit, spentPeriod, len(a.losses), spentPeriod, most, bound, a.refused)
}

func (a *admissions) lost(from, to time.Time) (n int) {
	for _, at := range a.losses {
		if !at.Before(from) && !at.After(to) {
			n++
		}
	}
	return n
}
