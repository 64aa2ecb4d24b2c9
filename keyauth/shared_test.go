package keyauth_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

// shelf is a ProofStore in memory that anybody may write to.
type shelf struct {
	mu     sync.Mutex
	values map[string][]byte
	// answer, if set, stands for what is there.
	answer func(ctx context.Context, name []byte) ([]byte, error)
	gets   int
}

func newShelf() *shelf { return &shelf{values: make(map[string][]byte)} }

func (s *shelf) Get(ctx context.Context, name []byte) ([]byte, error) {
	s.mu.Lock()
	s.gets++
	answer, value := s.answer, s.values[string(name)]
	s.mu.Unlock()
	if answer != nil {
		return answer(ctx, name)
	}
	return value, nil
}

func (s *shelf) Put(_ context.Context, name, value []byte, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[string(name)] = value
	return nil
}

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.values)
}

// only is the one entry on the shelf.
func (s *shelf) only(t testing.TB) []byte {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.values) != 1 {
		t.Fatalf("%d entries, want 1", len(s.values))
	}
	for _, v := range s.values {
		return v
	}
	return nil
}

func (s *shelf) always(value []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func(context.Context, []byte) ([]byte, error) { return value, err }
}

var sharedSecret = bytes.Repeat([]byte{7}, 32)

func withShelf(s keyauth.ProofStore) func(*keyauth.Config) {
	return func(c *keyauth.Config) { c.Cache.Shared = &keyauth.Shared{Store: s, Secret: sharedSecret} }
}

// sibling is another instance over the same records.
func (s *service) sibling(t testing.TB, change func(*keyauth.Config)) *service {
	t.Helper()
	c := keyauth.Config{Scheme: s.scheme, Keys: s.store, Directory: s.store, Feed: s.store}
	change(&c)
	other := &service{store: s.store, scheme: s.scheme}
	var err error
	if other.auth, err = keyauth.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.auth.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return other
}

// verified presents a key and returns how many hashes that took.
func (s *service) verified(t testing.TB, key string) (hashes uint64, err error) {
	t.Helper()
	before := s.auth.Stats().Hashes
	_, err = s.auth.Verify(t.Context(), key, netip.Addr{})
	return s.auth.Stats().Hashes - before, err
}

// proven is a service whose key's proof is on the shelf.
func proven(t testing.TB) (s *service, shared *shelf, key string, record storage.Key) {
	t.Helper()
	shared = newShelf()
	s = newService(t, withShelf(shared))
	key, record = s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
	if n, err := s.verified(t, key); n != 1 || err != nil {
		t.Fatalf("the first proof: %d hashes, %v", n, err)
	}
	waitUntil(t, "the proof is shared", func() bool { return shared.len() == 1 })
	return s, shared, key, record
}

func TestSharedProofSparesTheHash(t *testing.T) {
	s, shared, key, record := proven(t)
	restarted := s.sibling(t, withShelf(shared))
	if n, err := restarted.verified(t, key); n != 0 || err != nil {
		t.Errorf("after a restart: %d hashes, %v", n, err)
	}
	if got := restarted.auth.Stats(); got.SharedHits != 1 || got.Lookups != 1 {
		t.Errorf("after a restart: %+v", got)
	}
	// The entry says nothing of the key's state.
	s.put(t, revokedCopy(t, s, record.ID))
	late := s.sibling(t, withShelf(shared))
	var refusal *strikeplate.Error
	if n, err := late.verified(t, key); n != 0 || !errors.As(err, &refusal) || refusal.Code != strikeplate.CodeRevoked {
		t.Errorf("a revoked key: %d hashes, %v", n, err)
	}
}

// TestThreat19SharedProofsNameTheirKey: a writer who serves its own key's entry for
// everybody's lets nobody in. The victim's record has a hash that the presented
// secret doesn't match, so only a mapped entry could make it pass.
func TestThreat19SharedProofsNameTheirKey(t *testing.T) {
	s, shared, _, _ := proven(t)
	entry := shared.only(t)
	other := s.mint(t, strikeplate.Live)
	_, otherRecord := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
	victim, record := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live, func(k *storage.Key) { k.Hash = otherRecord.Hash })
	shared.always(entry, nil)
	attacked := s.sibling(t, withShelf(shared))
	var refusal *strikeplate.Error
	if n, err := attacked.verified(t, victim); n != 1 || !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized {
		t.Errorf("a secret that is not %s's: %d hashes, %v", record.ID, n, err)
	}
	if n, err := attacked.verified(t, other); n != 1 || err != nil {
		t.Errorf("a good key: %d hashes, %v; want its own proof", n, err)
	}
	if got := attacked.auth.Stats().SharedRejected; got != 2 {
		t.Errorf("%d entries rejected, want 2", got)
	}
}

// TestThreat19SharedProofsAreWhole: whatever was done to an entry, the key is
// proven anew.
func TestThreat19SharedProofsAreWhole(t *testing.T) {
	s, shared, key, _ := proven(t)
	entry := shared.only(t)
	check := func(what string, value []byte) {
		t.Helper()
		shared.always(value, nil)
		attacked := s.sibling(t, withShelf(shared))
		if n, err := attacked.verified(t, key); n != 1 || err != nil {
			t.Errorf("%s: %d hashes, %v; want one", what, n, err)
		}
	}
	for _, i := range []int{0, 1, 5, 8, 9, 20, len(entry) - 1} {
		altered := bytes.Clone(entry)
		altered[i] ^= 1
		check("a bit altered", altered)
	}
	check("cut", entry[:len(entry)-1])
	check("longer", append(bytes.Clone(entry), 0))
	check("empty", []byte{})
	shared.always(entry, nil)
	stranger := s.sibling(t, func(c *keyauth.Config) {
		c.Cache.Shared = &keyauth.Shared{Store: shared, Secret: bytes.Repeat([]byte{8}, 32)}
	})
	if n, err := stranger.verified(t, key); n != 1 || err != nil {
		t.Errorf("under another secret: %d hashes, %v", n, err)
	}
}

