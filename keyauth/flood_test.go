package keyauth_test

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// THREATS 4: many addresses that guess at one key don't stand in the way of
// other keys, though each address is clean at first.
func TestThreat4ManyAddressesOneKey(t *testing.T) {
	s := newService(t, nil)
	target, guess := s.mint(t, strikeplate.Live), s.mint(t, strikeplate.Live)
	parsed, err := s.scheme.Parse(target, time.Now())
	wantNoError(t, err)
	attacker, fresh := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	if c := keyauth.ClassOf(s.auth, parsed.Lookup, fresh); c != keyauth.Clean {
		t.Errorf("before any failure: class %d", c)
	}
	_, err = s.auth.Verify(t.Context(), forge(t, s, target, guess), attacker)
	wantCode(t, err, 401, "invalid_api_key")
	for _, test := range []struct {
		name, lookup string
		from         netip.Addr
		want         keyauth.Class
	}{
		{"the attacker again", parsed.Lookup, attacker, keyauth.Suspect},
		{"the same key from elsewhere", parsed.Lookup, fresh, keyauth.Doubtful},
		{"another key from the attacker's address", "otherLookup", attacker, keyauth.Doubtful},
		{"another key from elsewhere", "otherLookup", fresh, keyauth.Clean},
	} {
		if c := keyauth.ClassOf(s.auth, test.lookup, test.from); c != test.want {
			t.Errorf("%s: class %d, want %d", test.name, c, test.want)
		}
	}
}

// crowdedKeys holds look-ups until as many are under way as were announced.
type crowdedKeys struct {
	storage.Keys
	all sync.WaitGroup
}

func (k *crowdedKeys) KeyByLookup(ctx context.Context, lookup string) (storage.Key, error) {
	k.all.Done()
	k.all.Wait()
	return k.Keys.KeyByLookup(ctx, lookup)
}

// Guesses that all passed the throttle before the first of them failed are
// stopped when their turn to hash comes.
func TestThreat6GuessesAtOnce(t *testing.T) {
	const guesses = 60 // less than may wait
	keys := &crowdedKeys{}
	s := newService(t, func(c *keyauth.Config) { keys.Keys = c.Keys; c.Keys = keys })
	target := s.mint(t, strikeplate.Live)
	var wrong []string
	for range guesses {
		wrong = append(wrong, forge(t, s, target, s.mint(t, strikeplate.Live)))
	}
	before := s.auth.Stats().Hashes
	keys.all.Add(guesses)
	var all sync.WaitGroup
	for _, text := range wrong {
		all.Go(func() {
			if _, err := s.auth.Verify(t.Context(), text, client); err == nil {
				t.Error("a wrong secret was accepted")
			}
		})
	}
	all.Wait()
	if n := s.auth.Stats().Hashes - before; n != 5 {
		t.Errorf("%d of %d guesses were hashed, want 5", n, guesses)
	}
}

// A few refusals are answered at once. A flood of them is slowed down, none for
// longer than a second, and holders of proven keys feel nothing of it.
func TestThreat4RefusalsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{Formats: []keyauth.Format{{Prefix: "mvo_",
			Environments: []strikeplate.Environment{strikeplate.Live}}}, Hashing: cheap, TagKeys: [][]byte{randomBytes(32)}})
		wantNoError(t, err)
		store := memory.New()
		auth, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, InsecureNoDirectory: true, Feed: store})
		wantNoError(t, err)
		s := &service{store: store, scheme: scheme, auth: auth}
		proven, target := s.mint(t, strikeplate.Live), s.mint(t, strikeplate.Live)
		wrong := forge(t, s, target, proven)
		_, err = auth.Verify(t.Context(), proven, client)
		wantNoError(t, err)

		var heldBack atomic.Int64
		guesses := func(n, connections int) (took time.Duration) {
			heldBack.Store(0)
			began := time.Now() // virtual, so that nothing but waiting takes time
			var all sync.WaitGroup
			for range connections {
				all.Go(func() {
					for range n / connections {
						at := time.Now()
						_, _ = auth.Verify(t.Context(), wrong, client)
						held := time.Since(at)
						if held > time.Second {
							t.Errorf("a refusal was held back for %v", held)
						}
						if held > 0 {
							heldBack.Add(1)
						}
					}
				})
			}
			all.Wait()
			return time.Since(began)
		}
		if took := guesses(100, 1); took > 0 {
			t.Errorf("100 refusals were held back for %v", took)
		}
		if took := guesses(5120, 256); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("256 connections sent 5,120 guesses in %v, want about five seconds", took)
		}
		if took := guesses(5000, 5000); took < 900*time.Millisecond {
			t.Errorf("5,000 connections were held back for %v, want about a second", took)
		}
		if n := heldBack.Load(); n > 1024 {
			t.Errorf("%d requests were held back at once; what that takes must be bounded", n)
		}
		began := time.Now()
		_, err = auth.Verify(t.Context(), proven, client)
		wantNoError(t, err)
		if took := time.Since(began); took > 0 {
			t.Errorf("the holder of a proven key waited %v", took)
		}
		wantNoError(t, auth.Close(t.Context()))
		wantNoError(t, store.Close(t.Context()))
	})
}
