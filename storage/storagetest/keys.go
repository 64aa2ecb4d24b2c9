package storagetest

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

var keyCases = slices.Concat(recordCases, refusalCases, listCases, limitCases, auditCases, feedCases)

// recordCases: what is written is what is read, by those who may.
var recordCases = []check[Store]{
	{"ReadBack", readBack},
	{"NilAndEmpty", nilAndEmpty},
	{"Epoch", epoch},
	{"UnknownIsNotFound", unknownIsNotFound},
	{"OtherOrganisation", otherOrganisation},
	{"Copies", copies},
	{"Update", update},
	{"Regenerate", regenerate},
	{"Revoke", revoke},
	{"SeveralOrganisations", severalOrganisations},
	{"AuditAlone", auditAlone},
	{"CancelledContext", cancelledContext},
}

// fullKey sets every field, with text from beyond ASCII.
func fullKey() storage.Key {
	k := newKey("acme", "k1")
	k.Lineage = "line-1"
	k.Name = "Zoë's clé 🔑 — “CI”, 日本語, \\ ' \" % _ \t\n"
	k.Environment, k.Access, k.Owner = strikeplate.Test, strikeplate.UserLimited, "u-zoë"
	k.Scopes = []string{"meetings:read", "action_items:write", "a,b {c}"}
	k.Allow = []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.7/32"),
		netip.MustParsePrefix("2001:db8::/48"), netip.MustParsePrefix("::/0"),
	}
	k.Metadata = map[string]string{"team": "plattform", "ключ": "значение", "empty": ""}
	k.Sealed = []byte{0, 1, 0xff, 0}
	k.SecretVersion = 7
	k.Created = time.Date(2025, 12, 31, 23, 59, 59, 123456000, time.FixedZone("", 2*60*60))
	k.Regenerated = noon.Add(-7654321 * time.Microsecond)
	k.Expires = noon.Add(1234567 * time.Microsecond)
	return k
}

func readBack(t testing.TB, s Store) {
	p := probe{t, s}
	want := fullKey()
	p.create(want)
	want.Version = 1
	got := p.key("acme", "k1")
	if d := diff(want, got); d != "" {
		t.Errorf("Key (-want +got):\n%s", d)
	}
	byLookup, err := s.KeyByLookup(t.Context(), want.Lookup)
	if d := diff(want, byLookup); d != "" || err != nil {
		t.Errorf("KeyByLookup: %v (-want +got):\n%s", err, d)
	}
	if d := diff([]storage.Key{want}, p.list(storage.Query{Organisation: "acme", Now: noon})); d != "" {
		t.Errorf("ListKeys (-want +got):\n%s", d)
	}
	if !got.Revoked.IsZero() {
		t.Errorf("Revoked: the zero time came back as %v", got.Revoked)
	}
	for _, at := range []time.Time{got.Created, got.Expires} {
		if at.Location() != time.UTC {
			t.Errorf("time %v is not in UTC", at)
		}
	}
	want = got
	want.Revoked, want.RevokedBecause = noon.Add(time.Microsecond), "leaked: найден"
	p.commit(mutation(want))
	want.Version = 2
	if d := diff(want, p.key("acme", "k1")); d != "" {
		t.Errorf("after the revocation (-want +got):\n%s", d)
	}
}

func nilAndEmpty(t testing.TB, s Store) {
	p := probe{t, s}
	empty := newKey("acme", "empty")
	empty.Scopes, empty.Allow, empty.Sealed = []string{}, []netip.Prefix{}, []byte{}
	empty.Metadata = map[string]string{}
	absent := newKey("acme", "absent")
	absent.Scopes = nil
	for _, k := range p.create(empty, absent) {
		if k.Scopes != nil || k.Allow != nil || k.Sealed != nil || k.Metadata != nil {
			t.Errorf("%s: want nil for what is empty, got %#v", k.ID, k)
		}
		k.Scopes = []string{} // not a change of a permanent field
		p.commit(mutation(k))
	}
}

