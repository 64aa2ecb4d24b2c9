package operate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/operate"
	"github.com/strikeplate/strikeplate/storage"
)

// TestRetain: what is too old goes, in bounded steps, and nothing else.
func TestRetain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const each = 25
		for range 3 {
			for range each {
				w.create()
			}
			w.clock.advance(10 * day)
		}
		counting := &counted{store: w.store}
		s := w.service(func(c *operate.Config) { c.Operator = counting })
		got, err := s.Retain(w.ctx, operate.Retention{Audit: 25 * day, Addresses: 15 * day, Step: 10})
		w.must(err)
		if diff := cmp.Diff(operate.Retained{Entries: each, Addresses: each}, got); diff != "" {
			t.Error(diff)
		}
		if counting.most != 10 || counting.calls != 6 {
			t.Errorf("%d steps of up to %d", counting.calls, counting.most)
		}
		left := w.entries("acme", manage.ActionCreate)
		if len(left) != 2*each || left[0].Actor.Client.IsValid() || !left[each].Actor.Client.IsValid() || len(w.keys("acme")) != 3*each {
			t.Errorf("%d entries are left, %v, %v", len(left), left[0].Actor, left[each].Actor)
		}
		again, err := s.Retain(w.ctx, operate.Retention{Audit: 25 * day, Addresses: 15 * day})
		if err != nil || again != (operate.Retained{}) {
			t.Errorf("again: %+v, %v", again, err)
		}
		if got, err := s.Retain(w.ctx, operate.Retention{}); err != nil || got != (operate.Retained{}) {
			t.Errorf("kept for ever: %+v, %v", got, err)
		}
		ctx, cancel := context.WithCancel(w.ctx)
		cancel()
		if _, err := s.Retain(ctx, operate.Retention{Audit: day}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// TestErase: an organisation's keys are refused at once by Authenticators that
// had proven them, nothing of it is left, and others notice nothing.
func TestErase(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		here, there := w.authenticator(), w.authenticator()
		minted, imported, other := w.create(), newOldKey(1), newOldKey(2, func(r *operate.Row) { r.Organisation = "globex" })
		w.account(account("globex"))
		_, err := w.Import(w.ctx, migration, rows(imported, other))
		w.must(err)
		texts := []string{minted.Secret.Reveal(), imported.text}
		for _, text := range append(texts, other.text) {
			for _, auth := range []*keyauth.Authenticator{here, there} {
				if _, err := auth.Verify(w.ctx, text, w.admin.Client); err != nil {
					t.Fatal(err)
				}
			}
		}
		hashes := here.Stats().Hashes
		w.must(w.Erase(w.ctx, "acme"))
		for _, text := range texts {
			for _, auth := range []*keyauth.Authenticator{here, there} {
				if p, err := auth.Verify(w.ctx, text, w.admin.Client); !refusedWith(err, strikeplate.CodeInvalid) {
					t.Errorf("got %v, %v", p, err)
				}
			}
		}
		if _, err := here.Verify(w.ctx, other.text, w.admin.Client); err != nil {
			t.Errorf("another organisation's key: %v", err)
		}
		if n := here.Stats().Hashes - hashes; n > 4 { // re-hashing may be under way; refusing needs none
			t.Errorf("%d hashes", n)
		}
		if len(w.keys("acme")) != 0 || len(w.entries("acme", manage.ActionCreate)) != 0 {
			t.Error("something is left")
		}
		if _, err := w.store.Account(w.ctx, "acme"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("account: %v", err)
		}
		w.must(w.Erase(w.ctx, "acme"))
		report, err := w.Import(w.ctx, migration, rows(imported))
		if err != nil || report.Imported != 1 {
			t.Errorf("the organisation returns: %+v, %v", report, err)
		}
	})
}

// TestEraseRemains: who creates keys all the time is told, not left in the dark.
func TestEraseRemains(t *testing.T) {
	w := newWorld(t, backends[0].open(t))
	s := w.service(func(c *operate.Config) { c.Operator = reborn{w.store, w} })
	if err := s.Erase(w.ctx, "acme"); !errors.Is(err, operate.ErrRemains) {
		t.Errorf("got %v", err)
	}
}

// reborn creates a key after each erasure.
type reborn struct {
	storage.Operator
	w *world
}

func (r reborn) EraseOrganisation(ctx context.Context, organisation string) error {
	if err := r.Operator.EraseOrganisation(ctx, organisation); err != nil {
		return err
	}
	r.w.account(account(organisation))
	r.w.create()
	return nil
}

// counted counts the steps of retention.
type counted struct {
	store
	calls, most int
}

func (c *counted) note(limit int) {
	c.calls++
	c.most = max(c.most, limit)
}

func (c *counted) TrimAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	c.note(limit)
	return c.store.TrimAudit(ctx, before, limit)
}

func (c *counted) ForgetAddresses(ctx context.Context, before time.Time, limit int) (int, error) {
	c.note(limit)
	return c.store.ForgetAddresses(ctx, before, limit)
}
