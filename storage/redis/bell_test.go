package redis_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/redis"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// patience is how long anything may take on a loaded machine.
const patience = time.Minute

func newBell(t testing.TB, client goredis.UniversalClient) *redis.Bell {
	t.Helper()
	b, err := redis.NewBell(redis.Config{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open opens a store that looks for changes when a bell rings.
func open(t testing.TB, url string, bell postgres.Bell) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, Poll: true, Bell: bell})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestFeed(t *testing.T) {
	server := redistest.Start(t)
	client := connect(t, server.URL())
	storagetest.RunFeed(t, func(t *testing.T) (here, there storagetest.Store) {
		url := pgtest.Database(t) + "&pool_max_conns=64"
		return open(t, url, newBell(t, client)), open(t, url, newBell(t, client))
	})
}

// sink counts what it is told.
type sink struct {
	mu      sync.Mutex
	changed map[string]time.Time // when each id was told of first
	asOf    time.Time
	fresh   int
	lost    int
}

func (s *sink) Changed(_ storage.Subject, _, id string, _ int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.changed[id]; !ok {
		s.changed[id] = time.Now()
	}
}

func (s *sink) Fresh(asOf time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asOf, s.fresh = asOf, s.fresh+1
}

func (s *sink) Lost(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost++
}

func (s *sink) told(id string) (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok = s.changed[id]
	return at, ok
}

func (s *sink) counts() (changed, fresh, lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.changed), s.fresh, s.lost
}

// follow watches a store until the test ends, and returns when that works.
func follow(t testing.TB, store *postgres.Store) *sink {
	t.Helper()
	s := &sink{changed: make(map[string]time.Time)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = store.Watch(ctx, s)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	eventually(t, "the first Fresh", func() bool { _, fresh, _ := s.counts(); return fresh > 0 })
	return s
}

// eventually polls until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited %v until %s", patience, what)
		}
	}
}

// put stores an account, and returns when that was done.
func put(t testing.TB, s *postgres.Store, organisation string) time.Time {
	t.Helper()
	if err := s.PutAccount(t.Context(), storage.Account{Organisation: organisation, Plan: "pro"}); err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

// TestBellWithoutRedis: while there is no Redis, before there is one and after,
// changes arrive by looking, nothing is lost, and no commit waits.
func TestBellWithoutRedis(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	client := connect(t, server.URL())
	url := pgtest.Database(t)
	there := open(t, url, newBell(t, client))
	s := follow(t, open(t, url, newBell(t, client)))
	_, _, lost := s.counts()
	n := 0
	arrives := func(what string) {
		t.Helper()
		for range 3 {
			n++
			began := time.Now()
			done := put(t, there, fmt.Sprint("o", n))
			if took := done.Sub(began); took > 10*time.Second {
				t.Errorf("%s: a commit took %v", what, took)
			}
			eventually(t, what+" a change arrives", func() bool { _, ok := s.told(fmt.Sprint("o", n)); return ok })
			if at, _ := s.told(fmt.Sprint("o", n)); at.Sub(done) > 5*time.Second {
				t.Errorf("%s: a change took %v", what, at.Sub(done))
			}
		}
	}
	arrives("while Redis is down")
	server.Restart(t)
	rung := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var hearing sync.WaitGroup
	hearing.Go(func() {
		_ = newBell(t, client).Hear(ctx, func() {
			select {
			case rung <- struct{}{}:
			default:
			}
		})
	})
	<-rung // it listens
	arrives("after Redis came")
	select {
	case <-rung:
	case <-time.After(patience):
		t.Error("nobody rings after Redis came")
	}
	cancel()
	hearing.Wait()
	server.Pause()
	arrives("while Redis is paused")
	server.Resume()
	server.Kill()
	arrives("while Redis is down again")
	if _, _, now := s.counts(); now != lost {
		t.Errorf("Lost came %d times for Redis's sake", now-lost)
	}
}

// shout publishes what a forger may, until stop: much, large, and in the words of the
// feed. It returns how many messages it sent.
func shout(t testing.TB, client *goredis.Client, key string) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var sent atomic.Int64
	var shouting sync.WaitGroup
	for i := range 4 {
		shouting.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				message := []string{"", `["key","acme","` + key + `",1]`, `["lost"]`, strings.Repeat("x", 1<<16), "\x00\xff", "9223372036854775807"}[n%6]
				if client.Publish(ctx, "strikeplate:bell", message).Err() == nil {
					sent.Add(1)
				}
			}
		})
	}
	return func() int {
		cancel()
		shouting.Wait()
		return int(sent.Load())
	}
}

// TestThreat19ForgedRingsCostALook: and no more of them than there is room for,
// tell nothing, lose nothing, and delay nothing that is true.
func TestThreat19ForgedRingsCostALook(t *testing.T) {
	server := redistest.Start(t)
	client := connect(t, server.URL())
	url := pgtest.Database(t)
	there := open(t, url, newBell(t, client))
	s := follow(t, open(t, url, newBell(t, client)))
	_, freshBefore, lostBefore := s.counts()
	began := time.Now()
	stop := shout(t, client, "forged")
	eventually(t, "forged rings were heard", func() bool { _, fresh, _ := s.counts(); return fresh > freshBefore+20 })
	done := put(t, there, "true")
	eventually(t, "what is true arrives among them", func() bool { _, ok := s.told("true"); return ok })
	sent := stop()
	at, _ := s.told("true")
	changed, fresh, lost := s.counts()
	looks, took := fresh-freshBefore, time.Since(began)
	t.Logf("%d forged messages in %v caused %d looks; the true change took %v", sent, took, looks, max(at.Sub(done), 0))
	if most := int(took/(25*time.Millisecond)) + int(took/(400*time.Millisecond)) + 3; looks > most {
		t.Errorf("%d looks in %v, want at most %d", looks, took, most)
	}
	if _, told := s.told("forged"); told || changed != 1 || lost != lostBefore {
		t.Errorf("told of %d changes, want one; Lost came %d times", changed, lost-lostBefore)
	}
}

