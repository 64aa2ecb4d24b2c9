package keyauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

// THREATS 4: whoever waits for the slot goes in the order of its class, and
// first come first served within it.
func TestThreat4SlotIsOrdered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slot := keyauth.NewSlot(64)
		wantNoError(t, slot.Acquire(t.Context(), keyauth.Clean)) // somebody hashes
		var order []string
		var mu sync.Mutex
		for _, w := range []struct {
			class keyauth.Class
			name  string
		}{
			{keyauth.Background, "background"}, {keyauth.Suspect, "suspect"}, {keyauth.Doubtful, "doubtful"},
			{keyauth.Clean, "clean 1"}, {keyauth.Minting, "minting"}, {keyauth.Clean, "clean 2"},
		} {
			go func() {
				wantNoError(t, slot.Acquire(t.Context(), w.class))
				mu.Lock()
				order = append(order, w.name)
				mu.Unlock()
				slot.Release()
			}()
			synctest.Wait() // it waits before the next one comes
		}
		slot.Release()
		synctest.Wait()
		if got, want := fmt.Sprint(order), "[minting clean 1 clean 2 doubtful suspect background]"; got != want {
			t.Errorf("served %s, want %s", got, want)
		}
	})
}

// A full queue refuses the newcomer, unless somebody worse waits: then that one
// goes. Minting is never refused.
func TestThreat4FullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slot := keyauth.NewSlot(2)
		wantNoError(t, slot.Acquire(t.Context(), keyauth.Clean))
		outcome := make(map[string]error)
		var mu sync.Mutex
		wait := func(c keyauth.Class, name string) {
			go func() {
				err := slot.Acquire(t.Context(), c)
				mu.Lock()
				outcome[name] = err
				mu.Unlock()
				if err == nil {
					slot.Release()
				}
			}()
			synctest.Wait()
		}
		wait(keyauth.Suspect, "suspect 1")
		wait(keyauth.Suspect, "suspect 2")
		wait(keyauth.Suspect, "suspect 3") // full: refused
		wait(keyauth.Clean, "clean 1")     // displaces suspect 2
		wait(keyauth.Minting, "minting")   // beside the bound
		wait(keyauth.Clean, "clean 2")     // displaces suspect 1
		wait(keyauth.Clean, "clean 3")     // nobody worse waits: refused
		slot.Release()
		synctest.Wait()
		for name, refused := range map[string]bool{"suspect 1": true, "suspect 2": true, "suspect 3": true,
			"clean 1": false, "clean 2": false, "clean 3": true, "minting": false} {
			if err, done := outcome[name]; !done || (err != nil) != refused {
				t.Errorf("%s: %v (done: %v), want refused: %v", name, err, done, refused)
			}
		}
	})
}

// Who gives up leaves the queue, and a turn that came meanwhile is passed on.
func TestSlotSurvivesThoseWhoLeave(t *testing.T) {
	slot := keyauth.NewSlot(64)
	for range 200 {
		wantNoError(t, slot.Acquire(t.Context(), keyauth.Clean))
		var all sync.WaitGroup
		for i := range 16 {
			ctx, cancel := context.WithCancel(t.Context())
			all.Go(func() {
				if err := slot.Acquire(ctx, keyauth.Clean); err == nil {
					slot.Release()
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
			if i%2 == 0 {
				all.Go(cancel)
			} else {
				t.Cleanup(cancel)
			}
		}
		slot.Release()
		all.Wait()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	wantNoError(t, slot.Acquire(ctx, keyauth.Background))
	if n := slot.Depth(); n != 0 {
		t.Errorf("%d left waiting", n)
	}
}

// THREATS 6: wrong secrets are throttled for one key from one address before
// hashing; the key from elsewhere, other keys from there, and whoever proved the
// key already are not.
func TestThreat6NoLockout(t *testing.T) {
	s := newService(t, nil)
	target, other := s.mint(t, strikeplate.Live), s.mint(t, strikeplate.Live)
	proven := s.mint(t, strikeplate.Live)
	attacker, elsewhere := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:0:1::1")
	neighbour := netip.MustParseAddr("2001:db8::ffff") // the same /64: the same attacker
	if _, err := s.auth.Verify(t.Context(), proven, attacker); err != nil {
		t.Fatal(err)
	}
	attack := func(victim string, from netip.Addr) (hashed int, last error) {
		before := s.auth.Stats().Hashes
		for range 20 {
			guess := s.mint(t, strikeplate.Live)
			before++ // minting hashes too
			_, last = s.auth.Verify(t.Context(), forge(t, s, victim, guess), from)
		}
		return int(s.auth.Stats().Hashes - before), last
	}
	hashed, last := attack(target, attacker)
	if hashed != 5 {
		t.Errorf("%d of 20 wrong secrets were hashed, want 5", hashed)
	}
	wantCode(t, last, 429, "too_many_failures")
	if e := refusal(t, last); e.RetryAfter <= 0 || e.RetryAfter > 10*time.Second {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	if hashed, _ := attack(target, neighbour); hashed != 0 {
		t.Errorf("%d more from the next address of the same network", hashed)
	}
	if s.auth.Stats().Throttled != 35 {
		t.Errorf("%d throttled counted, want 35", s.auth.Stats().Throttled)
	}
	_, err := s.auth.Verify(t.Context(), target, attacker) // the right secret waits as well: it can't be told apart
	wantCode(t, err, 429, "too_many_failures")

	hashed, _ = attack(proven, attacker)
	if hashed != 5 {
		t.Errorf("%d hashed, want 5", hashed)
	}
	for _, try := range []struct {
		name, key string
		from      netip.Addr
	}{
		{"a proven key from there", proven, attacker},
		{"another key from there", other, attacker},
		{"the key from elsewhere", target, elsewhere},
		{"the key from there, now that it is proven", target, attacker},
	} {
		if _, err := s.auth.Verify(t.Context(), try.key, try.from); err != nil {
			t.Errorf("%s: %v", try.name, err)
		}
	}
}

// One credential that many requests present at once is hashed once.
func TestSingleFlight(t *testing.T) {
	s := newService(t, nil)
	for range 20 {
		text := s.mint(t, strikeplate.Live)
		before := s.auth.Stats().Hashes
		start := make(chan struct{})
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				<-start
				_, err := s.auth.Verify(t.Context(), text, client)
				wantNoError(t, err)
			})
		}
		close(start)
		all.Wait()
		if n := s.auth.Stats().Hashes - before; n != 1 {
			t.Fatalf("%d hashes for one credential", n)
		}
	}
}

// THREATS 26: expiry is !now.Before(expires), by the service's own clock.
func TestThreat26ExpiryByTheServicesClock(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	now := at.Add(-time.Nanosecond)
	s := newService(t, func(c *keyauth.Config) { c.Now = func() time.Time { return now } })
	text, _ := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live, func(k *storage.Key) { k.Expires = at })
	if _, err := s.auth.Verify(t.Context(), text, client); err != nil {
		t.Errorf("a nanosecond before: %v", err)
	}
	now = at
	_, err := s.auth.Verify(t.Context(), text, client)
	wantCode(t, err, 401, "expired_api_key")
}
