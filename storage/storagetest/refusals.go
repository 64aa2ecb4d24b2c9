package storagetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// refusalCases: what Commit refuses, why, and that nothing is written then.
var refusalCases = []check[Store]{
	{"NoAudit", noAudit},
	{"CompareAndSet", compareAndSet},
	{"TakenNames", takenNames},
	{"PermanentFields", permanentFields},
	{"RevokedIsForEver", revokedIsForEver},
	{"Precedence", precedence},
	{"AllOrNothing", allOrNothing},
	{"KeyTwice", keyTwice},
	{"Text", text},
}

func noAudit(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	k.Name = "renamed"
	m := mutation(k, newKey("acme", "k2"))
	m.Audit = nil
	p.refused("no audit entry", m, storage.ErrNoAudit)
	m.Audit = []storage.Entry{}
	p.refused("empty audit", m, storage.ErrNoAudit)
	p.refused("nothing at all", storage.Mutation{}, storage.ErrNoAudit)
}

func compareAndSet(t testing.TB, s Store) {
	p := probe{t, s}
	first := p.create(newKey("acme", "k1"))[0]
	second := first
	first.Name, second.Name = "first", "second"
	p.commit(mutation(first))
	p.refused("update of an old version", mutation(second), storage.ErrConflict)
	second.Version = 3
	p.refused("update of a version to come", mutation(second), storage.ErrConflict)
	second.Version = -1
	p.refused("negative version", mutation(second), storage.ErrConflict)
	unknown := newKey("acme", "k2")
	unknown.Version = 1
	p.refused("update of an unknown key", mutation(unknown), storage.ErrNotFound)
}

func takenNames(t testing.TB, s Store) {
	p := probe{t, s}
	stored := p.create(newKey("acme", "k1"), newKey("acme", "k2"))[0]
	for _, organisation := range []string{"acme", "globex"} {
		id := newKey(organisation, "k1")
		id.Lookup = "another"
		p.refused("create with a taken ID in "+organisation, mutation(id), storage.ErrConflict)
		lookup := newKey(organisation, "k3")
		lookup.Lookup = "lookup-k1"
		p.refused("create with a taken Lookup in "+organisation, mutation(lookup), storage.ErrConflict)
	}
	stored.Lookup = "lookup-k2"
	p.refused("update to a taken Lookup", mutation(stored), storage.ErrConflict)
	a, b := newKey("acme", "a"), newKey("globex", "b")
	b.Lookup = a.Lookup
	p.refused("two new keys with one Lookup", mutation(a, b), storage.ErrConflict)
}

// permanent changes one fixed field each.
var permanent = map[string]func(*storage.Key){
	"Lineage":     func(k *storage.Key) { k.Lineage = "another" },
	"Format":      func(k *storage.Key) { k.Format = "another" },
	"Environment": func(k *storage.Key) { k.Environment = strikeplate.Test },
	"Access":      func(k *storage.Key) { k.Access = strikeplate.UserFull },
	"Scopes":      func(k *storage.Key) { k.Scopes = append(slices.Clone(k.Scopes), "meetings:write") },
	"Scopes gone": func(k *storage.Key) { k.Scopes = nil },
	"Scope order": func(k *storage.Key) { k.Scopes = []string{k.Scopes[1], k.Scopes[0]} },
	"Owner":       func(k *storage.Key) { k.Owner = "u-other" },
	"Creator":     func(k *storage.Key) { k.Creator = "" },
	"Created":     func(k *storage.Key) { k.Created = k.Created.Add(time.Second) },
	"no Created":  func(k *storage.Key) { k.Created = time.Time{} },
}

func permanentFields(t testing.TB, s Store) {
	p := probe{t, s}
	k := newKey("acme", "k1")
	k.Scopes = []string{"meetings:read", "summaries:read"}
	k = p.create(k)[0]
	for name, change := range permanent {
		changed := k
		change(&changed)
		p.refused("change of "+name, mutation(changed), storage.ErrPermanent)
	}
	k.Created = k.Created.In(time.FixedZone("", 3600))
	p.commit(mutation(k)) // the same moment
}

func revokedIsForEver(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	k.Revoked, k.RevokedBecause = noon, "leaked"
	p.commit(mutation(k))
	k = p.key("acme", "k1")
	for name, change := range map[string]func(*storage.Key){
		"un-revoke":      func(k *storage.Key) { k.Revoked = time.Time{} },
		"revoke again":   func(k *storage.Key) { k.Revoked = noon.Add(time.Hour) },
		"rename":         func(k *storage.Key) { k.Name = "renamed" },
		"another reason": func(k *storage.Key) { k.RevokedBecause = "not leaked" },
		"new secret":     func(k *storage.Key) { k.Lookup, k.Hash = "another", "$argon2id$new" },
		"old version":    func(k *storage.Key) { k.Version, k.Revoked = 1, time.Time{} },
		"nothing":        func(*storage.Key) {},
	} {
		changed := k
		change(&changed)
		p.refused(name, mutation(changed), storage.ErrRevoked)
	}
	imported := newKey("acme", "k2")
	imported.Revoked = noon
	if got := p.create(imported)[0]; got.Status(noon) != storage.Revoked {
		t.Errorf("a key created as revoked is %v", got.Status(noon))
	}
}