// member is one instance: a store of its own, and caches that follow it.
func member(t testing.TB, url string, bell postgres.Bell, scheme *keyauth.Scheme) (*postgres.Store, *keyauth.Authenticator) {
	t.Helper()
	store := open(t, url, bell)
	a, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	eventually(t, "the feed is fresh", func() bool { return a.Stats().Fresh })
	return store, a
}

// issued stores a new key of acme's.
func issued(t testing.TB, scheme *keyauth.Scheme, store *postgres.Store, id string) (string, storage.Key) {
	t.Helper()
	m, err := scheme.Mint(t.Context(), "key_", strikeplate.Live)
	if err != nil {
		t.Fatal(err)
	}
	k := storage.Key{ID: id, Lineage: id, Lookup: m.Lookup, Organisation: "acme", Format: m.Format, Environment: m.Environment,
		Access: strikeplate.OrganisationFull, Hash: m.Hash, SecretVersion: 1, Created: time.Now()}
	write(t, store, k)
	k.Version = 1
	return m.Secret.Reveal(), k
}

func write(t testing.TB, store *postgres.Store, k storage.Key) {
	t.Helper()
	now := time.Now()
	if err := store.Commit(t.Context(), storage.Mutation{Now: now, Put: []storage.Key{k},
		Audit: []storage.Entry{{Organisation: "acme", Action: "key.changed", Target: k.ID, At: now}}}); err != nil {
		t.Fatal(err)
	}
}

// TestThreat19RingsGrantNothing: while somebody floods the bell, a revoked key is
// refused at another instance within the bound, and stays refused; and when
// PostgreSQL no longer answers, nothing that is rung keeps caches fresh.
func TestThreat19RingsGrantNothing(t *testing.T) {
	db := pgtest.Start(t)
	client := connect(t, redistest.Start(t).URL())
	scheme := newFleet(t, cheap).scheme
	here, _ := member(t, db.URL(), newBell(t, client), scheme)
	_, a := member(t, db.URL(), newBell(t, client), scheme)
	put(t, here, "acme")
	text, k := issued(t, scheme, here, "k1")
	kept, _ := issued(t, scheme, here, "k2")
	accepted := func(text string) bool { _, err := a.Verify(t.Context(), text, netip.Addr{}); return err == nil }
	eventually(t, "both keys are accepted", func() bool { return accepted(text) && accepted(kept) })

	stop := shout(t, client, "k1")
	defer func() { stop() }()
	k.Revoked, k.RevokedBecause = time.Now(), "test"
	write(t, here, k)
	done := time.Now()
	eventually(t, "the revoked key is refused", func() bool { return !accepted(text) })
	if took := time.Since(done); took > 3*time.Second {
		t.Errorf("the revoked key was accepted for %v", took)
	}
	for range 500 {
		if accepted(text) {
			t.Fatal("a revoked key came back to life")
		}
	}
	db.Pause()
	paused := time.Now()
	eventually(t, "caches know that they are stale", func() bool { return !a.Stats().Fresh })
	if took := time.Since(paused); took > 3*time.Second {
		t.Errorf("rings kept caches fresh for %v without PostgreSQL", took)
	}
	db.Resume()
	eventually(t, "it mends by itself", func() bool { return a.Stats().Fresh && accepted(kept) })
	if accepted(text) {
		t.Error("a revoked key came back to life")
	}
}

func TestBellConfig(t *testing.T) {
	if _, err := redis.NewBell(redis.Config{}); err == nil {
		t.Error("no client was taken")
	}
	client := connect(t, redistest.Start(t).URL())
	_ = client.Close()
	b := newBell(t, client)
	if err := b.Ring(t.Context()); err == nil {
		t.Error("a closed client rang")
	}
}

// BenchmarkRevocation is from the return of Commit at one instance until another has
// been told, in all the ways that news travels, taking turns.
func BenchmarkRevocation(b *testing.B) {
	url := pgtest.Database(b)
	client := connect(b, redistest.Start(b).URL())
	listens := func(bell postgres.Bell) *postgres.Store {
		s, err := postgres.Open(b.Context(), postgres.Config{URL: url, Bell: bell})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close(context.Background()) })
		return s
	}
	here := listens(newBell(b, client))
	watchers := []struct {
		name  string
		sink  *sink
		delay []time.Duration
	}{
		{name: "listen", sink: follow(b, listens(nil))},
		{name: "bell", sink: follow(b, open(b, url, newBell(b, client)))},
		{name: "poll", sink: follow(b, open(b, url, nil))},
	}
	n := 0
	for b.Loop() {
		n++
		id := fmt.Sprint("o", n)
		done := put(b, here, id)
		for i := range watchers {
			w := &watchers[i]
			eventually(b, w.name, func() bool { _, ok := w.sink.told(id); return ok })
			at, _ := w.sink.told(id)
			w.delay = append(w.delay, max(at.Sub(done), 0))
		}
	}
	for _, w := range watchers {
		report(b, w.name, w.delay)
	}
}

// report gives the median and the ninety-ninth of a hundred.
func report(b *testing.B, name string, delays []time.Duration) {
	b.Helper()
	slices.Sort(delays)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(ms(delays[len(delays)/2]), name+"-p50-ms")
	b.ReportMetric(ms(delays[len(delays)*99/100]), name+"-p99-ms")
}