// epoch: a key that expired in 1970 must not come back as one that never does.
func epoch(t testing.TB, s Store) {
	k := newKey("acme", "k1")
	k.Created, k.Expires = time.Unix(-1, 0), time.Unix(0, 0)
	got := probe{t, s}.create(k)[0]
	if !got.Expires.Equal(k.Expires) || !got.Created.Equal(k.Created) || got.Status(noon) != storage.Expired {
		t.Errorf("created %v, expires %v: came back as %v, %v", k.Created, k.Expires, got.Created, got.Expires)
	}
}

func unknownIsNotFound(t testing.TB, s Store) {
	p := probe{t, s}
	p.create(newKey("acme", "k1"))
	for _, text := range []string{"", "k2", "LOOKUP-K1", "lookup-k1 ", "lookup-k%", "a\x00b", "lookup-k1\x00", "\xff"} {
		_, err := s.KeyByLookup(t.Context(), text)
		wantOnly(t, "KeyByLookup of "+text, err, storage.ErrNotFound)
		_, err = s.Key(t.Context(), "acme", text)
		wantOnly(t, "Key of "+text, err, storage.ErrNotFound)
		_, err = s.Key(t.Context(), text, "k1")
		wantOnly(t, "Key of organisation "+text, err, storage.ErrNotFound)
	}
}

func otherOrganisation(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	p.create(newKey("globex", "k2"))
	for _, other := range []string{"globex", "nobody", ""} {
		_, err := s.Key(t.Context(), other, "k1")
		wantOnly(t, "Key from "+other, err, storage.ErrNotFound)
		page, _, err := s.ListKeys(t.Context(), storage.Query{Organisation: other, Now: noon})
		if err == nil && slices.Contains(ids(page), "k1") {
			t.Errorf("ListKeys of %q shows another organisation's key", other)
		}
		entries, _, err := s.Entries(t.Context(), storage.Query{Organisation: other})
		for _, e := range entries {
			if e.Organisation != other || err != nil {
				t.Errorf("Entries of %q shows %+v", other, e)
			}
		}
	}
	k.Organisation, k.Name = "globex", "taken over"
	p.refused("update from another organisation", mutation(k), storage.ErrNotFound)
}

// copies: nobody shares memory with the store. What it should hold is made anew
// for each comparison: a snapshot read from it might be shared as well.
func copies(t testing.TB, s Store) {
	p := probe{t, s}
	fullMutation := func() storage.Mutation {
		m := mutation(fullKey())
		m.Audit[0].After = []byte(`{"name":"x"}`)
		m.Audit[0].Actor.Scopes = []string{"keys:write"}
		return m
	}
	intact := func(whatChanged string) {
		t.Helper()
		k, m := fullKey(), fullMutation()
		k.Version = 1
		got := p.everything()
		got.Entries[0].Position = 0
		if d := diff(snapshot{[]storage.Key{k}, m.Audit}, got); d != "" {
			t.Fatalf("changing %s changed the store (-want +got):\n%s", whatChanged, d)
		}
		for _, read := range []func() (storage.Key, error){
			func() (storage.Key, error) { return s.Key(t.Context(), "acme", "k1") },
			func() (storage.Key, error) { return s.KeyByLookup(t.Context(), k.Lookup) },
		} {
			got, err := read()
			if d := diff(k, got); d != "" || err != nil {
				t.Fatalf("changing %s changed the store: %v (-want +got):\n%s", whatChanged, err, d)
			}
			scribble(&got)
		}
	}
	m := fullMutation()
	p.commit(m)
	scribble(&m.Put[0])
	m.Audit[0].After[2], m.Audit[0].Actor.Scopes[0] = 'X', "scribbled"
	intact("what was passed to Commit")
	intact("what Key and KeyByLookup returned")
	read := p.everything()
	scribble(&read.Keys[0])
	read.Entries[0].After[2], read.Entries[0].Actor.Scopes[0] = 'X', "scribbled"
	intact("what ListKeys and Entries returned")
}

// scribble writes into all that k points to.
func scribble(k *storage.Key) {
	k.Scopes[0] = "scribbled"
	k.Allow[0] = netip.MustParsePrefix("203.0.113.0/24")
	k.Metadata["scribbled"] = "yes"
	k.Sealed[0]++
}