// TestRegeneratedKeysOldProofIsUseless: also where it is played back, and where the
// old look-up id is still the record's.
func TestRegeneratedKeysOldProofIsUseless(t *testing.T) {
	s, shared, key, record := proven(t)
	entry := shared.only(t)
	m, err := s.scheme.Mint(t.Context(), "mvo_", strikeplate.Live)
	if err != nil {
		t.Fatal(err)
	}
	s.update(t, record.ID, func(k *storage.Key) { k.Hash, k.SecretVersion = m.Hash, k.SecretVersion+1 })
	shared.always(entry, nil)
	other := s.sibling(t, withShelf(shared))
	if _, err := other.verified(t, key); err == nil {
		t.Error("the old secret was accepted")
	}
	// A hash that came back under a newer version counts as new.
	s.update(t, record.ID, func(k *storage.Key) { k.Hash, k.SecretVersion = record.Hash, k.SecretVersion+1 })
	again := s.sibling(t, withShelf(shared))
	if n, err := again.verified(t, key); n != 1 || err != nil {
		t.Errorf("%d hashes, %v; want one", n, err)
	}
}

func TestSharedProofsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newShelf()
		short := func(c *keyauth.Config) {
			withShelf(shared)(c)
			c.Cache.Proofs = time.Minute
		}
		s := newService(t, short)
		key := s.mint(t, strikeplate.Live)
		if _, err := s.verified(t, key); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(40 * time.Second) // of the bubble's clock
		restarted := s.sibling(t, short)
		if n, err := restarted.verified(t, key); n != 0 || err != nil {
			t.Errorf("after 40 seconds: %d hashes, %v", n, err)
		}
		time.Sleep(21 * time.Second) // of the bubble's clock
		// What was taken over ends when the proof it stands for does.
		if n, err := restarted.verified(t, key); n != 1 || err != nil {
			t.Errorf("after 61 seconds: %d hashes, %v; want one", n, err)
		}
	})
}

// TestSharedStoreDown: a store that hangs costs a few requests its time-out, then
// none anything, until the pause is over.
func TestSharedStoreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newShelf()
		shared.answer = func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		s := newService(t, withShelf(shared))
		began := time.Now()
		for range 20 {
			if n, err := s.verified(t, s.mint(t, strikeplate.Live)); n != 1 || err != nil {
				t.Fatalf("%d hashes, %v", n, err)
			}
			synctest.Wait()
		}
		if waited := time.Since(began); waited > 400*time.Millisecond {
			t.Errorf("20 keys waited %v in all", waited)
		}
		if got := s.auth.Stats().SharedFailed; got != 3 {
			t.Errorf("%d failures, want 3 and then none within a second", got)
		}
		time.Sleep(2 * time.Second) // of the bubble's clock
		shared.always(nil, nil)
		if _, err := s.verified(t, s.mint(t, strikeplate.Live)); err != nil {
			t.Error(err)
		}
		if got := s.auth.Stats().SharedMisses; got != 1 {
			t.Errorf("after the pause the store was asked %d times, want once", got)
		}
	})
}

// TestForeignSecretsAreNotShared: they may be short enough to be guessed by who has
// Redis and the secret.
func TestForeignSecretsAreNotShared(t *testing.T) {
	sc := mavio()
	sc.Formats[0].Foreign = []keyauth.Foreign{{Prefix: "old_", IDLength: 8, MinLength: 20, MaxLength: 64, Until: time.Now().Add(time.Hour)}}
	shared := newShelf()
	s := newServiceWith(t, sc, withShelf(shared))
	const secret = "SECRETSECRETSECRET"
	hash, err := argon2id.CreateHash(secret, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, storage.Key{ID: "old", Lookup: "abcdefgh", Lineage: "old", Organisation: "acme", Format: "mvo_",
		Environment: strikeplate.Live, Access: strikeplate.Legacy, Hash: hash, SecretVersion: 1, Created: time.Now()})
	if n, err := s.verified(t, "old_abcdefgh"+secret); n != 1 || err != nil {
		t.Fatalf("%d hashes, %v", n, err)
	}
	minted := s.mint(t, strikeplate.Live)
	if _, err := s.verified(t, minted); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the minted key's proof is shared", func() bool { return shared.len() > 0 })
	if n := shared.len(); n != 1 || shared.gets != 1 {
		t.Errorf("%d entries, %d questions, want the minted key's alone", n, shared.gets)
	}
}

func TestSharedConfig(t *testing.T) {
	s := newService(t, nil)
	for name, c := range map[string]*keyauth.Shared{
		"no store":     {Secret: sharedSecret},
		"no secret":    {Store: newShelf()},
		"short secret": {Store: newShelf(), Secret: sharedSecret[:31]},
	} {
		_, err := keyauth.New(keyauth.Config{Scheme: s.scheme, Keys: s.store, Directory: s.store, Cache: keyauth.Cache{Shared: c}})
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
