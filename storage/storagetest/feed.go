package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// feedCases: watchers of the value that changes are made through.
var feedCases = []check[Store]{
	{"ToldBeforeCommitReturns", toldBeforeCommitReturns},
	{"ToldWhatIsWritten", toldWhatIsWritten},
	{"Heartbeat", heartbeat},
	{"Barrier", func(t testing.TB, s Store) { barrier(t, pair{s, s}) }},
	{"SlowSink", slowSink},
	{"WatchEnds", watchEnds},
	{"WatchersApart", watchersApart},
	{"SinkReads", sinkReads},
}

func toldBeforeCommitReturns(t testing.TB, s Store) {
	p := probe{t, s}
	watches := []*watch{startWatch(t, s, newWatch()), startWatch(t, s, newWatch()), startWatch(t, s, newWatch())}
	told := func(what string, k storage.Key) {
		t.Helper()
		for i, w := range watches {
			if v, ok := w.version(keySubject(k)); !ok || v != 0 && v != k.Version {
				t.Fatalf("%s: Commit returned, and watcher %d was told: %v, version %d; want version %d", what, i, ok, v, k.Version)
			}
		}
	}
	p.commit(mutation(newKey("acme", "k1"), newKey("globex", "g1")))
	k := newKey("acme", "k1")
	k.Version = 1
	told("create", k)
	g := newKey("globex", "g1")
	g.Version = 1
	told("create in a second organisation", g)
	for round := range int64(20) {
		k.Version = round + 1
		k.Name = fmt.Sprint("name ", round)
		p.commit(mutation(k))
		k.Version++
		told("rename", k)
	}
	k.Revoked = noon
	p.commit(mutation(k))
	k.Version++
	told("revoke", k)
}

// toldWhatIsWritten: when Changed arrives, reading shows the change, so that a
// cache which reads after it cannot pick up the old state.
func toldWhatIsWritten(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	w := newWatch()
	var old atomic.Int64
	w.onChanged = func(_ subject, version int64) {
		got, err := s.Key(context.Background(), "acme", "k1")
		if err != nil || got.Version < version {
			old.Add(1)
		}
	}
	startWatch(t, s, w)
	for range 10 {
		k.Name += "x"
		p.commit(mutation(k))
		k.Version++
	}
	if n := old.Load(); n > 0 {
		t.Errorf("%d of 10 times Changed came before the change could be read", n)
	}
}

// heartbeat: Fresh keeps coming, and advances.
func heartbeat(t testing.TB, s Store) {
	w := startWatch(t, s, newWatch())
	began := time.Now()
	w.awaitBeats(t, 4)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("4 heartbeats took %v, want one each 500 ms", took)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asOf.Before(began) {
		t.Errorf("after 4 heartbeats the feed is fresh as of %v before they began", began.Sub(w.asOf))
	}
}

// committed is a write that returned at a moment.
type committed struct {
	subject subject
	version int64
	at      time.Time
}

// barrier: when Fresh(asOf) arrives at one value, every change committed before
// asOf through the other has been delivered.
func barrier(t testing.TB, p pair) {
	var (
		mu      sync.Mutex
		pending []committed
		missed  []string
		checked int
	)
	w := newWatch()
	w.onFresh = func(asOf time.Time) {
		mu.Lock()
		defer mu.Unlock()
		rest := pending[:0]
		for _, c := range pending {
			if !c.at.Before(asOf) {
				rest = append(rest, c)
				continue
			}
			checked++
			if v, ok := w.version(c.subject); !ok || v != 0 && v < c.version {
				missed = append(missed, fmt.Sprintf("%s version %d", c.subject.id, c.version))
			}
		}
		pending = rest
	}
	startWatch(t, p.here, w)
	var stop atomic.Bool
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			k := newKey("acme", fmt.Sprintf("writer%d", i))
			for n := 0; !stop.Load(); n++ {
				k.Name = fmt.Sprint("name ", n)
				if err := p.there.Commit(context.Background(), mutation(k)); err != nil {
					t.Errorf("Commit: %v", err)
					return
				}
				k.Version++
				mu.Lock()
				pending = append(pending, committed{keySubject(k), k.Version, time.Now()})
				mu.Unlock()
			}
		})
	}
	w.awaitBeats(t, 4)
	stop.Store(true)
	writers.Wait()
	w.awaitBeats(t, 2)
	mu.Lock()
	defer mu.Unlock()
	if len(missed) > 0 {
		t.Errorf("%d of %d changes were committed before a Fresh that came without them, such as %s",
			len(missed), checked, missed[0])
	}
	if checked == 0 {
		t.Errorf("no Fresh spoke for any of the changes")
	}
}

