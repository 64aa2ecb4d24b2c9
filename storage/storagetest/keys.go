package storagetest

import (
	"context"
	"net/netip"
	"slices"
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
