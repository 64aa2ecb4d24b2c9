package keyauth_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

const organisations = 1000

// BenchmarkCapacity says what an Authenticator holds for each proven key. It
// fails where 100,000 keys of 1,000 organisations take more than 80 MiB.
func BenchmarkCapacity(b *testing.B) {
	const keys, most = 100_000, 80 << 20
	s, texts := populated(b, keys)
	for b.Loop() {
		held := heldFor(b, s, texts)
		b.ReportMetric(float64(held)/keys, "B/key")
		b.ReportMetric(float64(held)/(1<<20), "MiB")
		if held > most {
			b.Errorf("%d MiB for %d keys, want at most %d", held>>20, keys, most>>20)
		}
	}
}

// heldFor starts an Authenticator, proves all keys, and returns what the heap
// gained by it. The store and the texts were there before.
func heldFor(b *testing.B, s *service, texts []string) int64 {
	b.Helper()
	before := heap()
	auth, err := keyauth.New(keyauth.Config{Scheme: s.scheme, Keys: s.store, Directory: s.store, Feed: s.store})
	if err != nil {
		b.Fatal(err)
	}
	waitUntil(b, "the feed is fresh", func() bool { return auth.Stats().Fresh })
	use(b, auth, texts)
	held := heap() - before

	// All of it counts only if all of it is remembered.
	stats := auth.Stats()
	use(b, auth, texts)
	if after := auth.Stats(); after.Hashes != stats.Hashes || after.Reads != stats.Reads || stats.Proven != len(texts) {
		b.Errorf("of %d keys %d are proven; using all again took %d hashes and %d reads", len(texts), stats.Proven,
			after.Hashes-stats.Hashes, after.Reads-stats.Reads)
	}
	runtime.KeepAlive(texts)
	wantNoError(b, auth.Close(context.Background()))
	return held
}

// Whatever number of keys is used, no more than Cache.Entries are remembered,
// and those that were forgotten are verified anew.
func TestCacheIsBounded(t *testing.T) {
	const entries = 500
	s, texts := populated(t, 2*entries)
	auth, err := keyauth.New(keyauth.Config{Scheme: s.scheme, Keys: s.store, Directory: s.store, Feed: s.store,
		Cache: keyauth.Cache{Entries: entries}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for some := range slices.Chunk(texts, 100) {
			use(t, auth, some)
			// Evictions follow a moment later, on a goroutine of the cache's own.
			waitUntil(t, "the cache is within its bound", func() bool { return auth.Stats().Proven <= entries })
		}
	}
	if proven := auth.Stats().Proven; proven < entries/2 {
		t.Errorf("%d keys are remembered, %d could be", proven, entries)
	}
	wantNoError(t, auth.Close(t.Context()))
}

// populated is a service with n keys in its store, of [organisations] in turn,
// and their texts. All have the same secret's hash: only look-ups tell them
// apart, and minting each would take minutes under the race detector.
func populated(t testing.TB, n int) (*service, []string) {
	t.Helper()
	scheme, err := keyauth.NewScheme(mavio())
	if err != nil {
		t.Fatal(err)
	}
	s := &service{store: memory.New(), scheme: scheme}
	t.Cleanup(func() { wantNoError(t, s.store.Close(context.Background())) })
	for i := range organisations {
		s.account(t, storage.Account{Organisation: organisation(i), Plan: "pro", Settings: map[string]any{"private_via_api": true}})
	}
	m, err := scheme.Mint(t.Context(), "mvo_", strikeplate.Live)
	if err != nil {
		t.Fatal(err)
	}
	secret := m.Secret.Reveal()
	texts := make([]string, n)
	for i := range texts {
		id := "key_" + rand.Text()
		lookup := fmt.Sprintf("%011d", i)
		texts[i] = keyauth.Seal(scheme, "mvo_live_"+lookup+secret[len("mvo_live_")+11:len("mvo_live_")+38])
		s.put(t, storage.Key{
			ID: id, Lookup: lookup, Lineage: id, Organisation: organisation(i % organisations), Name: "Zapier integration",
			Last4: texts[i][len(texts[i])-4:], Format: m.Format, Environment: m.Environment,
			Access: strikeplate.OrganisationLimited, Scopes: []string{"meetings:read", "notes:read", "tasks:write"},
			Creator: "user_1", Hash: m.Hash, SecretVersion: 1, Created: time.Now(),
		})
	}
	return s, texts
}

func organisation(i int) string { return fmt.Sprintf("org_%06d", i) }

func use(t testing.TB, auth *keyauth.Authenticator, texts []string) {
	t.Helper()
	for _, text := range texts {
		if _, err := auth.Verify(t.Context(), text, client); err != nil {
			t.Fatal(err)
		}
	}
}

// heap is what is reachable: the second collection frees what the first one's
// finalizers held.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
