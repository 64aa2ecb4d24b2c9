package operate_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/operate"
	"github.com/strikeplate/strikeplate/storage"
)

// usage is a Hygiene.Idle that knows what it is told.
func usage(u *operate.Usage, revoke bool) operate.Idle {
	return operate.Idle{After: 60 * day, Revoke: revoke,
		LastUsed: func(context.Context, string, []string) (operate.Usage, error) { return *u, nil }}
}

var nothingElse = operate.Hygiene{MaxAge: -1, Expiring: -1}

// sweep looks for idle keys alone and returns what was found, by key.
func (w *world) sweep(h operate.Hygiene) (operate.SweepReport, map[string][]operate.Finding) {
	w.Helper()
	found := make(map[string][]operate.Finding)
	h.Found = func(f operate.Finding) { found[f.Key.ID] = append(found[f.Key.ID], f) }
	report, err := w.Sweep(w.ctx, h)
	w.must(err)
	return report, found
}

// TestThreat25IdleOnCompleteKnowledge: nothing is revoked for want of knowledge.
func TestThreat25IdleOnCompleteKnowledge(t *testing.T) {
	start := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	now := start.Add(100 * day)
	const age = 60 * day // Idle.After
	for _, c := range []struct {
		name          string
		completeSince time.Time
		lastUsed      time.Time // zero: never seen
		imported      bool
		idle, unknown int
	}{
		{"used within", start, now.Add(-age), false, 0, 0},
		{"not used within", start, now.Add(-age - 1000), false, 1, 0},
		{"never used since it was created", start, time.Time{}, false, 1, 0},
		{"never seen, created before the watch began", start.Add(time.Second), time.Time{}, false, 0, 1},
		{"never seen, imported", start.Add(-365 * day), time.Time{}, true, 0, 1},
		{"seen, imported", start, start.Add(day), true, 1, 0},
		{"the window has a gap", now.Add(-age + 1000), start.Add(day), false, 0, 1},
		{"nothing is known", time.Time{}, start.Add(day), false, 0, 1},
		{"nothing is known, but that it was used", time.Time{}, now.Add(-day), false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, backends[0].open(t))
			if c.imported {
				_, err := w.Import(w.ctx, migration, rows(newOldKey(1)))
				w.must(err)
			} else {
				w.create()
			}
			w.clock.advance(100 * day)
			k := w.keys("acme")[0]
			u := &operate.Usage{CompleteSince: c.completeSince, LastUsed: map[string]time.Time{}}
			if !c.lastUsed.IsZero() {
				u.LastUsed[k.ID] = c.lastUsed
			}
			h := nothingElse
			h.Idle = usage(u, true)
			report, _ := w.sweep(h)
			want := operate.SweepReport{Keys: 1, Idle: c.idle, Revoked: c.idle, Unknown: c.unknown}
			if diff := cmp.Diff(want, report); diff != "" {
				t.Error(diff)
			}
			if revoked := !w.stored(k.ID).Revoked.IsZero(); revoked != (c.idle == 1) {
				t.Errorf("revoked: %v", revoked)
			}
		})
	}
}

// TestIdleFailingSource: a source that fails is no knowledge; the sweep goes on.
func TestIdleFailingSource(t *testing.T) {
	w := newWorld(t, backends[0].open(t))
	w.create()
	w.clock.advance(100 * day)
	h := nothingElse
	h.Idle = operate.Idle{After: day, Revoke: true,
		LastUsed: func(context.Context, string, []string) (operate.Usage, error) {
			return operate.Usage{CompleteSince: time.Unix(1, 0)}, errors.New("down")
		}}
	report, _ := w.sweep(h)
	if report.Unknown != 1 || report.Revoked != 0 {
		t.Errorf("got %+v", report)
	}
}

// TestIdleRevokes: on every backend an idle key is revoked, with a reason, in the
// log, and refused by a running Authenticator; one that is in use is not.
func TestIdleRevokes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		auth := w.authenticator()
		idle, busy := w.create(), w.create()
		if _, err := auth.Verify(w.ctx, idle.Secret.Reveal(), w.admin.Client); err != nil {
			t.Fatal(err)
		}
		begin := w.clock.now()
		w.clock.advance(100 * day)
		u := &operate.Usage{CompleteSince: begin, LastUsed: map[string]time.Time{idle.Key.ID: begin.Add(day), busy.Key.ID: w.clock.now()}}
		h := nothingElse
		h.Idle = usage(u, true)

		h.DryRun = true
		report, found := w.sweep(h)
		if report.Idle != 1 || report.Revoked != 0 || found[idle.Key.ID][0].Done {
			t.Errorf("dry run: %+v, %+v", report, found)
		}
		h.DryRun, h.Idle.Revoke = false, false
		if report, _ = w.sweep(h); report.Idle != 1 || report.Revoked != 0 || !w.stored(idle.Key.ID).Revoked.IsZero() {
			t.Errorf("report only: %+v", report)
		}
		h.Idle.Revoke = true
		report, found = w.sweep(h)
		if report.Revoked != 1 || !found[idle.Key.ID][0].Done || found[idle.Key.ID][0].Key.Status != storage.Revoked {
			t.Errorf("got %+v, %+v", report, found)
		}
		if _, err := auth.Verify(w.ctx, idle.Secret.Reveal(), w.admin.Client); !refusedWith(err, strikeplate.CodeRevoked) {
			t.Errorf("got %v", err)
		}
		k := w.stored(idle.Key.ID)
		entries := w.entries("acme", manage.ActionRevoke)
		if k.RevokedBecause != "idle: last used 2026-03-15" || len(entries) != 1 || entries[0].Target != k.ID || entries[0].Actor.Role != "operator" {
			t.Errorf("%q, %+v", k.RevokedBecause, entries)
		}
		if report, _ = w.sweep(h); report.Keys != 1 || report.Idle != 0 {
			t.Errorf("again: %+v", report)
		}
	})
}

