package operate_test

import (
	"context"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/keyauth/operate"
)

// TestThreat2WrapSweep: weak digests are wrapped without anybody's using the
// keys, a bounded number at a time; the keys go on working, and what is in the
// store is no longer a digest.
func TestThreat2WrapSweep(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var all []oldKey
		for n := range 25 {
			all = append(all, newOldKey(n, func(r *operate.Row) { r.Organisation = string(rune('a' + n%3)) }))
		}
		_, err := w.Import(w.ctx, migration, rows(all...))
		w.must(err)
		revoked := w.keys("a")[0]
		revoked.Revoked = w.clock.now()
		w.put(revoked)

		wrapped, runs := 0, 0
		for from, done := "", false; !done; done = from == "" {
			report, err := w.Wrap(w.ctx, operate.Wrapping{Most: 10, From: from})
			w.must(err)
			if report.Wrapped > 10 || report.Skipped != 0 {
				t.Errorf("got %+v", report)
			}
			wrapped, from = wrapped+report.Wrapped, report.Next
			runs++
		}
		if wrapped != 24 || runs != 3 {
			t.Errorf("%d wrapped in %d runs", wrapped, runs)
		}
		for _, organisation := range []string{"a", "b", "c"} {
			for _, k := range w.keys(organisation) {
				if k.ID != revoked.ID && (!strings.HasPrefix(k.Hash, "$wrapped$sha256$argon2id$") || k.SecretVersion != 1) {
					t.Errorf("%s: %s", k.ID, k.Hash)
				}
			}
		}
		again, err := w.Wrap(w.ctx, operate.Wrapping{})
		if err != nil || again != (operate.WrapReport{}) {
			t.Errorf("again: %+v, %v", again, err)
		}
		if n := len(w.entries("b", operate.ActionWrap)); n != 8 {
			t.Errorf("%d log entries", n)
		}
		auth := w.authenticator()
		for _, organisation := range []string{"a", "b", "c"} {
			w.account(account(organisation))
		}
		for _, k := range all {
			if _, err := auth.Verify(w.ctx, k.text, w.admin.Client); err != nil && k.row.Lookup != revoked.Lookup {
				t.Errorf("%s: %v", k.row.Lookup, err)
			}
		}
	})
}

// TestWrapMeanwhile: a key that is used while it is being wrapped is left as its
// use made it.
func TestWrapMeanwhile(t *testing.T) {
	w := newWorld(t, backends[0].open(t))
	_, err := w.Import(w.ctx, migration, rows(newOldKey(1)))
	w.must(err)
	s := w.service(func(c *operate.Config) {
		c.Keys = &racing{store: w.store, before: func() {
			k := w.keys("acme")[0]
			k.Hash = "$argon2id$…"
			w.put(k)
		}}
	})
	report, err := s.Wrap(w.ctx, operate.Wrapping{})
	if err != nil || report.Skipped != 1 || report.Wrapped != 0 || w.keys("acme")[0].Hash != "$argon2id$…" {
		t.Errorf("got %+v, %v", report, err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.Wrap(ctx, operate.Wrapping{}); err == nil {
		t.Error("a context that has ended is ignored")
	}
}
