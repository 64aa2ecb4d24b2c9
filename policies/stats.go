package policies

import "time"

// Stats are counters since the engine was made, for metrics.
type Stats struct {
	// Revision is the active one, empty if there is none; Since is when it became so.
	Revision string
	Since    time.Time
	// Loads are revisions that became active, Failures those that were refused.
	Loads, Failures uint64
	// Remembered decisions were looked up, Evaluated ones made by running rules, and
	// Undecided ones ended in an error.
	Remembered, Evaluated, Undecided uint64
	// Unremembered says why decisions on routes are not remembered, empty if they are.
	Unremembered string
	// LogRecorded, LogDropped (no room) and LogFailed (the sink's error) are records
	// of the decision log.
	LogRecorded, LogDropped, LogFailed uint64
}

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	s := Stats{
		Loads: e.counts.loads.Load(), Failures: e.counts.failures.Load(),
		Remembered: e.counts.remembered.Load(), Evaluated: e.counts.evaluated.Load(), Undecided: e.counts.undecided.Load(),
	}
	if rev := e.active.Load(); rev != nil {
		s.Revision, s.Unremembered = rev.id, rev.unremembered(e.c.Remember)
	}
	e.state.mu.Lock()
	s.Since = e.state.since
	e.state.mu.Unlock()
	if r := e.recorder; r != nil {
		s.LogRecorded, s.LogDropped, s.LogFailed = r.recorded.Load(), r.dropped.Load(), r.failed.Load()
	}
	return s
}

func (r *revision) unremembered(size int) string {
	reads := &r.entries[scopesName].reads
	switch {
	case r.remembered != nil:
		return ""
	case size < 0:
		return "Config.Remember is negative"
	case len(reads.volatile) > 0:
		return "the rules call " + reads.volatile[0]
	case reads.whole:
		return reads.because
	}
	return "the rules read a member that the input doesn't have"
}
