package keyauth_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// service is an Authenticator over a memory store, with one paid-up
// organisation "acme".
type service struct {
	store  *memory.Store
	scheme *keyauth.Scheme
	auth   *keyauth.Authenticator
}

var cheap = keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true}

// newService starts a service; change may alter the configuration first.
func newService(t testing.TB, change func(*keyauth.Config)) *service {
	t.Helper()
	return newServiceWith(t, mavio(), change)
}

func mavio() keyauth.SchemeConfig {
	return keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "mvo_", Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}}},
		Hashing: cheap, TagKeys: [][]byte{randomBytes(32)},
	}
}

func newServiceWith(t testing.TB, sc keyauth.SchemeConfig, change func(*keyauth.Config)) *service {
	t.Helper()
	scheme, err := keyauth.NewScheme(sc)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{store: memory.New(), scheme: scheme}
	s.account(t, storage.Account{Organisation: "acme", Plan: "pro"})
	c := keyauth.Config{Scheme: scheme, Keys: s.store, Directory: s.store, Feed: s.store}
	if change != nil {
		change(&c)
	}
	if s.auth, err = keyauth.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.auth.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := s.store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if c.Feed != nil {
		waitUntil(t, "the feed is fresh", func() bool { return s.auth.Stats().Fresh })
	}
	return s
}

// mint stores a new key of acme and returns its text.
func (s *service) mint(t testing.TB, env strikeplate.Environment, change ...func(*storage.Key)) string {
	t.Helper()
	text, _ := s.mintAs(t, s.scheme, "mvo_", env, change...)
	return text
}

func (s *service) mintAs(t testing.TB, scheme *keyauth.Scheme, prefix string, env strikeplate.Environment,
	change ...func(*storage.Key),
) (string, storage.Key) {
	t.Helper()
	m, err := scheme.Mint(t.Context(), prefix, env)
	if err != nil {
		t.Fatal(err)
	}
	id := "key_" + rand.Text()
	k := storage.Key{
		ID: id, Lookup: m.Lookup, Lineage: id, Organisation: "acme", Name: "n", Last4: m.Last4,
		Format: m.Format, Environment: m.Environment, Access: strikeplate.OrganisationFull,
		Scopes: []string{"meetings:read"}, Creator: "u1", Hash: m.Hash, SecretVersion: 1, Created: time.Now(),
	}
	for _, f := range change {
		f(&k)
	}
	s.put(t, k)
	return m.Secret.Reveal(), k
}

// put commits a record as it is.
func (s *service) put(t testing.TB, k storage.Key) {
	t.Helper()
	if err := s.store.Commit(t.Context(), storage.Mutation{Now: time.Now(), Put: []storage.Key{k},
		Audit: []storage.Entry{{Organisation: k.Organisation, Action: "test", Target: k.ID, At: time.Now()}}}); err != nil {
		t.Fatal(err)
	}
}

// update changes the stored record with that id.
func (s *service) update(t testing.TB, id string, change func(*storage.Key)) {
	t.Helper()
	k, err := s.store.Key(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	change(&k)
	s.put(t, k)
}

func (s *service) account(t testing.TB, a storage.Account) {
	t.Helper()
	if err := s.store.PutAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func (s *service) user(t testing.TB, u storage.User) {
	t.Helper()
	if err := s.store.PutUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// waitUntil polls for what no channel tells.
func waitUntil(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
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

// revokedCopy is the stored record, revoked.
func revokedCopy(t testing.TB, s *service, id string) storage.Key {
	t.Helper()
	k, err := s.store.Key(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	k.Revoked = time.Now()
	return k
}
