package memory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// heartbeat is how often a watcher hears Fresh.
const heartbeat = 500 * time.Millisecond

var errBegins = errors.New("memory: the watch begins here")

// Watch implements [storage.Feed]. Lost is called once, at the beginning:
// nothing stands between a change and its watchers that could lose it later.
func (s *Store) Watch(ctx context.Context, sink storage.Sink) error {
	watching, leave, ok := s.watchers.Join(ctx, sink)
	if !ok {
		return errClosed
	}
	defer leave()
	sink.Lost(errBegins)
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case watching.Err() != nil:
			return errClosed
		}
		sink.Fresh(s.writes.settled())
		select {
		case <-tick.C:
		case <-watching.Done():
		}
	}
}

// writes knows up to which moment all changes have been delivered.
type writes struct {
	mu       sync.Mutex
	underWay map[*time.Time]bool // when each began
}

// begin marks a write as under way until end is called. It comes before the
// write can be seen, so that settled never passes a change not delivered yet.
func (w *writes) begin() (end func()) {
	began := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.underWay == nil {
		w.underWay = make(map[*time.Time]bool)
	}
	w.underWay[&began] = true
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.underWay, &began)
	}
}

// settled returns a moment before which everything written was delivered: now,
// or when the oldest write under way began.
func (w *writes) settled() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	settled := time.Now()
	for began := range w.underWay {
		if began.Before(settled) {
			settled = *began
		}
	}
	return settled
}