func update(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	if k.Version != 1 {
		t.Fatalf("a new key has Version %d, want 1", k.Version)
	}
	k.Name, k.Last4, k.Hash, k.Sealed = "renamed", "zzzz", "$argon2id$new", []byte{9}
	k.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	k.Metadata = map[string]string{"a": "b"}
	k.Expires = noon.Add(time.Hour)
	p.commit(mutation(k))
	k.Version = 2
	if d := diff(k, p.key("acme", "k1")); d != "" {
		t.Errorf("every field that may change (-want +got):\n%s", d)
	}
	k.Allow, k.Metadata, k.Sealed, k.Expires = nil, nil, nil, time.Time{}
	p.commit(mutation(k))
	k.Version = 3
	if d := diff(k, p.key("acme", "k1")); d != "" {
		t.Errorf("fields emptied again (-want +got):\n%s", d)
	}
	if got := len(p.list(storage.Query{Organisation: "acme", Now: noon})); got != 1 {
		t.Errorf("%d keys after updates of one", got)
	}
}

// regenerate: same ID, new credential; the old one is gone at once.
func regenerate(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	old := k.Lookup
	k.Lookup, k.Hash, k.SecretVersion, k.Last4, k.Regenerated = "lookup-new", "$argon2id$new", 2, "yyyy", noon
	p.commit(mutation(k))
	_, err := s.KeyByLookup(t.Context(), old)
	wantOnly(t, "KeyByLookup of the old Lookup", err, storage.ErrNotFound)
	k.Version = 2
	got, err := s.KeyByLookup(t.Context(), "lookup-new")
	if d := diff(k, got); d != "" || err != nil {
		t.Errorf("KeyByLookup of the new Lookup: %v (-want +got):\n%s", err, d)
	}
	other := newKey("globex", "k2")
	other.Lookup = old
	p.create(other) // the old Lookup is free
}

func revoke(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	k.Revoked, k.RevokedBecause = noon, "left the company"
	p.commit(mutation(k))
	got, err := s.KeyByLookup(t.Context(), k.Lookup)
	if err != nil || got.Status(noon) != storage.Revoked || got.RevokedBecause != k.RevokedBecause {
		t.Errorf("a revoked key is found and says so; got %+v, %v", got, err)
	}
}

func severalOrganisations(t testing.TB, s Store) {
	p := probe{t, s}
	stored := p.create(newKey("acme", "k1"), newKey("globex", "k2"))
	stored[0].Name = "renamed"
	p.commit(mutation(stored[0], newKey("globex", "k3")))
	if got := p.key("acme", "k1").Name; got != "renamed" {
		t.Errorf("name %q", got)
	}
	if got := ids(p.list(storage.Query{Organisation: "globex", Now: noon})); len(got) != 2 {
		t.Errorf("globex has %v", got)
	}
}

// auditAlone: a denied attempt is recorded without a change.
func auditAlone(t testing.TB, s Store) {
	p := probe{t, s}
	p.commit(storage.Mutation{Now: noon, Audit: []storage.Entry{newEntry("acme", "k1")}})
	if got, _ := p.entries(storage.Query{Organisation: "acme"}); len(got) != 1 {
		t.Errorf("%d entries, want 1", len(got))
	}
}

func cancelledContext(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	before := p.everything()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.Name = "renamed"
	q := storage.Query{Organisation: "acme", Now: noon}
	for name, call := range map[string]func() error{
		"KeyByLookup": func() error { _, err := s.KeyByLookup(ctx, k.Lookup); return err },
		"Key":         func() error { _, err := s.Key(ctx, "acme", "k1"); return err },
		"unknown Key": func() error { _, err := s.Key(ctx, "acme", "k2"); return err },
		"ListKeys":    func() error { _, _, err := s.ListKeys(ctx, q); return err },
		"Entries":     func() error { _, _, err := s.Entries(ctx, q); return err },
		"Commit":      func() error { return s.Commit(ctx, mutation(k)) },
		"Watch":       func() error { return s.Watch(ctx, newWatch()) },
	} {
		promptly(t, name, func() {
			if err := call(); err == nil || isSentinel(err) {
				t.Errorf("%s with a cancelled context: %v", name, err)
			}
		})
	}
	if d := diff(before, p.everything()); d != "" {
		t.Errorf("a cancelled Commit wrote:\n%s", d)
	}
}

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
