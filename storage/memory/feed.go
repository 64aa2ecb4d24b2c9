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
	leave := s.watchers.join(sink)
	defer leave()
	sink.Lost(errBegins)
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		if err := s.Ready(ctx); err != nil {
			return err
		}
		sink.Fresh(s.watchers.settled())
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// watchers delivers changes to sinks, and knows up to which moment all changes
// have been delivered. No lock is held while a sink is called.
type watchers struct {
	mu      sync.Mutex
	all     map[*watcher]bool
	writing map[*time.Time]bool // when each write under way began
}

// watcher is one sink; calls counts those under way.
type watcher struct {
	sink  storage.Sink
	calls sync.WaitGroup
}

// join adds a sink. After leave has returned it is not called again.
func (w *watchers) join(s storage.Sink) (leave func()) {
	x := &watcher{sink: s}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = make(map[*watcher]bool)
	}
	w.all[x] = true
	return func() {
		w.mu.Lock()
		delete(w.all, x)
		w.mu.Unlock()
		x.calls.Wait()
	}
}

// begin marks a write as under way until end is called. It comes before the
// write can be seen, so that settled never passes a change not delivered yet.
func (w *watchers) begin() (end func()) {
	began := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writing == nil {
		w.writing = make(map[*time.Time]bool)
	}
	w.writing[&began] = true
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.writing, &began)
	}
}

// settled returns a moment before which everything written was delivered: now,
// or when the oldest write under way began.
func (w *watchers) settled() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	settled := time.Now()
	for began := range w.writing {
		if began.Before(settled) {
			settled = *began
		}
	}
	return settled
}

// changed tells every watcher, and returns when all have been told.
func (w *watchers) changed(subject storage.Subject, organisation, id string, version int64) {
	w.mu.Lock()
	told := make([]*watcher, 0, len(w.all))
	for x := range w.all {
		x.calls.Add(1)
		told = append(told, x)
	}
	w.mu.Unlock()
	for _, x := range told {
		x.tell(subject, organisation, id, version)
	}
}

// tell counts the call as over even if the sink panics: the watch could never
// end otherwise.
func (x *watcher) tell(subject storage.Subject, organisation, id string, version int64) {
	defer x.calls.Done()
	x.sink.Changed(subject, organisation, id, version)
}
