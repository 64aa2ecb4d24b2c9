package usage_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// patience is how long anything may take on a loaded machine.
const patience = time.Minute

const day = 24 * time.Hour

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// clock is set by tests.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(noon.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func counting(tb testing.TB, c usage.Config) *usage.Counter {
	tb.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	counter, err := usage.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = counter.Close(ctx)
	})
	usage.Begun(counter)
	return counter
}

// slow is a Config whose batches go when a test flushes.
func slow(store storage.Usage) usage.Config {
	return usage.Config{Store: store, Every: 5 * time.Minute}
}

func flush(tb testing.TB, counter *usage.Counter) {
	tb.Helper()
	if err := counter.Flush(tb.Context()); err != nil {
		tb.Fatalf("Flush: %v", err)
	}
}

func shut(tb testing.TB, counter *usage.Counter) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := counter.Close(ctx); err != nil {
		tb.Fatalf("Close: %v", err)
	}
}

func want(tb testing.TB, what string, want, got any) {
	tb.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// lately is a query about a year around now.
func lately(organisation, credential string) storage.UsageQuery {
	now := time.Now()
	return storage.UsageQuery{Organisation: organisation, Credential: credential, From: now.Add(-300 * day), To: now.Add(day), Step: storage.PerDay}
}

// classes are the sums of a query by the status' first digit.
func classes(tb testing.TB, counter *usage.Counter, q storage.UsageQuery) [6]int64 {
	tb.Helper()
	s, err := counter.Series(tb.Context(), q)
	if err != nil {
		tb.Fatalf("Series: %v", err)
	}
	return s.Total.Class
}

// endpoints are a query's patterns and how many requests each had.
func endpoints(tb testing.TB, counter *usage.Counter, q storage.UsageQuery) map[string]int64 {
	tb.Helper()
	all, err := counter.Endpoints(tb.Context(), q)
	if err != nil {
		tb.Fatalf("Endpoints: %v", err)
	}
	found := make(map[string]int64)
	for _, e := range all {
		found[e.Pattern] = e.Requests()
	}
	return found
}

// codes are refusals by code, those that nobody has proven with a mark.
func codes(tb testing.TB, all []storage.UsageRefusal, err error) map[string]int64 {
	tb.Helper()
	if err != nil {
		tb.Fatalf("refusals: %v", err)
	}
	found := make(map[string]int64)
	for _, r := range all {
		code := r.Code
		if !r.Proven {
			code += "?"
		}
		found[code] += r.Count
	}
	return found
}

// principal is a key of an organisation.
func principal(organisation, id string) *strikeplate.Principal {
	return &strikeplate.Principal{Kind: strikeplate.KindKey, Organisation: organisation, Credential: id, Lineage: "line-" + id, Environment: strikeplate.Live}
}

// request is an observation of one that succeeded.
func request(p *strikeplate.Principal, at time.Time) usage.Observation {
	return usage.Observation{Principal: p, Pattern: "GET /", Status: 200, Elapsed: 20 * time.Millisecond, Client: netip.MustParseAddr("192.0.2.1"), At: at}
}

// service is an API with keys, over HTTP.
type service struct {
	testing.TB
	store   *memory.Store
	manage  *manage.Service
	keys    *keyauth.Authenticator
	counter *usage.Counter
	clock   *clock // of keys, whose present is near the real one
	url     string
	admin   storage.Actor
}

func newService(t testing.TB) *service {
	t.Helper()
	s := &service{TB: t, store: memory.New(), clock: &clock{}, admin: storage.Actor{User: "ada", Organisation: "acme", Role: "admin"}}
	s.clock.nanos.Store(time.Now().UnixNano())
	s.put(storage.Account{Organisation: "acme"})
	s.putUser(storage.User{ID: "ada", Organisation: "acme", Role: "admin", Active: true})
	tagKey := make([]byte, 32)
	_, _ = rand.Read(tagKey)
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "acme_", Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}}},
		TagKeys: [][]byte{tagKey}, Hashing: keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true},
	})
	s.check(err)
	s.keys, err = keyauth.New(keyauth.Config{Scheme: scheme, Keys: s.store, Directory: s.store, Feed: s.store, Now: s.clock.now})
	s.check(err)
	t.Cleanup(func() { _ = s.keys.Close(context.Background()) })
	s.counter = counting(t, slow(s.store))
	s.manage, err = manage.New(manage.Config{Scheme: scheme, Keys: s.store, Directory: s.store, LastUsed: s.counter.LastUsed, Now: s.clock.now, MaxKeys: 100})
	s.check(err)
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *service) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *service) put(a storage.Account) {
	s.Helper()
	s.check(s.store.PutAccount(s.Context(), a))
}

