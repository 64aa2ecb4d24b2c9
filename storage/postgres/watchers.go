package postgres

import (
	"errors"
	"sync"

	"github.com/strikeplate/strikeplate/storage"
)

var errClosed = errors.New("postgres: store is closed")

// watchers are the sinks of this store value. They hear of its own changes
// directly, before Commit returns, and of all changes through the feed. No lock
// is held while a sink is called: it may call the store.
type watchers struct {
	mu     sync.Mutex
	all    map[*watcher]bool
	closed bool
}

// watcher is one sink.
type watcher struct {
	sink  storage.Sink
	calls sync.WaitGroup // those of [watchers.changed] under way
	over  chan struct{}  // closed by [Store.Close]
	left  chan struct{}  // closed when the watch has ended
}

// join adds a sink. After leave has returned it is not called again.
func (w *watchers) join(s storage.Sink) (x *watcher, leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, nil, errClosed
	}
	x = &watcher{sink: s, over: make(chan struct{}), left: make(chan struct{})}
	if w.all == nil {
		w.all = make(map[*watcher]bool)
	}
	w.all[x] = true
	return x, func() {
		w.mu.Lock()
		delete(w.all, x)
		w.mu.Unlock()
		x.calls.Wait()
		close(x.left)
	}, nil
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

// close ends every watch, and returns when all have ended.
func (w *watchers) close() {
	w.mu.Lock()
	var ending []*watcher
	if !w.closed {
		for x := range w.all {
			close(x.over)
			ending = append(ending, x)
		}
	}
	w.closed = true
	w.mu.Unlock()
	for _, x := range ending {
		<-x.left
	}
}
