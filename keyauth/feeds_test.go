package keyauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// manualFeed says what a test wants said, when it wants it.
type manualFeed struct{ watching chan storage.Sink }

func newManualFeed() *manualFeed { return &manualFeed{make(chan storage.Sink, 1)} }

func (f *manualFeed) Watch(ctx context.Context, s storage.Sink) error {
	f.watching <- s
	<-ctx.Done()
	return ctx.Err()
}

// sink returns the watcher, waiting for it the first time.
func (f *manualFeed) sink() storage.Sink {
	s := <-f.watching
	f.watching <- s
	return s
}

// both watches two feeds as one.
type both struct{ a, b storage.Feed }

func (f both) Watch(ctx context.Context, s storage.Sink) error {
	var wait sync.WaitGroup
	wait.Go(func() { _ = f.b.Watch(ctx, s) })
	err := f.a.Watch(ctx, s)
	wait.Wait()
	return err
}

// silentFeed passes changes on but loses them, or the barriers, on demand.
type silentFeed struct {
	storage.Feed
	mu   sync.Mutex
	mute bool
}

func (f *silentFeed) setMute(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute = on
}

func (f *silentFeed) muted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mute
}

func (f *silentFeed) Watch(ctx context.Context, s storage.Sink) error {
	return f.Feed.Watch(ctx, &silentSink{f, s})
}

type silentSink struct {
	feed *silentFeed
	to   storage.Sink
}

func (s *silentSink) Changed(subject storage.Subject, organisation, id string, version int64) {
	if !s.feed.muted() {
		s.to.Changed(subject, organisation, id, version)
	}
}

func (s *silentSink) Fresh(asOf time.Time) {
	if !s.feed.muted() {
		s.to.Fresh(asOf)
	}
}

func (s *silentSink) Lost(err error) { s.to.Lost(err) }

func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// gate lets a test hold a call in the middle.
type gate struct {
	arrived chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}), make(chan struct{})} }

func (g *gate) pass() {
	g.arrived <- struct{}{}
	<-g.open
}

// gatedKeys holds Key, after it has read the record, while a gate is set.
type gatedKeys struct {
	storage.Keys
	mu   sync.Mutex
	gate *gate
	fail error
}

func (k *gatedKeys) set(g *gate, fail error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gate, k.fail = g, fail
}

func (k *gatedKeys) now() (*gate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gate, k.fail
}

func (k *gatedKeys) Key(ctx context.Context, organisation, id string) (storage.Key, error) {
	g, fail := k.now()
	if fail != nil {
		return storage.Key{}, fail
	}
	key, err := k.Keys.Key(ctx, organisation, id)
	if g != nil {
		g.pass()
	}
	return key, err
}

func (k *gatedKeys) KeyByLookup(ctx context.Context, lookup string) (storage.Key, error) {
	if _, fail := k.now(); fail != nil {
		return storage.Key{}, fail
	}
	return k.Keys.KeyByLookup(ctx, lookup)
}

// wantNoError fails the test from any goroutine.
func wantNoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
