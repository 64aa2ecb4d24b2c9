// Package verify compares what it costs to let a request with a known key
// through: with Strikeplate, and with the two things that teams build by hand.
//
// Each is middleware over the same handler, among the same number of keys. They
// don't do the same: see each for what it leaves out.
package verify_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// Of as many keys as the service knows, some take turns.
const (
	known = 10_000
	used  = 64
)

// owner is the handler's question of who calls.
type owner func(*http.Request) string

// BenchmarkStrikeplate adds what the others lack: revocation and a lapsed
// subscription count at once on every instance, allowlists, scopes, a request
// id, the client's address. The keys are hashed cheaply, which only shortens the
// preparation: what is measured comes after the hash was paid.
func BenchmarkStrikeplate(b *testing.B) {
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "key_"}}, TagKeys: [][]byte{[]byte(rand.Text() + rand.Text())},
		Hashing: keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true},
	})
	if err != nil {
		b.Fatal(err)
	}
	store := memory.New()
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = keys.Close(context.Background()) })
	if err := store.PutAccount(b.Context(), storage.Account{Organisation: "acme"}); err != nil {
		b.Fatal(err)
	}
	var texts []string
	for range known {
		texts = append(texts, issue(b, scheme, store))
		if _, err := keys.Verify(b.Context(), texts[len(texts)-1], netip.Addr{}); err != nil {
			b.Fatal(err)
		}
	}
	run(b, strikeplate.Edge{}.Handler(strikeplate.Require(keys)(handler(func(r *http.Request) string {
		p, _ := strikeplate.FromContext(r.Context())
		return p.Organisation
	}))), texts)
}

func issue(b *testing.B, scheme *keyauth.Scheme, store *memory.Store) (text string) {
	b.Helper()
	m, err := scheme.Mint(b.Context(), "key_", strikeplate.Live)
	if err != nil {
		b.Fatal(err)
	}
	id, now := rand.Text(), time.Now()
	if err := store.Commit(b.Context(), storage.Mutation{Now: now, Put: []storage.Key{{
		ID: id, Lineage: id, Lookup: m.Lookup, Organisation: "acme", Format: m.Format, Environment: m.Environment,
		Access: strikeplate.OrganisationFull, Hash: m.Hash, SecretVersion: 1, Created: now,
	}}, Audit: []storage.Entry{{Organisation: "acme", Action: "key.created", Target: id, At: now}}}); err != nil {
		b.Fatal(err)
	}
	return m.Secret.Reveal()
}

// record is what a team keeps of a key in a table of its own.
type record struct {
	organisation, hash string
	expires            time.Time
	revoked            bool
}

type callerKey struct{}

func callerOf(r *http.Request) string {
	return r.Context().Value(callerKey{}).(*record).organisation
}

// table is the keys of a service that is written by hand.
type table[Name comparable] struct {
	mu   sync.RWMutex
	keys map[Name]*record
}

// guard lets requests through whose key find knows.
func guard(find func(text string) *record, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		k := find(text)
		if k == nil || k.revoked || !time.Now().Before(k.expires) {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, k)))
	})
}

func (t *table[Name]) get(name Name) *record {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.keys[name]
}

// BenchmarkHandRolledSHA256 finds the key by its digest. The digest is all that
// protects the secrets at rest, and nothing tells other instances of a change.
func BenchmarkHandRolledSHA256(b *testing.B) {
	t := &table[[sha256.Size]byte]{keys: make(map[[sha256.Size]byte]*record)}
	digest := func(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }
	var texts []string
	for range known {
		texts = append(texts, "key_"+rand.Text()+rand.Text())
		t.keys[digest(texts[len(texts)-1])] = &record{organisation: "acme", expires: time.Now().Add(time.Hour)}
	}
	run(b, guard(func(text string) *record { return t.get(digest(text)) }, handler(callerOf)), texts)
}

// BenchmarkArgon2idEachRequest finds the key by its id and hashes the secret,
// with the parameters that Strikeplate has by default.
func BenchmarkArgon2idEachRequest(b *testing.B) {
	const prefix, id = len("key_"), 11
	t := &table[string]{keys: make(map[string]*record)}
	params := argon2id.Params{Memory: 12288, Iterations: 3, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	secret := rand.Text()
	hash, err := argon2id.CreateHash(secret, &params)
	if err != nil {
		b.Fatal(err)
	}
	var texts []string
	for range known { // one secret for all: making 10,000 hashes would take minutes
		texts = append(texts, "key_"+rand.Text()[:id]+secret)
		t.keys[texts[len(texts)-1][prefix:prefix+id]] = &record{organisation: "acme", hash: hash, expires: time.Now().Add(time.Hour)}
	}
	run(b, guard(func(text string) *record {
		if len(text) < prefix+id {
			return nil
		}
		k := t.get(text[prefix : prefix+id])
		if k == nil {
			return nil
		}
		if ok, err := argon2id.ComparePasswordAndHash(text[prefix+id:], k.hash); err != nil || !ok {
			return nil
		}
		return k
	}, handler(callerOf)), texts)
}

// handler does nothing but ask who calls.
func handler(who owner) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who(r) != "acme" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
}

// run sends requests with some of the keys, and fails if one is refused.
func run(b *testing.B, h http.Handler, texts []string) {
	b.Helper()
	var requests []*http.Request
	for _, text := range texts[:used] {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+text)
		requests = append(requests, r)
	}
	w := &discard{header: make(http.Header)}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		h.ServeHTTP(w, requests[i%used])
		i++
	}
	if w.status != 0 && w.status != http.StatusOK {
		b.Fatalf("a request was answered %d", w.status)
	}
}

// discard is a ResponseWriter that costs nothing. It keeps the worst status.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = max(d.status, status) }
