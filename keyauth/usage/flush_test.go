package usage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

// TestManyRequests: 4 instances on one store count requests that go through a
// handler, with 8 callers each: 200,000, or as many as -requests says. One is
// closed half-way and replaced.
func TestManyRequests(t *testing.T) {
	n := max(200_000, *fleetRequests)
	if testing.Short() {
		n = 50_000
	}
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "usage.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close(context.Background()) }()
	const instances, callers, keys = 4, 8, 16
	var principals [keys]*strikeplate.Principal
	for i := range principals {
		principals[i] = principal("acme", fmt.Sprint("k", i))
	}
	instance := func() (*usage.Counter, http.Handler) {
		counter := counting(t, usage.Config{Store: store, Every: 200 * time.Millisecond})
		mux := http.NewServeMux()
		mux.HandleFunc("GET /v1/things/{id}", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("GET /v1/missing/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
		who := authenticator(func(r *http.Request) *strikeplate.Principal {
			return principals[int(r.Header["X-Key"][0][0]-'a')]
		})
		return counter, strikeplate.Edge{Done: []func(*strikeplate.Exchange){counter.Observe}}.Handler(strikeplate.Require(who)(mux))
	}
	share := n / (instances + 1) / (4 * callers) * (4 * callers)
	began := time.Now()
	var all sync.WaitGroup
	serve := func() {
		counter, handler := instance()
		var callersDone sync.WaitGroup
		for c := range callers {
			callersDone.Go(func() {
				for i := range share / callers {
					path := "/v1/things/7"
					if i%4 == 0 {
						path = "/v1/missing/7"
					}
					r := httptest.NewRequest(http.MethodGet, path, nil)
					r.Header["X-Key"] = []string{string(rune('a' + (i+c)%keys))}
					handler.ServeHTTP(nowhere{}, r)
				}
			})
		}
		callersDone.Wait()
		shut(t, counter)
		if st := counter.Stats(); st.Stored != int64(share) || st.Dropped != 0 || st.Others != 0 {
			t.Errorf("an instance's stats: %+v", st)
		}
	}
	for i := range instances {
		all.Go(func() {
			serve()
			if i == 0 { // its successor
				serve()
			}
		})
	}
	all.Wait()
	total := int64(share) * (instances + 1)
	reader := counting(t, slow(store))
	got := classes(t, reader, lately("acme", ""))
	t.Logf("%d requests in %v", total, time.Since(began).Round(time.Millisecond))
	if got[2]+got[4] != total || got[4] != total/4 {
		t.Errorf("counted %v, want %d, a quarter of them 404", got, total)
	}
	var sum int64
	for i := range keys {
		sum += endpoints(t, reader, lately("acme", fmt.Sprint("k", i)))["GET /v1/things/{id}"]
	}
	if sum != total*3/4 {
		t.Errorf("%d on the route by key, want %d", sum, total*3/4)
	}
}

type authenticator func(*http.Request) *strikeplate.Principal

func (a authenticator) Authenticate(r *http.Request) (*strikeplate.Principal, error) {
	return a(r), nil
}

// nowhere is a response that nobody reads.
type nowhere struct{}

func (nowhere) Header() http.Header         { return make(http.Header) }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

// TestStoredByItself: every interval, without anybody's doing.
func TestStoredByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		counter := counting(t, usage.Config{Store: store})
		k := principal("acme", "k1")
		for range 3 {
			counter.Count(request(k, time.Now()))
			time.Sleep(10 * time.Second) // of the bubble's clock
			synctest.Wait()
		}
		q := lately("acme", "k1")
		want(t, "classes", [6]int64{2: 3}, classes(t, counter, q))
		counter.Count(request(k, time.Now()))
		shut(t, counter)
		want(t, "classes after Close", [6]int64{2: 4}, classes(t, counter, q))
		counter.Count(request(k, time.Now()))
		shut(t, counter)
		want(t, "classes of what came after", [6]int64{2: 4}, classes(t, counter, q))
		if st := counter.Stats(); st.Dropped != 1 {
			t.Errorf("%d dropped, want the one after Close", st.Dropped)
		}
	})
}

