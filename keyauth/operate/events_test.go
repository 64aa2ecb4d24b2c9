package operate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/operate"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// inbox is what a handler received.
type inbox struct {
	mu     sync.Mutex
	events []operate.Event
	more   chan struct{}
	fails  func(operate.Event) error // nil: never
}

func newInbox() *inbox { return &inbox{more: make(chan struct{}, 10_000)} }

func (i *inbox) handle(_ context.Context, e operate.Event) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.events = append(i.events, e)
	i.more <- struct{}{}
	if i.fails != nil {
		return i.fails(e)
	}
	return nil
}

// wait waits for n calls of the handler.
func (i *inbox) wait(t testing.TB, n int) {
	t.Helper()
	deadline := time.After(patience)
	for range n {
		select {
		case <-i.more:
		case <-deadline:
			t.Fatalf("gave up waiting for %d events", n)
		}
	}
}

// actions are those received from an organisation, in order.
func (i *inbox) actions(organisation string) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var all []string
	for _, e := range i.events {
		if e.Organisation == organisation {
			all = append(all, e.Action)
		}
	}
	return all
}

// run delivers in the background. The returned function ends it and waits.
func run(t testing.TB, c operate.EventsConfig) (stop func()) {
	t.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	if c.Consumer == "" {
		c.Consumer = "test"
	}
	events, err := operate.NewEvents(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- events.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// TestEvents: what happens to keys is delivered, in order, soon, and once as long
// as nothing fails; each consumer gets all of it.
func TestEvents(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first, second := newInbox(), newInbox()
		k := w.create()
		stop := run(t, operate.EventsConfig{Operator: w.store, Feed: w.store, Handle: first.handle})
		first.wait(t, 1)
		_, err := w.manage.Rename(w.ctx, w.admin, k.Key.ID, "Other")
		w.must(err)
		first.wait(t, 1)
		_, err = w.manage.Revoke(w.ctx, w.admin, k.Key.ID, "")
		w.must(err)
		first.wait(t, 1)
		stop()
		want := []string{manage.ActionCreate, manage.ActionRename, manage.ActionRevoke}
		if diff := cmp.Diff(want, first.actions("acme")); diff != "" {
			t.Error(diff)
		}
		entry := w.entries("acme", manage.ActionRevoke)[0]
		got := first.events[2]
		if got.Key != k.Key.ID || got.Actor.User != "ada" || got.Position != entry.Position || !got.At.Equal(entry.At) ||
			string(got.Before) != string(entry.Before) || string(got.After) != string(entry.After) {
			t.Errorf("got %+v of %+v", got, entry)
		}
		stop = run(t, operate.EventsConfig{Operator: w.store, Handle: second.handle, Consumer: "second"})
		second.wait(t, 3)
		stop()
		run(t, operate.EventsConfig{Operator: w.store, Feed: w.store, Handle: first.handle})
		w.create()
		first.wait(t, 1)
		if diff := cmp.Diff(append(want, manage.ActionCreate), first.actions("acme")); diff != "" {
			t.Errorf("after a restart: %s", diff)
		}
	})
}

// killed is a store that dies between an event's handling and its being
// acknowledged.
type killed struct{ store }

func (killed) Acknowledge(context.Context, string, string, int64) error {
	return errors.New("the process is gone")
}

// TestEventsCrash: a runner that dies after it handled an event and before it
// said so loses nothing: its successor delivers the event again.
func TestEventsCrash(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := w.create()
		dying, successor := newInbox(), newInbox()
		stop := run(t, operate.EventsConfig{Operator: killed{w.store}, Feed: w.store, Handle: dying.handle, Retry: time.Hour})
		dying.wait(t, 1)
		stop()
		_, err := w.manage.Revoke(w.ctx, w.admin, k.Key.ID, "leaked")
		w.must(err)
		run(t, operate.EventsConfig{Operator: w.store, Feed: w.store, Handle: successor.handle})
		successor.wait(t, 2)
		if diff := cmp.Diff([]string{manage.ActionCreate, manage.ActionRevoke}, successor.actions("acme")); diff != "" {
			t.Error(diff)
		}
	})
}

// TestEventsTwoInstances: two runners together deliver everything; one of them
// may stop at any time.
func TestEventsTwoInstances(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		both := newInbox()
		stop := run(t, operate.EventsConfig{Operator: w.store, Feed: w.store, Handle: both.handle})
		run(t, operate.EventsConfig{Operator: w.store, Feed: w.store, Handle: both.handle})
		const keys = 30
		for n := range keys {
			if n == keys/2 {
				stop()
			}
			w.create()
		}
		waitUntil(t, "all are delivered", func() bool {
			both.mu.Lock()
			defer both.mu.Unlock()
			seen := make(map[int64]bool)
			for _, e := range both.events {
				seen[e.Position] = true
			}
			return len(seen) == keys
		})
	})
}

// bubble is a memory store for tests in synctest's time, where only what is
// waited for takes time.
func bubble(t *testing.T, test func(t *testing.T, s *memory.Store)) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		defer func() {
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		test(t, s)
	})
}

