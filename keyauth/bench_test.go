package keyauth_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// BenchmarkVerifyWarm is the way of nearly every request: header to Principal,
// for keys that were proven before. 64 keys take turns among 10,000 proven ones.
func BenchmarkVerifyWarm(b *testing.B) {
	s, requests := crowd(b)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			p, err := s.auth.Authenticate(requests[i%len(requests)])
			if err != nil {
				b.Error(err)
				return
			}
			sink.Store(p)
		}
	})
}

// BenchmarkVerifyFloor does the least that any verification with a revocable
// cache must: parse, read the clock, look up in a snapshot map, digest, compare.
func BenchmarkVerifyFloor(b *testing.B) {
	_, requests := crowd(b)
	var prefix [32]byte
	type entry struct {
		digest    [32]byte
		expires   time.Time
		principal *strikeplate.Principal
	}
	snapshot := make(map[string]*entry)
	for _, r := range requests {
		text := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		snapshot[text[9:20]] = &entry{digest: blake2b.Sum256(append(prefix[:], text...)),
			expires: time.Now().Add(time.Hour), principal: &strikeplate.Principal{}}
	}
	for i := range 10_000 {
		snapshot[fmt.Sprintf("%011d", i)] = &entry{}
	}
	var current atomic.Pointer[map[string]*entry]
	current.Store(&snapshot)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			fields := requests[i%len(requests)].Header["Authorization"]
			scheme, text, ok := strings.Cut(fields[0], " ")
			if !ok || !strings.EqualFold(scheme, "bearer") || !strings.HasPrefix(text, "mvo_live_") {
				b.Error("unreadable")
				return
			}
			e := (*current.Load())[text[9:20]]
			var buffer [32 + 128]byte
			n := copy(buffer[:], prefix[:])
			n += copy(buffer[n:], text)
			sum := blake2b.Sum256(buffer[:n])
			if e == nil || !bytes.Equal(sum[:], e.digest[:]) || !time.Now().Before(e.expires) {
				b.Error("refused")
				return
			}
			sink.Store(e.principal)
		}
	})
}

var sink atomic.Pointer[strikeplate.Principal]

// BenchmarkMiddlewareWarm adds the Edge and Require: request id, client
// address, context, status.
func BenchmarkMiddlewareWarm(b *testing.B) {
	s, requests := crowd(b)
	r := requests[0]
	h := strikeplate.Edge{}.Handler(strikeplate.Require(s.auth)(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if _, ok := strikeplate.FromContext(r.Context()); !ok {
				b.Error("no principal")
			}
		})))
	w := discard{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkForged refuses keys of the right shape with a made-up checksum, and
// counts that it asked nobody.
func BenchmarkForged(b *testing.B) {
	s := newService(b, nil)
	good := s.mint(b, strikeplate.Live)
	for name, text := range map[string]string{
		"checksum":  good[:len(good)-6] + "AAAAAA",
		"malformed": "mvo_live_" + strings.Repeat("x", 20),
	} {
		b.Run(name, func(b *testing.B) {
			r := bearer(text)
			before := s.auth.Stats()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.auth.Authenticate(r); err == nil {
					b.Fatal("accepted")
				}
			}
			after := s.auth.Stats()
			if n := after.Lookups - before.Lookups + after.Hashes - before.Hashes + after.Reads - before.Reads; n > 0 {
				b.Fatalf("%d look-ups and hashes for forged keys", n)
			}
		})
	}
}

// crowd is a service with 10,000 proven keys, made once, and requests with 64 of
// them.
func crowd(b *testing.B) (*service, []*http.Request) {
	b.Helper()
	crowdOnce.Do(func() {
		store := memory.New()
		scheme, err := keyauth.NewScheme(mavio())
		if err != nil {
			b.Fatal(err)
		}
		auth, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store})
		if err != nil {
			b.Fatal(err)
		}
		s := &service{store: store, scheme: scheme, auth: auth}
		s.account(b, storage.Account{Organisation: "acme", Plan: "pro"})
		waitUntil(b, "the feed is fresh", func() bool { return auth.Stats().Fresh })
		for i := range 10_000 {
			r := bearer(s.mint(b, strikeplate.Live))
			if _, err := auth.Authenticate(r); err != nil {
				b.Fatal(err)
			}
			if i%157 == 0 {
				crowdRequests = append(crowdRequests, r)
			}
		}
		crowdService = s
	})
	return crowdService, crowdRequests
}

var (
	crowdOnce     sync.Once
	crowdService  *service // left running: benchmarks share it
	crowdRequests []*http.Request
)

func bearer(key string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+key)
	return r
}