// TestIdleSparesThoseThatCannotBeUsed (002-130b, 003-108): a key is not idle
// because its owner is deactivated or its account lapsed.
func TestIdleSparesThoseThatCannotBeUsed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		zoe := storage.User{ID: "zoe", Organisation: "acme", Active: true}
		w.must(w.store.PutUser(w.ctx, zoe))
		k := w.create(func(c *manage.Creation) { c.Access, c.Owner = strikeplate.UserFull, "zoe" })
		u := &operate.Usage{CompleteSince: w.clock.now()}
		w.clock.advance(100 * day)
		h := nothingElse
		h.Idle = usage(u, true)

		zoe.Active = false
		w.must(w.store.PutUser(w.ctx, zoe))
		if report, _ := w.sweep(h); report.Idle != 0 || report.Unknown != 1 {
			t.Errorf("owner deactivated: %+v", report)
		}
		zoe.Active = true
		w.must(w.store.PutUser(w.ctx, zoe))
		w.account(storage.Account{Organisation: "acme", Lapsed: true})
		if report, _ := w.sweep(h); report.Idle != 0 || report.Unknown != 1 {
			t.Errorf("account lapsed: %+v", report)
		}
		if _, err := w.authenticator().Verify(w.ctx, k.Secret.Reveal(), w.admin.Client); !refusedWith(err, strikeplate.CodeLapsed) {
			t.Errorf("got %v", err)
		}
		w.account(storage.Account{Organisation: "acme"})
		if report, _ := w.sweep(h); report.Revoked != 1 {
			t.Errorf("both are back: %+v", report)
		}
	})
}

// TestAnnounceOnce: near expiry and old age are told once each; a new expiry
// once more; and by one of two sweeps at the same time.
func TestAnnounceOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := w.create(func(c *manage.Creation) { c.Expires = w.clock.now().Add(100 * day) })
		w.create()
		_, err := w.Import(w.ctx, migration, rows(newOldKey(1)))
		w.must(err)
		expiring := func() int { return len(w.entries("acme", operate.ActionExpiring)) }
		if report, _ := w.sweep(operate.Hygiene{}); report.Expiring != 0 || report.Overdue != 0 || report.Keys != 3 {
			t.Errorf("young: %+v", report)
		}
		w.clock.advance(86 * day)
		if report, _ := w.sweep(operate.Hygiene{DryRun: true}); report.Expiring != 1 || report.Announced != 0 || expiring() != 0 {
			t.Errorf("dry run: %+v", report)
		}
		w.race(operate.Hygiene{})
		if n := expiring(); n != 1 {
			t.Errorf("%d entries after a race", n)
		}
		w.clock.advance(5 * day)
		report, found := w.sweep(operate.Hygiene{})
		if report.Expiring != 1 || report.Overdue != 2 || report.Announced != 2 || len(found[k.Key.ID]) != 2 || found[k.Key.ID][0].Done {
			t.Errorf("at 91 days: %+v, %+v", report, found)
		}
		if report, _ := w.sweep(operate.Hygiene{}); report.Announced != 0 || report.Overdue != 2 {
			t.Errorf("again: %+v", report)
		}
		later := w.clock.now().Add(10 * day)
		_, err = w.manage.Update(w.ctx, w.admin, k.Key.ID, manage.Update{Version: w.stored(k.Key.ID).Version, Expires: &later})
		w.must(err)
		if report, _ := w.sweep(operate.Hygiene{}); report.Announced != 1 || expiring() != 2 {
			t.Errorf("another expiry: %+v, %d", report, expiring())
		}
		w.clock.advance(20 * day)
		if report, _ := w.sweep(operate.Hygiene{}); report.Expiring != 0 || report.Keys != 3 {
			t.Errorf("expired: %+v", report)
		}
	})
}

// race runs the same sweep many times at once.
func (w *world) race(h operate.Hygiene) {
	w.Helper()
	start := make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			<-start
			if _, err := w.service().Sweep(w.ctx, h); err != nil {
				w.Error(err)
			}
		})
	}
	close(start)
	all.Wait()
}

