package manage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// THREATS 20: sealed to organisation, key id and secret version; a fresh
// sign-in; erased on revoke, regenerate and expiry.
func TestThreat20Reveal(t *testing.T) {
	each(t, func(t *testing.T, s, _ store) {
		w := newPlace(t, s).world(t, avoma, keepSecrets)
		reveal := func(id string) (string, error) {
			secret, err := w.Reveal(w.ctx, w.admin, id, w.clock.now().Add(-10*time.Minute))
			return secret.Reveal(), err
		}
		shows := func(id, want string) {
			t.Helper()
			if got, err := reveal(id); err != nil || got != want {
				t.Fatalf("revealed %d characters, %s", len(got), told(err))
			}
		}
		c := w.create(expiring(w.clock.now().Add(30 * day)))
		shows(c.Key.ID, c.Secret.Reveal())
		for _, signedIn := range []time.Time{{}, w.clock.now().Add(-10*time.Minute - 1), w.clock.now().Add(time.Hour)} {
			_, err := w.Reveal(w.ctx, w.admin, c.Key.ID, signedIn)
			w.refused(err, 403, manage.CodeSignIn)
		}
		r, err := w.Regenerate(w.ctx, w.admin, c.Key.ID)
		w.must(err)
		shows(c.Key.ID, r.Secret.Reveal())
		next, err := w.Rotate(w.ctx, w.admin, c.Key.ID, day)
		w.must(err)
		shows(c.Key.ID, r.Secret.Reveal())
		shows(next.Key.ID, next.Secret.Reveal())
		w.must(second(w.Revoke(w.ctx, w.admin, next.Key.ID, "")))
		if w.stored(next.Key.ID).Sealed != nil {
			t.Error("kept after Revoke")
		}
		_, err = reveal(next.Key.ID)
		w.refused(err, 409, strikeplate.CodeRevoked)

		w.clock.advance(day)
		_, err = reveal(c.Key.ID)
		w.refused(err, 409, strikeplate.CodeExpired)
		if w.stored(c.Key.ID).Sealed != nil || w.logged(manage.ActionForget) != 1 {
			t.Error("kept after its expiry was seen")
		}
		w.create(expiring(w.clock.now().Add(day)))
		swept := w.create(expiring(w.clock.now().Add(day))).Key
		w.clock.advance(day)
		for _, want := range []int{2, 0} {
			if n, err := w.ForgetExpired(w.ctx, w.org); n != want || err != nil {
				t.Errorf("%d forgotten, want %d, %v", n, want, err)
			}
		}
		if w.stored(swept.ID).Sealed != nil {
			t.Error("kept after the sweep")
		}
		if n := w.logged(manage.ActionReveal); n != 4 {
			t.Errorf("%d entries of reveals", n)
		}
		old, err := w.Rotate(w.ctx, w.admin, w.create().Key.ID, 0)
		w.must(err)
		if w.stored(old.Predecessor.ID).Sealed != nil {
			t.Error("kept after the key ended by rotation")
		}
	})
}

// A ciphertext opens for its own record alone.
func TestThreat20SealedToItsRecord(t *testing.T) {
	w := inMemory(t, avoma, keepSecrets)
	a, b := w.create(), w.create()
	stolen := w.stored(b.Key.ID)
	stolen.Sealed = w.stored(a.Key.ID).Sealed
	w.must(w.store.Commit(w.ctx, storage.Mutation{Now: w.clock.now(), Put: []storage.Key{stolen},
		Audit: []storage.Entry{{Organisation: w.org, Action: "test"}}}))
	secret, err := w.Reveal(w.ctx, w.admin, b.Key.ID, w.clock.now())
	if err == nil || secret.Reveal() != "" || errors.As(err, new(*strikeplate.Error)) || w.logged(manage.ActionReveal) != 0 {
		t.Errorf("opened: %s", told(err))
	}
}

// A service that can't seal makes no keys that it couldn't reveal.
func TestSealThatFails(t *testing.T) {
	for _, seal := range []manage.AEAD{brokenSeal{errDown}, brokenSeal{}} {
		w := inMemory(t, avoma, func(c *manage.Config) { c.Reveal.Seal = seal })
		if err := w.creating(); err == nil || errors.As(err, new(*strikeplate.Error)) {
			t.Errorf("created: %s", told(err))
		}
		if len(w.list(manage.Filter{})) != 0 {
			t.Error("a key was stored")
		}
	}
}

type brokenSeal struct{ err error }

func (b brokenSeal) Encrypt([]byte, []byte) ([]byte, error) { return nil, b.err }
func (b brokenSeal) Decrypt([]byte, []byte) ([]byte, error) { return nil, b.err }
