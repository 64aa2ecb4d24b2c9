package storagetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// grantFeedCases: watchers of the value that changes are made through.
var grantFeedCases = []check[Granting]{
	{"GrantsTold", grantsTold},
	{"GrantsEraseTold", grantsEraseTold},
}

// grantPairCases: a watcher of one value, changes through the other.
var grantPairCases = []check[grantPair]{
	{"GrantsToldAcrossValues", grantsToldAcrossValues},
}

func grantSubject(organisation, id string) subject {
	return subject{storage.GrantChanged, organisation, id}
}

func appSubject(organisation, id string) subject {
	return subject{storage.AppChanged, organisation, id}
}

// change is one that watchers are told of.
type change struct {
	what string
	make func()
	told map[subject]int64 // with the version, or with 0
}

// changes makes everything that watchers are told of. The apps and grants that it
// needs are there when it returns.
func (g granting) changes() []change {
	g.t.Helper()
	g.putApp(newApp("acme", "app"))
	g.putApp(newApp("acme", "gone"))
	for _, one := range []struct{ organisation, id, clientID string }{
		{"acme", "by-id", "app"}, {"acme", "rotated", "app"}, {"acme", "dropped", "app"}, {"acme", "gone", "gone"}, {"globex", "g-gone", "gone"},
		{"globex", "g1", "app"}, {"globex", "g2", "app"},
	} {
		g.begin(begun(newGrant(one.organisation, one.id, one.clientID), newTokens(one.id, one.id)...))
	}
	g.begin(withCode(newGrant("acme", "coded", "app"), "code"))
	g.wantUse("a code", noon, nil, newTokens("coded", "coded")...)
	g.rotate("a token", rotation("rotated", "rotated", "next"), false, nil)
	gone := g.app("gone")
	gone.Revoked = noon
	return []change{
		{"an app", func() { g.putApp(newApp("acme", "new")) }, map[subject]int64{appSubject("acme", "new"): 1}},
		{"nobody's app", func() { g.putApp(newApp("", "nobody's")) }, map[subject]int64{appSubject("", "nobody's"): 1}},
		{"a revocation", func() { g.revoke(revocation("acme", "by-id"), 1) }, map[subject]int64{grantSubject("acme", "by-id"): 2}},
		{"a code's reuse", func() { g.wantUse("again", noon, storage.ErrReused) }, map[subject]int64{grantSubject("acme", "coded"): 2}},
		{"a token's reuse", func() { g.rotate("again", rotation("rotated", "rotated", "third"), false, storage.ErrReused) },
			map[subject]int64{grantSubject("acme", "rotated"): 2}},
		{"a dropped token", func() {
			if err := g.s.DropToken(g.t.Context(), digest("access dropped")); err != nil {
				g.t.Fatal(err)
			}
		}, map[subject]int64{grantSubject("acme", "dropped"): 2}},
		{"a revoked app", func() { g.putApp(gone) }, map[subject]int64{
			appSubject("acme", "gone"): 2, grantSubject("acme", "gone"): 2, grantSubject("globex", "g-gone"): 2,
		}},
		{"a block", func() { g.block("globex", "app") }, map[subject]int64{
			appSubject("globex", "app"): 0, grantSubject("globex", "g1"): 2, grantSubject("globex", "g2"): 2,
		}},
	}
}

// wantTold fails unless a watcher was told of all that a change is about.
func (c change) wantTold(t testing.TB, w *watch) {
	t.Helper()
	for about, version := range c.told {
		if v, ok := w.version(about); !ok || v != 0 && v != version {
			t.Fatalf("%s: a watcher was told of %v: %t, version %d; want version %d", c.what, about, ok, v, version)
		}
	}
}

// grantsTold: before the method returns, and when it can be read.
func grantsTold(t testing.TB, s Granting) {
	g := granting{t, s}
	w := newWatch()
	var mu sync.Mutex
	early := ""
	w.onChanged = func(about subject, version int64) {
		if about.kind != storage.GrantChanged || version == 0 {
			return
		}
		if got, err := s.Grant(context.Background(), about.organisation, about.id); err != nil || got.Version < version {
			mu.Lock()
			defer mu.Unlock()
			early = about.id
		}
	}
	changes := g.changes()
	startWatch(t, s, w)
	for _, c := range changes {
		c.make()
		c.wantTold(t, w)
	}
	if err := s.UnblockApp(t.Context(), "globex", "app", grantEntry("globex", "app")); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if early != "" {
		t.Errorf("a watcher was told of %s before it could be read", early)
	}
}

func grantsEraseTold(t testing.TB, s Granting) {
	o, ok := s.(interface {
		EraseOrganisation(ctx context.Context, organisation string) error
	})
	if !ok {
		return // it erases nothing
	}
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	g.begin(begun(newGrant("acme", "a1", "app")))
	g.begin(begun(newGrant("globex", "g1", "app")))
	w := startWatch(t, s, newWatch())
	if err := o.EraseOrganisation(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	change{"an erasure", nil, map[subject]int64{
		appSubject("acme", "app"): 0, grantSubject("acme", "a1"): 0, grantSubject("globex", "g1"): 0,
	}}.wantTold(t, w)
}

// grantsToldAcrossValues: by the next Fresh that speaks for it.
func grantsToldAcrossValues(t testing.TB, p grantPair) {
	changes := granting{t, p.there}.changes()
	w := startWatch(t, p.here, newWatch())
	for _, c := range changes {
		c.make()
	}
	returned := time.Now()
	if got := (granting{t, p.here}).grant("acme", "coded"); got.Revoked.IsZero() {
		t.Error("a revocation is read through the other value at once")
	}
	w.await(t, "Fresh after the changes through the other value", func() bool { return w.asOf.After(returned) })
	for _, c := range changes {
		c.wantTold(t, w)
	}
}