// TestLostReplies: the store commits, and the answer is lost; also several times.
func TestLostReplies(t *testing.T) {
	store := memory.New()
	r := rand.New(rand.NewPCG(3, 4))
	var lost, failed int
	counter := counting(t, slow(&failing{Usage: store,
		before: func(storage.UsageBatch) error {
			if r.IntN(3) == 0 {
				failed++
				return errDown
			}
			return nil
		},
		after: func(storage.UsageBatch) error {
			if r.IntN(2) == 0 {
				lost++
				return errors.New("the reply is lost")
			}
			return nil
		}}))
	const n = 200
	for i := range n {
		counter.Count(request(principal("acme", fmt.Sprint("k", i%3)), time.Now()))
		_ = counter.Flush(t.Context())
	}
	for counter.Flush(t.Context()) != nil {
	}
	want(t, "classes", [6]int64{2: n}, classes(t, counter, lately("acme", "")))
	if lost < 20 || failed < 20 {
		t.Errorf("%d replies were lost and %d calls failed: too few to tell", lost, failed)
	}
	if st := counter.Stats(); st.Stored != n || st.Failures != int64(lost+failed) || st.Dropped != 0 || st.Failing != "" {
		t.Errorf("stats: %+v", st)
	}
}

// TestBatchesDoNotChange: what is sent again is what was sent before.
func TestBatchesDoNotChange(t *testing.T) {
	store := memory.New()
	var sent []storage.UsageBatch
	fail := true
	clock := newClock()
	config := slow(&failing{Usage: store, before: func(b storage.UsageBatch) error {
		sent = append(sent, b)
		if fail && len(b.Rows) > 0 {
			return errDown
		}
		return nil
	}})
	config.Now = clock.now
	counter := counting(t, config)
	for range 3 {
		counter.Count(request(principal("acme", "k1"), noon))
		if err := counter.Flush(t.Context()); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		clock.advance(time.Minute)
	}
	var same []storage.UsageBatch
	for _, b := range sent {
		if b.Sequence == sent[len(sent)-1].Sequence {
			same = append(same, b)
		}
	}
	if len(same) != 3 {
		t.Fatalf("%d attempts of the last batch, want 3", len(same))
	}
	want(t, "the second attempt", same[0], same[1])
	want(t, "the third attempt", same[0], same[2])
	fail = false
	flush(t, counter)
	want(t, "classes", [6]int64{2: 3}, classes(t, counter, storage.UsageQuery{Organisation: "acme", From: noon, To: noon.Add(time.Hour)}))
}

// TestDeadStore: counts wait up to the bound, then routes are one, then they are
// dropped, and both are told: once.
func TestDeadStore(t *testing.T) {
	store := memory.New()
	var down atomic.Bool
	var log bytes.Buffer
	config := slow(&failing{Usage: store, before: func(storage.UsageBatch) error {
		if down.Load() {
			return errDown
		}
		return nil
	}})
	config.Keys, config.Rows = 64, 64
	config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	clock := newClock()
	config.Now = clock.now
	counter := counting(t, config)
	flush(t, counter)
	down.Store(true)
	k := principal("acme", "k1")
	const minutes = 300
	for range minutes {
		counter.Count(request(k, clock.now()))
		if err := counter.Flush(t.Context()); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		clock.advance(time.Minute)
	}
	st := counter.Stats()
	if st.Requests != minutes || st.Stored != 0 || st.Dropped == 0 || st.Dropped > minutes-64 || st.Pending != minutes-st.Dropped || !strings.Contains(st.Failing, "down") {
		t.Errorf("while it is down: %+v", st)
	}
	down.Store(false)
	flush(t, counter)
	flush(t, counter)
	after := counter.Stats()
	if after.Stored != minutes-st.Dropped || after.Pending != 0 || after.Failing != "" {
		t.Errorf("after it is back: %+v", after)
	}
	q := storage.UsageQuery{Organisation: "acme", From: noon, To: noon.Add(day), Step: storage.PerHour}
	want(t, "classes", [6]int64{2: after.Stored}, classes(t, counter, q))
	if seen, err := counter.Credentials(t.Context(), "acme", []string{"k1"}); err != nil || !seen["k1"].Presented.Equal(noon.Add((minutes-1)*time.Minute)) {
		t.Errorf("last seen: %+v, %v, want the last minute all the same", seen["k1"], err)
	}
	for _, message := range []string{"can't be stored", "dropped uncounted", "stored again"} {
		if n := strings.Count(log.String(), message); n != 1 {
			t.Errorf("the log says %q %d times:\n%s", message, n, log.String())
		}
	}
}