// TestSweepErasesSealed (THREATS 20): the kept secret of an expired key goes.
func TestSweepErasesSealed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := w.create(func(c *manage.Creation) { c.Expires = w.clock.now().Add(day) })
		record := w.stored(k.Key.ID)
		record.Sealed = []byte("sealed")
		w.must(w.store.Commit(w.ctx, storage.Mutation{Now: w.clock.now(), Put: []storage.Key{record},
			Audit: []storage.Entry{{Organisation: "acme", Action: "test", Target: record.ID, At: w.clock.now()}}}))
		if report, _ := w.sweep(nothingElse); report.Erased != 0 {
			t.Errorf("before: %+v", report)
		}
		w.clock.advance(2 * day)
		if report, _ := w.sweep(nothingElse); report.Erased != 1 || w.stored(k.Key.ID).Sealed != nil || len(w.entries("acme", manage.ActionForget)) != 1 {
			t.Errorf("after: %+v", report)
		}
	})
}

// TestSweepGoesOn: an interrupted sweep tells where to go on.
func TestSweepGoesOn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i, organisation := range []string{"a", "b", "c", "d"} {
			_, err := w.Import(w.ctx, migration, rows(newOldKey(i, func(r *operate.Row) { r.Organisation = organisation })))
			w.must(err)
		}
		ctx, cancel := context.WithCancel(w.ctx)
		h := operate.Hygiene{Idle: operate.Idle{After: day, LastUsed: func(_ context.Context, organisation string, _ []string) (operate.Usage, error) {
			if organisation == "c" {
				cancel()
			}
			return operate.Usage{}, ctx.Err()
		}}}
		first, err := w.Sweep(ctx, h)
		if !errors.Is(err, context.Canceled) || first.Next == "" {
			t.Fatalf("got %+v, %v", first, err)
		}
		var organisations []string
		h.From = first.Next
		h.Idle.LastUsed = func(_ context.Context, organisation string, _ []string) (operate.Usage, error) {
			organisations = append(organisations, organisation)
			return operate.Usage{}, nil
		}
		second, err := w.Sweep(w.ctx, h)
		w.must(err)
		if got := strings.Join(organisations, ""); got != "cd" || second.Next != "" {
			t.Errorf("went on with %q, %+v", got, second)
		}
		for _, from := range []string{"?", "AAAA", "YQ"} {
			if _, err := w.Sweep(w.ctx, operate.Hygiene{From: from}); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("from %q: %v", from, err)
			}
		}
	})
}

func TestHygieneConfig(t *testing.T) {
	w := newWorld(t, backends[0].open(t))
	blind := w.service(func(c *operate.Config) { c.Directory = nil })
	u := &operate.Usage{}
	for name, run := range map[string]func() error{
		"negative":     func() error { _, err := w.Sweep(w.ctx, operate.Hygiene{Idle: operate.Idle{After: -1}}); return err },
		"no after":     func() error { _, err := w.Sweep(w.ctx, operate.Hygiene{Idle: operate.Idle{Revoke: true}}); return err },
		"no source":    func() error { _, err := w.Sweep(w.ctx, operate.Hygiene{Idle: operate.Idle{After: day}}); return err },
		"no directory": func() error { _, err := blind.Sweep(w.ctx, operate.Hygiene{Idle: usage(u, true)}); return err },
		"no scheme":    func() error { _, err := operate.New(operate.Config{Keys: w.store, Operator: w.store}); return err },
		"bad name": func() error {
			_, err := operate.New(operate.Config{Scheme: w.scheme, Keys: w.store, Operator: w.store, Name: "\x00"})
			return err
		},
		"negative retain": func() error { _, err := w.Retain(w.ctx, operate.Retention{Audit: -1}); return err },
		"short retain":    func() error { _, err := w.Retain(w.ctx, operate.Retention{Audit: time.Hour}); return err },
		"erase nothing":   func() error { return w.Erase(w.ctx, "") },
		"no handler": func() error {
			_, err := operate.NewEvents(operate.EventsConfig{Operator: w.store, Consumer: "c"})
			return err
		},
		"no consumer": func() error {
			_, err := operate.NewEvents(operate.EventsConfig{Operator: w.store, Handle: ignore})
			return err
		},
		"negative retries": func() error {
			_, err := operate.NewEvents(operate.EventsConfig{Operator: w.store, Handle: ignore, Consumer: "c", Retry: -1})
			return err
		},
	} {
		if run() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestRecordsAlike: the log shows a key alike, whether package manage or this one
// wrote the entry.
func TestRecordsAlike(t *testing.T) {
	w := newWorld(t, backends[0].open(t))
	w.create(func(c *manage.Creation) {
		c.Expires, c.Metadata = w.clock.now().Add(day), map[string]string{"a": "b"}
	})
	w.sweep(operate.Hygiene{})
	created, announced := w.entries("acme", manage.ActionCreate), w.entries("acme", operate.ActionExpiring)
	if len(created) != 1 || len(announced) != 1 {
		t.Fatal(created, announced)
	}
	if diff := cmp.Diff(string(created[0].After), string(announced[0].Before)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(strings.Replace(string(created[0].After), `"version":1`, `"version":2`, 1), string(announced[0].After)); diff != "" {
		t.Error(diff)
	}
}
