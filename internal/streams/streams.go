// Package streams is what authenticators have in common for requests that run for
// long: each ends when what it was let in with does.
package streams

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Every is how often open requests are looked at even if no change is reported:
// expiry is no change.
const Every = 500 * time.Millisecond

// Watch holds the requests in flight that want to end when their credential does.
// C is what an authenticator needs to look at it again. A Watch is safe for
// concurrent use.
type Watch[C any] struct {
	check  func(C) error
	wakeUp chan struct{}

	mu   sync.Mutex
	open map[*stream[C]]struct{}
}

type stream[C any] struct {
	credential C
	end        context.CancelCauseFunc
}

// New makes a Watch. check returns why a request must end, nil if it may go on; it
// is called for one request after the other.
func New[C any](check func(C) error) *Watch[C] {
	return &Watch[C]{check: check, wakeUp: make(chan struct{}, 1), open: make(map[*stream[C]]struct{})}
}

// Nudge has all open requests looked at soon. It fits freshness.New.
func (w *Watch[C]) Nudge(storage.Subject, string, string) {
	select {
	case w.wakeUp <- struct{}{}:
	default: // they are about to be
	}
}

// Serve calls next with a context that is cancelled when check refuses the
// credential, with the refusal as its cause.
func (w *Watch[C]) Serve(next http.Handler, rw http.ResponseWriter, r *http.Request, credential C) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	s := &stream[C]{credential, cancel}
	w.add(s)
	defer w.remove(s)
	w.Nudge("", "", "") // it may have ended before it was listed
	next.ServeHTTP(rw, r.WithContext(ctx))
}

// Run looks at the open requests after each nudge and each tick, until ctx ends.
func (w *Watch[C]) Run(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.wakeUp:
		}
		for _, s := range w.all() {
			if err := w.check(s.credential); err != nil {
				s.end(err)
			}
		}
	}
}

func (w *Watch[C]) add(s *stream[C]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[s] = struct{}{}
}

func (w *Watch[C]) remove(s *stream[C]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, s)
}

// all copies the list: no lock is held while a store may be asked.
func (w *Watch[C]) all() []*stream[C] {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]*stream[C], 0, len(w.open))
	for s := range w.open {
		list = append(list, s)
	}
	return list
}
