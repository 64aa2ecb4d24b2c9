// Package denials decides which refusals are worth a line in the audit log. A
// script that is refused again and again must fill neither the log nor the memory:
// one entry per actor, action and minute, for so many at a time.
package denials

import (
	"sync"
	"time"
)

const (
	interval = time.Minute
	kept     = 4096
)

// Log remembers which refusals were logged lately. The zero value is ready, and
// safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	recent  map[Denial]*repeated
	dropped int // not logged, because too many actors are being refused
}

// Denial is what repeats itself.
type Denial struct{ Organisation, User, Action string }

type repeated struct {
	since      time.Time
	suppressed int
}

// Note is what an entry says of a refusal, besides who and when.
type Note struct {
	Action string `json:"action"`
	Code   string `json:"code"`
	// Suppressed are this actor's like refusals since the last entry, Dropped
	// those of all actors that no entry counts.
	Suppressed int `json:"suppressed,omitempty"`
	Dropped    int `json:"dropped,omitempty"`
}

// Admit reports whether a refusal is to be logged, and adds to note what was not
// logged before.
func (l *Log) Admit(d Denial, now time.Time, note *Note) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recent == nil {
		l.recent = make(map[Denial]*repeated)
	}
	r := l.recent[d]
	if r != nil && now.Sub(r.since).Abs() < interval {
		r.suppressed++
		return false
	}
	if r == nil && len(l.recent) >= kept && !l.purge(now) {
		l.dropped++
		return false
	}
	if r != nil {
		note.Suppressed = r.suppressed
	}
	note.Dropped, l.dropped = l.dropped, 0
	l.recent[d] = &repeated{since: now}
	return true
}

// purge forgets what is older than the interval, and reports whether there is
// room again.
func (l *Log) purge(now time.Time) bool {
	for d, r := range l.recent {
		if now.Sub(r.since).Abs() >= interval {
			l.dropped += r.suppressed
			delete(l.recent, d)
		}
	}
	return len(l.recent) < kept
}