// happen writes entries of an organisation.
func happen(t testing.TB, s storage.Keys, organisation string, actions ...string) {
	t.Helper()
	m := storage.Mutation{Now: time.Now()}
	for _, a := range actions {
		m.Audit = append(m.Audit, storage.Entry{Organisation: organisation, Action: a, At: m.Now})
	}
	if err := s.Commit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// TestEventsPoisoned: an event that can't be delivered holds up its own
// organisation's, and nobody else's; it is tried again, less and less often.
func TestEventsPoisoned(t *testing.T) {
	for _, name := range []string{"error", "panic", "never returns", "more than a page"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *memory.Store) {
				in := newInbox()
				handle := func(ctx context.Context, e operate.Event) error {
					err := in.handle(ctx, e)
					switch {
					case e.Organisation != "bad":
						return err
					case name == "panic":
						panic("cannot handle this")
					case name == "never returns":
						<-ctx.Done()
					}
					return errors.New("cannot handle this")
				}
				happen(t, s, "bad", "first", "second")
				if name == "more than a page" {
					happen(t, s, "bad", slices.Repeat([]string{"further"}, 5000)...)
				}
				stop := run(t, operate.EventsConfig{Operator: s, Handle: handle})
				defer stop()
				happen(t, s, "good", "first")
				pause(t, 11*time.Second)
				happen(t, s, "good", "second", "third")
				pause(t, 11*time.Second)
				if diff := cmp.Diff([]string{"first", "second", "third"}, in.actions("good")); diff != "" {
					t.Error(diff)
				}
				pause(t, time.Hour)
				bad := in.actions("bad")
				if n := len(bad); n < 10 || n > 30 || slices.Contains(bad, "second") {
					t.Errorf("%d attempts in an hour: %v", n, bad)
				}
			})
		})
	}
}

// pause lets time pass in a bubble.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

// TestEventsGiveUp: the embedder may have an event skipped, and the rest goes on.
func TestEventsGiveUp(t *testing.T) {
	bubble(t, func(t *testing.T, s *memory.Store) {
		in := newInbox()
		in.fails = func(e operate.Event) error {
			if e.Action == "bad" {
				return errors.New("no")
			}
			return nil
		}
		happen(t, s, "acme", "good", "bad", "better")
		var asked []string
		stop := run(t, operate.EventsConfig{Operator: s, Handle: in.handle, GiveUp: func(e operate.Event, attempts int, err error) bool {
			asked = append(asked, fmt.Sprintf("%s %d %v", e.Action, attempts, err))
			return attempts == 3
		}})
		defer stop()
		pause(t, time.Minute)
		if diff := cmp.Diff([]string{"good", "bad", "bad", "bad", "better"}, in.actions("acme")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"bad 1 no", "bad 2 no", "bad 3 no"}, asked); diff != "" {
			t.Error(diff)
		}
		if left, err := s.Undelivered(t.Context(), "test", 0); err != nil || len(left) > 0 {
			t.Errorf("%d are left, %v", len(left), err)
		}
	})
}

// down is a store whose log can't be read for a while, with a feed that ends.
type down struct {
	*memory.Store
	until time.Time
}

func (d down) Undelivered(ctx context.Context, consumer string, limit int) ([]storage.Entry, error) {
	if time.Now().Before(d.until) {
		return nil, errors.New("down")
	}
	return d.Store.Undelivered(ctx, consumer, limit)
}

func (down) Watch(context.Context, storage.Sink) error { return errors.New("no feed today") }

// TestEventsOutage: delivery outlives an outage of the store and of the feed,
// and denials, which change no key, come by polling.
func TestEventsOutage(t *testing.T) {
	bubble(t, func(t *testing.T, s *memory.Store) {
		in := newInbox()
		d := down{s, time.Now().Add(time.Minute)}
		stop := run(t, operate.EventsConfig{Operator: d, Feed: d, Handle: in.handle, Poll: 5 * time.Second})
		defer stop()
		happen(t, s, "acme", manage.ActionDenied)
		pause(t, 59*time.Second)
		if n := len(in.actions("acme")); n != 0 {
			t.Errorf("%d during the outage", n)
		}
		pause(t, 7*time.Second)
		if diff := cmp.Diff([]string{manage.ActionDenied}, in.actions("acme")); diff != "" {
			t.Error(diff)
		}
	})
}

// TestEventsNeverBlock: a handler that never returns keeps no mutation waiting.
func TestEventsNeverBlock(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		stuck := make(chan struct{})
		entered := make(chan struct{}, 100)
		stop := run(t, operate.EventsConfig{Operator: w.store, Feed: w.store, Parallel: 1, Handle: func(context.Context, operate.Event) error {
			entered <- struct{}{}
			<-stuck
			return nil
		}})
		w.create()
		<-entered
		for range 10 {
			w.create()
		}
		close(stuck)
		stop()
	})
}

// TestEventsManyOrganisations: more organisations than can be served at a time.
func TestEventsManyOrganisations(t *testing.T) {
	bubble(t, func(t *testing.T, s *memory.Store) {
		in := newInbox()
		const organisations = 1200 // more than a page
		for n := range organisations {
			happen(t, s, fmt.Sprintf("org%04d", n), "first", "second")
		}
		stop := run(t, operate.EventsConfig{Operator: s, Handle: in.handle})
		defer stop()
		pause(t, time.Second)
		for n := range organisations {
			if diff := cmp.Diff([]string{"first", "second"}, in.actions(fmt.Sprintf("org%04d", n))); diff != "" {
				t.Fatalf("organisation %d: %s", n, diff)
			}
		}
	})
}
