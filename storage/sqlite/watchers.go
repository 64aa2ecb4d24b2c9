package sqlite

import (
	"sync"

	"github.com/strikeplate/strikeplate/storage"
)

// watchers are the sinks of this store value. They hear of its own changes
// directly, before Commit returns, and of all changes by polling. No lock is
// held while a sink is called: it may call the store.
type watchers struct {
	mu     sync.Mutex
	all    map[*watcher]bool
	closed bool
}

// watcher is one sink; calls counts those of changed under way.
type watcher struct {
	sink  storage.Sink
	calls sync.WaitGroup
}

// join adds a sink, unless the store is closed. After leave has returned it is
// not called again.
func (w *watchers) join(s storage.Sink, begins *sync.WaitGroup) (leave func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, false
	}
	if w.all == nil {
		w.all = make(map[*watcher]bool)
	}
	x := &watcher{sink: s}
	w.all[x] = true
	begins.Add(1)
	return func() {
		w.mu.Lock()
		delete(w.all, x)
		w.mu.Unlock()
		x.calls.Wait()
		begins.Done()
	}, true
}

// close lets no further sink join.
func (w *watchers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
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