// precedence: a mutation with several faults names the first of them.
func precedence(t testing.TB, s Store) {
	p := probe{t, s}
	stored := p.create(newKey("acme", "live"), newKey("acme", "dead"))
	live, dead := stored[0], stored[1]
	dead.Revoked = noon
	p.commit(mutation(dead))

	all := dead // elsewhere, revoked, old, permanent, over the limit
	all.Organisation, all.Version, all.Format = "globex", 1, "another"
	m := limited(0, all)
	p.refused("ErrNotFound before the others", m, storage.ErrNotFound)
	m.Audit = nil
	p.refused("ErrNoAudit before the others", m, storage.ErrNoAudit)
	all.Organisation = "acme"
	p.refused("ErrRevoked before ErrConflict", limited(0, all), storage.ErrRevoked)
	stale := live
	stale.Version, stale.Format = 9, "another"
	p.refused("ErrConflict before ErrPermanent", limited(0, stale), storage.ErrConflict)
	stale.Version = 1
	p.refused("ErrPermanent before ErrLimit", limited(0, stale), storage.ErrPermanent)
	p.refused("ErrConflict before ErrLimit", limited(0, newKey("acme", "live")), storage.ErrConflict)
	p.refused("ErrLimit", limited(0, live), storage.ErrLimit)
}

func allOrNothing(t testing.TB, s Store) {
	p := probe{t, s}
	stored := p.create(newKey("acme", "k1"), newKey("acme", "k2"))
	good, bad := stored[0], stored[1]
	good.Name = "renamed"
	bad.Version = 5
	p.refused("good, then bad", mutation(good, newKey("acme", "k3"), bad), storage.ErrConflict)
	p.refused("bad, then good", mutation(bad, newKey("acme", "k3"), good), storage.ErrConflict)
	p.refused("over the limit", limited(2, good, newKey("acme", "k3")), storage.ErrLimit)
	m := mutation(good)
	m.Audit = append(m.Audit, storage.Entry{Organisation: "acme", Action: "a\x00b", At: noon})
	p.refused("an audit entry that cannot be stored", m, nil)
	p.commit(mutation(good, newKey("acme", "k3")))
}

func keyTwice(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	again := k
	again.Name = "renamed"
	p.refused("an update twice", mutation(k, again), nil)
	revoked := k
	revoked.Revoked = noon
	p.refused("revoked and renamed", mutation(revoked, again), nil)
	a, b := newKey("acme", "k2"), newKey("acme", "k2")
	b.Lookup = "another"
	p.refused("a creation twice", mutation(a, b), nil)
}

// text: what a backend cannot hold is refused, never cut short.
func text(t testing.TB, s Store) {
	p := probe{t, s}
	p.create(newKey("acme", "k1"))
	for name, change := range map[string]func(k *storage.Key, bad string){
		"ID":             func(k *storage.Key, bad string) { k.ID = bad },
		"Lookup":         func(k *storage.Key, bad string) { k.Lookup = bad },
		"Name":           func(k *storage.Key, bad string) { k.Name = bad },
		"Organisation":   func(k *storage.Key, bad string) { k.Organisation = bad },
		"Owner":          func(k *storage.Key, bad string) { k.Owner = bad },
		"Scopes":         func(k *storage.Key, bad string) { k.Scopes = []string{"fine", bad} },
		"Metadata":       func(k *storage.Key, bad string) { k.Metadata = map[string]string{"a": bad} },
		"Metadata name":  func(k *storage.Key, bad string) { k.Metadata = map[string]string{bad: "a"} },
		"Hash":           func(k *storage.Key, bad string) { k.Hash = bad },
		"RevokedBecause": func(k *storage.Key, bad string) { k.RevokedBecause = bad },
	} {
		for _, bad := range []string{"a\x00b", "\x00", "caf\xe9"} {
			k := newKey("acme", "k2")
			change(&k, bad)
			m := mutation(k)
			m.Audit = []storage.Entry{newEntry("acme", "k2")}
			p.refused(name, m, nil)
		}
	}
	for _, name := range []string{"ID", "Lookup", "Organisation"} {
		k := newKey("acme", "k2")
		switch name {
		case "ID":
			k.ID = ""
		case "Lookup":
			k.Lookup = ""
		case "Organisation":
			k.Organisation = ""
		}
		m := mutation(k)
		m.Audit = []storage.Entry{newEntry("acme", "k2")}
		p.refused("no "+name, m, nil)
	}
	long := newKey("acme", "k3")
	long.Name = strings.Repeat("long ", 20_000)
	if got := p.create(long)[0]; got.Name != long.Name {
		t.Errorf("a name of %d bytes came back with %d", len(long.Name), len(got.Name))
	}
}
