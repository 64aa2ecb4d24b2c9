// Package watchers is what the backends' feeds have in common: the sinks of one
// store value, which hear of its own changes directly, before the change's call
// returns.
package watchers

import (
	"context"
	"sync"

	"github.com/strikeplate/strikeplate/storage"
)

// Hub holds the sinks. Its zero value is ready; it is safe for concurrent use.
// No lock is held while a sink is called: it may call the store.
type Hub struct {
	mu      sync.Mutex
	all     map[*watcher]struct{}
	closed  bool
	running sync.WaitGroup // watches that have not left
}

type watcher struct {
	sink  storage.Sink
	calls sync.WaitGroup // of Changed, under way
	end   context.CancelFunc
}

// Join adds a sink, unless the hub is closed. watching ends with ctx, or when
// the hub is closed. After leave has returned, the sink is not called again.
func (h *Hub) Join(ctx context.Context, s storage.Sink) (watching context.Context, leave func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil, false
	}
	if h.all == nil {
		h.all = make(map[*watcher]struct{})
	}
	w := &watcher{sink: s}
	watching, w.end = context.WithCancel(ctx)
	h.all[w] = struct{}{}
	h.running.Add(1)
	return watching, func() { h.leave(w) }, true
}

func (h *Hub) leave(w *watcher) {
	h.mu.Lock()
	delete(h.all, w)
	h.mu.Unlock()
	w.end()
	w.calls.Wait()
	h.running.Done()
}

// Changed tells every sink, and returns when all have been told.
func (h *Hub) Changed(subject storage.Subject, organisation, id string, version int64) {
	h.mu.Lock()
	told := make([]*watcher, 0, len(h.all))
	for w := range h.all {
		w.calls.Add(1)
		told = append(told, w)
	}
	h.mu.Unlock()
	for _, w := range told {
		w.tell(subject, organisation, id, version)
	}
}

// tell counts the call as over even if the sink panics: the watch could never
// end otherwise.
func (w *watcher) tell(subject storage.Subject, organisation, id string, version int64) {
	defer w.calls.Done()
	w.sink.Changed(subject, organisation, id, version)
}

// Close ends every watch, lets no other begin, and waits until all have left or
// ctx ends.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	for w := range h.all {
		w.end()
	}
	h.mu.Unlock()
	left := make(chan struct{})
	go func() {
		defer close(left)
		h.running.Wait()
	}()
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