// TestCloseOfADeadStore: says what is lost, and may be called again.
func TestCloseOfADeadStore(t *testing.T) {
	store := memory.New()
	var down atomic.Bool
	counter := counting(t, slow(&failing{Usage: store, before: func(b storage.UsageBatch) error {
		if down.Load() {
			return errDown
		}
		return nil
	}}))
	flush(t, counter)
	down.Store(true)
	for range 7 {
		counter.Count(request(principal("acme", "k1"), time.Now()))
	}
	for range 2 {
		if err := counter.Close(t.Context()); !errors.Is(err, errDown) || !strings.Contains(err.Error(), "7 requests") {
			t.Fatalf("Close: %v", err)
		}
	}
	down.Store(false)
	shut(t, counter)
	shut(t, counter)
	want(t, "classes", [6]int64{2: 7}, classes(t, counter, lately("acme", "")))
	if since, err := store.UsageCompleteSince(t.Context(), "acme", time.Now().Add(day)); err != nil || time.Since(since) > time.Hour || !since.Before(time.Now()) {
		t.Errorf("complete since %v, %v: the instance has ended", since, err)
	}
}

// TestGivenUpInstance: a store that has forgotten an instance gets no batch twice.
func TestGivenUpInstance(t *testing.T) {
	store := memory.New()
	var lose atomic.Bool
	counter := counting(t, slow(&failing{Usage: store, after: func(storage.UsageBatch) error {
		if lose.Load() {
			return errors.New("the reply is lost")
		}
		return nil
	}}))
	forget := func() {
		if _, err := store.PruneUsage(t.Context(), storage.UsageCutoffs{Now: time.Now(), Instances: time.Now().Add(day)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	add := func() { counter.Count(request(principal("acme", "k1"), time.Now())) }
	flush(t, counter)
	add()
	forget()
	flush(t, counter) // never sent before: it goes under a new name
	want(t, "classes", [6]int64{2: 1}, classes(t, counter, lately("acme", "")))
	add()
	lose.Store(true)
	if err := counter.Flush(t.Context()); err == nil {
		t.Fatal("the reply was not lost")
	}
	add()
	forget()
	lose.Store(false)
	flush(t, counter) // sent before: it may be there, so it is not sent again
	want(t, "classes", [6]int64{2: 3}, classes(t, counter, lately("acme", "")))
	if st := counter.Stats(); st.Dropped != 1 {
		t.Errorf("stats: %+v, want one that may be lost", st)
	}
}

// TestCountingRace: requests, flushes, questions and the end, all at once.
func TestCountingRace(t *testing.T) {
	for round := range 5 {
		store := memory.New()
		counter := counting(t, usage.Config{Store: store, Every: 100 * time.Millisecond})
		var sent atomic.Int64
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range 64 {
			all.Go(func() {
				<-start
				for j := range 200 {
					counter.Count(request(principal("acme", fmt.Sprint("k", (i+j)%5)), time.Now()))
					sent.Add(1)
					if j%50 == 25 {
						_ = counter.Flush(context.Background())
						counter.Stats()
					}
				}
				if i == 63 {
					_ = counter.Close(context.Background())
				}
			})
		}
		close(start)
		all.Wait()
		shut(t, counter)
		st := counter.Stats()
		if got := classes(t, counter, lately("acme", ""))[2]; got != st.Stored || got+st.Dropped != sent.Load() {
			t.Fatalf("round %d: of %d requests %d are stored and %d dropped: %+v", round, sent.Load(), got, st.Dropped, st)
		}
	}
}
