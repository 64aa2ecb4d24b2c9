package redis_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/redis"
)

var secret = bytes.Repeat([]byte{7}, 32)

func connect(t testing.TB, url string) *goredis.Client {
	t.Helper()
	options, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled = true
	options.MaxRetries = -1
	client := goredis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newProofs(t testing.TB, client goredis.UniversalClient) *redis.Proofs {
	t.Helper()
	p, err := redis.NewProofs(redis.Config{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProofs(t *testing.T) {
	server := redistest.Start(t)
	client := connect(t, server.URL())
	p := newProofs(t, client)
	ctx := t.Context()
	name, value := []byte("name \x00\xff"), []byte("value \x00\xff")

	if got, err := p.Get(ctx, name); got != nil || err != nil {
		t.Errorf("nothing there: %q, %v", got, err)
	}
	if err := p.Put(ctx, name, value, time.Hour); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Get(ctx, name); !bytes.Equal(got, value) || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := p.Get(ctx, name[:4]); got != nil || err != nil {
		t.Errorf("another name: %q, %v", got, err)
	}
	keys, err := client.Keys(ctx, "*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	if ttl := client.TTL(ctx, keys[0]).Val(); ttl <= 59*time.Minute || ttl > time.Hour {
		t.Errorf("it expires in %v, want an hour", ttl)
	}
	if err := p.Put(ctx, name, value, 0); err == nil {
		t.Error("a proof for ever was taken")
	}
	// What others may have put there.
	if err := client.Set(ctx, keys[0], bytes.Repeat([]byte("x"), 1<<20), 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Get(ctx, name); len(got) > 1<<10 || err != nil {
		t.Errorf("of a megabyte came %d bytes, %v", len(got), err)
	}
	client.Del(ctx, keys[0])
	client.SAdd(ctx, keys[0], "member")
	if _, err := p.Get(ctx, name); err == nil {
		t.Error("a set was taken for a proof")
	}
}

func TestConfig(t *testing.T) {
	deaf := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1"})
	t.Cleanup(func() { _ = deaf.Close() })
	for name, c := range map[string]redis.Config{"no client": {}, "a client that heeds no deadline": {Client: deaf}} {
		if _, err := redis.NewProofs(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// fleet is records and a Scheme that several Authenticators share.
type fleet struct {
	store  *memory.Store
	scheme *keyauth.Scheme
}

func schemeConfig(hashing keyauth.Hashing) keyauth.SchemeConfig {
	return keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "key_"}}, TagKeys: [][]byte{bytes.Repeat([]byte{9}, 32)}, Hashing: hashing,
	}
}

func newFleet(t testing.TB, hashing keyauth.Hashing) *fleet {
	t.Helper()
	scheme, err := keyauth.NewScheme(schemeConfig(hashing))
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{store: memory.New(), scheme: scheme}
	t.Cleanup(func() { _ = f.store.Close(context.Background()) })
	if err := f.store.PutAccount(t.Context(), storage.Account{Organisation: "acme", Plan: "pro"}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fleet) issue(t testing.TB) string {
	t.Helper()
	m, err := f.scheme.Mint(t.Context(), "key_", strikeplate.Live)
	if err != nil {
		t.Fatal(err)
	}
	id, now := rand.Text(), time.Now()
	if err := f.store.Commit(t.Context(), storage.Mutation{Now: now, Put: []storage.Key{{
		ID: id, Lineage: id, Lookup: m.Lookup, Organisation: "acme", Format: m.Format, Environment: m.Environment,
		Access: strikeplate.OrganisationFull, Hash: m.Hash, SecretVersion: 1, Created: now,
	}}, Audit: []storage.Entry{{Organisation: "acme", Action: "key.created", Target: id, At: now}}}); err != nil {
		t.Fatal(err)
	}
	return m.Secret.Reveal()
}

// instance starts an Authenticator with empty caches; a nil store shares nothing.
func (f *fleet) instance(t testing.TB, store keyauth.ProofStore) *keyauth.Authenticator {
	t.Helper()
	c := keyauth.Config{Scheme: f.scheme, Keys: f.store, Directory: f.store, Feed: f.store}
	if store != nil {
		c.Cache.Shared = &keyauth.Shared{Store: store, Secret: secret}
	}
	a, err := keyauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a
}

var cheap = keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true}

func shared(a *keyauth.Authenticator) uint64 { return a.Stats().SharedHits }

// TestRestartOfAFleet: what one instance proved, no other hashes.
func TestRestartOfAFleet(t *testing.T) {
	server := redistest.Start(t)
	client := connect(t, server.URL())
	f := newFleet(t, cheap)
	first := f.instance(t, newProofs(t, client))
	const n = 50
	var keys []string
	for range n {
		keys = append(keys, f.issue(t))
		if _, err := first.Verify(t.Context(), keys[len(keys)-1], netip.Addr{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Close(t.Context()); err != nil { // which waits until all are stored
		t.Fatal(err)
	}
	before := first.Stats().Hashes
	second := f.instance(t, newProofs(t, client))
	for _, key := range keys {
		if _, err := second.Verify(t.Context(), key, netip.Addr{}); err != nil {
			t.Fatal(err)
		}
	}
	if hashed := second.Stats().Hashes - before; hashed != 0 || shared(second) != n {
		t.Errorf("%d of %d keys were hashed again, %d were shared", hashed, n, shared(second))
	}
}

// TestRedisDown: one that is killed, paused or never there costs bounded time, and
// no key its answer.
func TestRedisDown(t *testing.T) {
	server := redistest.Start(t)
	client := connect(t, server.URL())
	f := newFleet(t, cheap)
	a := f.instance(t, newProofs(t, client))
	verify := func(what string, n int, within time.Duration) {
		t.Helper()
		var slowest time.Duration
		for range n {
			key := f.issue(t)
			began := time.Now()
			if _, err := a.Verify(t.Context(), key, netip.Addr{}); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			slowest = max(slowest, time.Since(began))
		}
		if slowest > within {
			t.Errorf("%s: the slowest of %d keys waited %v", what, n, slowest)
		}
	}
	verify("with Redis", 5, 5*time.Second)
	server.Pause()
	verify("while Redis is paused", 10, 2*time.Second)
	if a.Stats().SharedFailed == 0 {
		t.Error("no failure was counted while Redis was paused")
	}
	server.Resume()
	server.Kill()
	verify("while Redis is down", 10, 2*time.Second)
	server.Restart(t)
	before := a.Stats().SharedMisses
	deadline := time.Now().Add(20 * time.Second)
	for a.Stats().SharedMisses == before {
		verify("after Redis came back", 1, 5*time.Second)
		if time.Now().After(deadline) {
			t.Fatal("Redis is never asked again")
		}
	}
}

// BenchmarkColdStart is an instance with empty caches to which many holders come at
// once: with proofs that others shared, and without, when each key costs a hash at
// the default cost. A holder whose key can't be checked at once asks again.
func BenchmarkColdStart(b *testing.B) {
	with, without := 5000, 100
	if testing.Short() {
		with, without = 500, 20
	}
	client := connect(b, redistest.Start(b).URL())
	b.Run(fmt.Sprintf("keys=%d/shared=true", with), func(b *testing.B) {
		f := newFleet(b, cheap) // what is measured hashes nothing
		warm := f.instance(b, newProofs(b, client))
		keys := f.keys(b, with)
		for _, key := range keys {
			if _, err := warm.Verify(b.Context(), key, netip.Addr{}); err != nil {
				b.Fatal(err)
			}
		}
		_ = warm.Close(b.Context()) // which waits until all are stored
		hashes := warm.Stats().Hashes
		letIn(b, keys, func() *keyauth.Authenticator { return f.instance(b, newProofs(b, client)) })
		// Of a Redis that doesn't answer in time nobody waits; the key is hashed then.
		b.ReportMetric(float64(warm.Stats().Hashes-hashes)/float64(b.N), "hashes/op")
	})
	b.Run(fmt.Sprintf("keys=%d/shared=false", without), func(b *testing.B) {
		f := newFleet(b, keyauth.Hashing{})
		letIn(b, f.keys(b, without), func() *keyauth.Authenticator { return f.instance(b, nil) })
	})
}

func (f *fleet) keys(b *testing.B, n int) (keys []string) {
	b.Helper()
	for range n {
		keys = append(keys, f.issue(b))
	}
	return keys
}

// letIn measures until a new instance has let every key in, of which 64 at a time ask.
func letIn(b *testing.B, keys []string, instance func() *keyauth.Authenticator) {
	b.Helper()
	for b.Loop() {
		cold := instance()
		var holders sync.WaitGroup
		for worker := range 64 {
			holders.Go(func() {
				for i := worker; i < len(keys); i += 64 {
					for {
						if _, err := cold.Verify(b.Context(), keys[i], netip.Addr{}); err == nil {
							break
						}
					}
				}
			})
		}
		holders.Wait()
	}
	b.ReportMetric(float64(len(keys)*b.N)/b.Elapsed().Seconds(), "keys/s")
}