// slowSink: while one watcher is being told, the others either have been, or
// are not told that they are up to date.
func slowSink(t testing.TB, s Store) {
	p := probe{t, s}
	blocked, release := make(chan struct{}), make(chan struct{})
	unblock := sync.OnceFunc(func() { close(release) })
	defer unblock()
	var first atomic.Bool
	var since atomic.Pointer[time.Time] // when the change could be seen at the latest
	stall := func(subject, int64) {
		if first.CompareAndSwap(false, true) {
			now := time.Now()
			since.Store(&now)
			close(blocked)
			<-release
		}
	}
	var early atomic.Int64
	watches := make([]*watch, 4)
	for i := range watches {
		w := newWatch()
		w.onChanged = stall
		w.onFresh = func(asOf time.Time) {
			at := since.Load()
			if _, told := w.version(subject{storage.KeyChanged, "acme", "k1"}); at != nil && asOf.After(*at) && !told {
				early.Add(1)
			}
		}
		watches[i] = startWatch(t, s, w)
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		_ = p.s.Commit(context.Background(), mutation(newKey("acme", "k1"))) // only when it returns matters
	}()
	select {
	case <-blocked:
	case <-time.After(patience()):
		t.Fatal("no watcher was told")
	}
	// Fresh may wait for the slow sink, so its absence is no failure.
	enough, cancel := context.WithTimeout(context.Background(), min(patience(), 1500*time.Millisecond))
	defer cancel()
	for _, w := range watches {
		w.awaitOr(enough, func() bool { return w.asOf.After(*since.Load()) })
	}
	unblock()
	<-finished
	if n := early.Load(); n > 0 {
		t.Errorf("%d times Fresh spoke for a change that its watcher had not been told of", n)
	}
}

// watchEnds: ctx's error, and not one call afterwards, while commits go on.
func watchEnds(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	var stop atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for !stop.Load() {
			if err := s.Commit(context.Background(), mutation(k)); err != nil {
				t.Errorf("Commit: %v", err)
				return
			}
			k.Version++
		}
	})
	for range 5 {
		w := startWatch(t, s, newWatch())
		if err := w.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v, want the context's error", err)
		}
	}
	stop.Store(true)
	writer.Wait()
	last := startWatch(t, s, newWatch())
	_ = last.stop()
	p.commit(mutation(k))
	if _, told := last.version(keySubject(k)); told {
		t.Errorf("a watcher was told after its Watch had returned")
	}
}

// watchersApart: ending one leaves the other.
func watchersApart(t testing.TB, s Store) {
	p := probe{t, s}
	one, other := startWatch(t, s, newWatch()), startWatch(t, s, newWatch())
	_ = one.stop()
	k := newKey("acme", "k1")
	p.commit(mutation(k))
	if _, told := other.version(keySubject(k)); !told {
		t.Errorf("the remaining watcher was not told")
	}
	other.awaitBeats(t, 2)
}

// sinkReads: a sink may read the store that calls it.
func sinkReads(t testing.TB, s Store) {
	p := probe{t, s}
	w := newWatch()
	var failed atomic.Value
	w.onChanged = func(c subject, _ int64) {
		ctx, cancel := context.WithTimeout(context.Background(), patience())
		defer cancel()
		_, err := s.KeyByLookup(ctx, "lookup-"+c.id)
		_, _, err2 := s.ListKeys(ctx, storage.Query{Organisation: c.organisation, Now: noon})
		_, _, err3 := s.Entries(ctx, storage.Query{Organisation: c.organisation})
		if err := errors.Join(err, err2, err3); err != nil {
			failed.Store(err)
		}
	}
	startWatch(t, s, w)
	promptly(t, "Commit with a sink that reads", func() {
		for i := range 5 {
			if err := s.Commit(context.Background(), mutation(newKey("acme", fmt.Sprint("k", i)))); err != nil {
				failed.Store(err)
			}
		}
		together(16, func(i int) error {
			return p.s.Commit(context.Background(), mutation(newKey("acme", fmt.Sprint("many", i))))
		})
	})
	if err := failed.Load(); err != nil {
		t.Errorf("reading from a sink: %v", err)
	}
}

// pairCases: a watcher of one value, changes through the other.
var pairCases = []check[pair]{
	{"AcrossValues", acrossValues},
	{"BarrierAcrossValues", barrier},
}

// acrossValues: what one value changes is read through the other at once, and
// reaches its watchers by the next Fresh that speaks for it.
func acrossValues(t testing.TB, p pair) {
	w := startWatch(t, p.here, newWatch())
	there := probe{t, p.there}
	k := there.create(newKey("acme", "k1"))[0]
	k.Revoked = noon
	there.commit(mutation(k))
	k.Version++
	returned := time.Now()
	got, err := p.here.KeyByLookup(t.Context(), k.Lookup)
	if err != nil || got.Revoked.IsZero() {
		t.Errorf("a revocation is read through the other value at once; got %+v, %v", got, err)
	}
	w.await(t, "Fresh after a revocation through the other value", func() bool { return w.asOf.After(returned) })
	if v, told := w.version(keySubject(k)); !told || v != 0 && v != k.Version {
		t.Errorf("the other value's watcher was told: %v, version %d; want version %d", told, v, k.Version)
	}
}
