package storagetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// subject names a record in a feed.
type subject struct {
	kind             storage.Subject
	organisation, id string
}

func keySubject(k storage.Key) subject {
	return subject{storage.KeyChanged, k.Organisation, k.ID}
}

// watch is a sink that remembers what it was told.
type watch struct {
	mu      sync.Mutex
	told    map[subject]int64 // the highest version
	lost    int
	asOf    time.Time
	beats   int
	trouble string // the first breach of the contract
	ended   bool   // Watch has returned

	news      chan struct{}             // a signal after each call
	onChanged func(subject, int64)      // called without mu
	onFresh   func(asOf time.Time)      // called without mu
	stop      func() (watchError error) // ends the watch and waits
}

func newWatch() *watch {
	return &watch{told: make(map[subject]int64), news: make(chan struct{}, 1)}
}

// startWatch watches f with w until the test ends, and returns after the first
// Fresh: from then on the watch is in place.
func startWatch(t testing.TB, f storage.Feed, w *watch) *watch {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	returned := make(chan error, 1)
	go func() {
		err := f.Watch(ctx, w)
		w.mu.Lock()
		w.ended = true
		w.mu.Unlock()
		returned <- err
	}()
	w.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-returned:
			return err
		case <-time.After(patience()):
			t.Errorf("Watch still runs %v after its context ended", patience())
			return nil
		}
	})
	t.Cleanup(func() {
		_ = w.stop()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.trouble != "" {
			t.Error(w.trouble)
		}
	})
	w.await(t, "the first Fresh", func() bool { return w.beats > 0 })
	return w
}

// await waits until f, called with the lock held, is true.
func (w *watch) await(t testing.TB, what string, f func() bool) {
	t.Helper()
	limit, cancel := context.WithTimeout(context.Background(), patience())
	defer cancel()
	if !w.awaitOr(limit, f) {
		t.Fatalf("waited %v for %s", patience(), what)
	}
}

// awaitOr waits until f, called with the lock held, is true, but not beyond
// limit's end. It reports what f said last.
func (w *watch) awaitOr(limit context.Context, f func() bool) bool {
	for {
		w.mu.Lock()
		done := f()
		w.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-w.news:
		case <-limit.Done():
			return false
		}
	}
}

// awaitBeats waits for n more calls of Fresh.
func (w *watch) awaitBeats(t testing.TB, n int) {
	t.Helper()
	w.mu.Lock()
	want := w.beats + n
	w.mu.Unlock()
	w.await(t, "Fresh", func() bool { return w.beats >= want })
}

// version returns the highest version told for a record; ok: any was.
func (w *watch) version(s subject) (version int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	version, ok = w.told[s]
	return version, ok
}

func (w *watch) breach(what string) {
	if w.trouble == "" {
		w.trouble = what
	}
}

// enter and leave stand around every call.
func (w *watch) enter() {
	w.mu.Lock()
	if w.ended {
		w.breach("a sink was called after Watch had returned")
	}
}

func (w *watch) leave() {
	if w.ended {
		w.breach("Watch returned while a call was under way")
	}
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// Changed implements storage.Sink.
func (w *watch) Changed(kind storage.Subject, organisation, id string, version int64) {
	s := subject{kind, organisation, id}
	w.enter()
	w.mu.Unlock()
	if w.onChanged != nil {
		w.onChanged(s, version)
	}
	w.mu.Lock()
	w.told[s] = max(w.told[s], version)
	w.leave()
}

// Fresh implements storage.Sink.
func (w *watch) Fresh(asOf time.Time) {
	w.enter()
	if w.lost == 0 {
		w.breach("Fresh without a Lost before the first one")
	}
	if asOf.After(time.Now()) {
		w.breach("Fresh speaks for the future")
	}
	if asOf.Before(w.asOf) {
		w.breach("Fresh went back in time")
	}
	w.asOf = asOf
	w.mu.Unlock()
	if w.onFresh != nil {
		w.onFresh(asOf)
	}
	w.mu.Lock()
	w.beats++
	w.leave()
}

// Lost implements storage.Sink.
func (w *watch) Lost(err error) {
	w.enter()
	if err == nil {
		w.breach("Lost without an error")
	}
	w.lost++
	w.leave()
}