func (s *service) putUser(u storage.User) {
	s.Helper()
	s.check(s.store.PutUser(s.Context(), u))
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/things/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /v1/missing/{id}", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	mux.HandleFunc("GET /v1/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) })
	mux.HandleFunc("GET /v1/stream", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = w.Write([]byte("data: x\n\n"))
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("GET /v1/panics", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("GET /v1/hijacks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	mux.HandleFunc("GET /v1/forbidden", func(w http.ResponseWriter, r *http.Request) {
		strikeplate.Fail(w, r, &strikeplate.Error{Status: 403, Code: strikeplate.CodeScope})
	})
	mux.HandleFunc("GET /v1/left", func(w http.ResponseWriter, r *http.Request) {
		strikeplate.Fail(w, r, &strikeplate.Error{Status: 503, Code: strikeplate.CodeUnavailable, Err: context.Canceled})
	})
	edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){s.counter.Observe}, Logger: slog.New(slog.DiscardHandler)}
	return edge.Handler(s.counter.Browsers(strikeplate.Require(s.keys)(mux)))
}

func (s *service) create(c manage.Creation) manage.Created {
	s.Helper()
	c.Prefix = "acme_"
	if c.Name == "" {
		c.Name = "CI"
	}
	if c.Access == "" {
		c.Access = strikeplate.OrganisationFull
	}
	created, err := s.manage.Create(s.Context(), s.admin, c)
	s.check(err)
	return created
}

// get calls the service n times and returns the last status, 0 where there was no
// answer.
func (s *service) get(n int, key, path string, header ...string) (status int) {
	s.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true}}
	for range n {
		r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.url+path, nil)
		s.check(err)
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := client.Do(r)
		if err != nil {
			status = 0
			continue
		}
		_, _ = bufio.NewReader(res.Body).WriteTo(discard{})
		_ = res.Body.Close()
		status = res.StatusCode
	}
	return status
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// upgrade calls a route that takes the connection over, and waits for its end.
func (s *service) upgrade(key, path string) {
	s.Helper()
	conn, err := net.Dial("tcp", s.url[len("http://"):])
	s.check(err)
	defer conn.Close()
	_, err = conn.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\nAuthorization: Bearer " + key + "\r\n\r\n"))
	s.check(err)
	_, _ = bufio.NewReader(conn).WriteTo(discard{})
}

// counted waits until n requests are counted: the last step of a request comes
// after its answer. It counts as Stats does.
func (s *service) counted(n int64) {
	s.Helper()
	deadline := time.Now().Add(patience)
	for {
		flush(s, s.counter)
		st := s.counter.Stats()
		// With a principal and a refusal a request is in both.
		if got := st.Requests + st.Anonymous + st.Refused; got >= n {
			if got > n {
				s.Fatalf("%d counts, want %d: %+v", got, n, st)
			}
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%d counts did not come: %+v", n, st)
		}
	}
}

// failing is a store whose calls of AddUsage fail as told.
type failing struct {
	storage.Usage
	before, after func(storage.UsageBatch) error
}

var errDown = errors.New("the store is down")

func (f *failing) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	if f.before != nil {
		if err := f.before(b); err != nil {
			return err
		}
	}
	if err := f.Usage.AddUsage(ctx, b); err != nil {
		return err
	}
	if f.after != nil {
		return f.after(b)
	}
	return nil
}
