package operate_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/operate"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const (
	day      = 24 * time.Hour
	patience = time.Minute // for anything, on a loaded machine
)

// store is what each backend is.
type store interface {
	storage.Keys
	storage.Audit
	storage.EditableDirectory
	storage.Feed
	storage.Operator
	Close(ctx context.Context) error
}

var backends = []struct {
	name string
	open func(t testing.TB) store
}{
	{"memory", func(t testing.TB) store { t.Helper(); return closing(t, memory.New()) }},
	{"sqlite", func(t testing.TB) store {
		t.Helper()
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "keys.db")})
		return opened(t, s, err)
	}},
	{"postgres", func(t testing.TB) store {
		t.Helper()
		s, err := postgres.Open(t.Context(), postgres.Config{URL: pgtest.Database(t)})
		return opened(t, s, err)
	}},
}

func opened(t testing.TB, s store, err error) store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return closing(t, s)
}

func closing(t testing.TB, s store) store {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// each runs a test in a fresh world on every backend.
func each(t *testing.T, run func(t *testing.T, w *world)) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) { run(t, newWorld(t, b.open(t))) })
	}
}

// clock is set by tests.
type clock struct{ micros atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// world is a store with all that works on it.
type world struct {
	testing.TB
	ctx    context.Context
	store  store
	scheme *keyauth.Scheme
	clock  *clock
	*operate.Service
	manage *manage.Service
	admin  storage.Actor // of acme
}

var hmacKey = []byte("the other system's key")

func newScheme(t testing.TB) *keyauth.Scheme {
	t.Helper()
	tagKey := make([]byte, 32)
	_, _ = rand.Read(tagKey)
	until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{
			{Prefix: "new_", Foreign: []keyauth.Foreign{
				{Prefix: "old_", Separator: ".", MinLength: 16, MaxLength: 120, Until: until},
				{Prefix: "whole_", DigestKey: tagKey, DigestOfSHA256: true, MinLength: 16, MaxLength: 120, Until: until},
			}},
		},
		TagKeys: [][]byte{tagKey}, ImportKeys: map[string][]byte{"old": hmacKey},
		Hashing: keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newWorld(t testing.TB, s store) *world {
	t.Helper()
	w := &world{TB: t, ctx: t.Context(), store: s, scheme: newScheme(t), clock: &clock{},
		admin: storage.Actor{User: "ada", Organisation: "acme", Role: "admin", Client: netip.MustParseAddr("192.0.2.7")}}
	w.clock.micros.Store(time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC).UnixMicro())
	w.Service = w.service()
	w.account(storage.Account{Organisation: "acme", Plan: "pro"})
	var err error
	w.manage, err = manage.New(manage.Config{Scheme: w.scheme, Keys: s, Directory: s, MaxKeys: manage.Unlimited, Now: w.clock.now})
	w.must(err)
	return w
}

// service is another operator's service on the same store.
func (w *world) service(change ...func(*operate.Config)) *operate.Service {
	w.Helper()
	c := operate.Config{Scheme: w.scheme, Keys: w.store, Operator: w.store, Directory: w.store, Name: "ops", Now: w.clock.now,
		Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	s, err := operate.New(c)
	w.must(err)
	return s
}

func (w *world) authenticator() *keyauth.Authenticator {
	w.Helper()
	auth, err := keyauth.New(keyauth.Config{Scheme: w.scheme, Keys: w.store, Directory: w.store, Feed: w.store, Now: w.clock.now})
	w.must(err)
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := auth.Close(ctx); err != nil {
			w.Error(err)
		}
	})
	waitUntil(w, "the feed is fresh", func() bool { return auth.Stats().Fresh })
	return auth
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) account(a storage.Account) {
	w.Helper()
	w.must(w.store.PutAccount(w.ctx, a))
}

// create makes a key of acme by its administrator.
func (w *world) create(change ...func(*manage.Creation)) manage.Created {
	w.Helper()
	c := manage.Creation{Name: "CRM Sync", Prefix: "new_", Access: strikeplate.OrganisationFull}
	for _, f := range change {
		f(&c)
	}
	created, err := w.manage.Create(w.ctx, w.admin, c)
	w.must(err)
	return created
}

// stored is a key of acme's record.
func (w *world) stored(id string) storage.Key {
	w.Helper()
	k, err := w.store.Key(w.ctx, "acme", id)
	w.must(err)
	return k
}

// keys are all records of an organisation, newest first.
func (w *world) keys(organisation string) []storage.Key {
	w.Helper()
	var all []storage.Key
	for cursor := ""; ; {
		page, next, err := w.store.ListKeys(w.ctx, storage.Query{Organisation: organisation, Now: w.clock.now(), Cursor: cursor, Limit: 1000})
		w.must(err)
		all = append(all, page...)
		if cursor = next; next == "" {
			return all
		}
	}
}

// entries are an organisation's audit entries of an action, oldest first.
func (w *world) entries(organisation, action string) []storage.Entry {
	w.Helper()
	var found []storage.Entry
	for cursor := ""; ; {
		page, next, err := w.store.Entries(w.ctx, storage.Query{Organisation: organisation, Cursor: cursor, Limit: 1000})
		w.must(err)
		for _, e := range page {
			if e.Action == action {
				found = append(found, e)
			}
		}
		if cursor = next; len(page) == 0 {
			return found
		}
	}
}

// oldKey is a key as the other system knows it.
type oldKey struct {
	row  operate.Row
	text string
}

// newOldKey is the nth key of acme, whose hash is the SHA-256 of its secret in
// hexadecimal.
func newOldKey(n int, change ...func(*operate.Row)) oldKey {
	lookup, secret := fmt.Sprintf("id%08d", n), fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "secret %d", n)))[:40]
	digest := sha256.Sum256([]byte(secret))
	k := oldKey{text: "old_" + lookup + "." + secret, row: operate.Row{
		Organisation: "acme", ExternalID: fmt.Sprint(n), Name: fmt.Sprintf("Key %d", n), Prefix: "new_", Lookup: lookup,
		Hash:  keyauth.ForeignHash{Kind: keyauth.SHA256, Text: hex.EncodeToString(digest[:])},
		Last4: secret[36:], Access: strikeplate.Legacy, Creator: "ada", Created: time.Date(2025, 1, 1, 0, 0, n%3600, 0, time.UTC),
	}}
	for _, f := range change {
		f(&k.row)
	}
	return k
}

// rows yields the rows of keys.
func rows(keys ...oldKey) iter.Seq2[operate.Row, error] {
	return func(yield func(operate.Row, error) bool) {
		for _, k := range keys {
			if !yield(k.row, nil) {
				return
			}
		}
	}
}

func refusedWith(err error, code string) bool {
	var e *strikeplate.Error
	return errors.As(err, &e) && e.Code == code
}

// waitUntil polls for what no channel tells.
func waitUntil(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// put commits a record as it is.
func (w *world) put(k storage.Key) {
	w.Helper()
	w.must(w.store.Commit(w.ctx, storage.Mutation{Now: w.clock.now(), Put: []storage.Key{k},
		Audit: []storage.Entry{{Organisation: k.Organisation, Action: "test", Target: k.ID, At: w.clock.now()}}}))
}

func account(organisation string) storage.Account {
	return storage.Account{Organisation: organisation, Plan: "pro"}
}

// racing has something happen before each commit.
type racing struct {
	store
	before func()
}

func (r *racing) Commit(ctx context.Context, m storage.Mutation) error {
	r.before()
	return r.store.Commit(ctx, m)
}

// ignore handles events.
func ignore(context.Context, operate.Event) error { return nil }
