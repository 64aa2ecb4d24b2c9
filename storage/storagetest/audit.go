package storagetest

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// auditCases: the log of who did what.
var auditCases = []check[Store]{
	{"AuditReadBack", auditReadBack},
	{"AuditPages", auditPages},
	{"AuditContinued", auditContinued},
	{"AuditNewest", auditNewest},
	{"AuditCursors", auditCursors},
}

func auditReadBack(t testing.TB, s Store) {
	p := probe{t, s}
	full := storage.Entry{
		Organisation: "acme", Action: "key.renamed", Target: "k1",
		At: time.Date(2026, 3, 1, 14, 0, 0, 654321000, time.FixedZone("", -3600)),
		Actor: storage.Actor{
			User: "u-zoë", Organisation: "globex", Role: "support", Scopes: []string{"keys:write", "a,b"},
			Client: netip.MustParseAddr("2001:db8::7"),
		},
		Before: []byte(`{"name":"älter","tags":[1,null]}`), After: []byte(`{"name":"neu \"x\""}`),
	}
	v4 := newEntry("acme", "k1")
	v4.Actor.Client = netip.MustParseAddr("192.0.2.9")
	bare := storage.Entry{Organisation: "acme", Actor: storage.Actor{Scopes: []string{}}, Before: []byte{}}
	p.commit(storage.Mutation{Now: noon, Audit: []storage.Entry{full, v4, bare}})
	got, _ := p.entries(storage.Query{Organisation: "acme"})
	bare.Actor.Scopes, bare.Before = nil, nil
	want := []storage.Entry{full, v4, bare}
	for i := range got {
		if i > 0 && got[i].Position <= got[i-1].Position {
			t.Errorf("position %d after %d", got[i].Position, got[i-1].Position)
		}
		if got[i].At.Location() != time.UTC {
			t.Errorf("time %v is not in UTC", got[i].At)
		}
		got[i].Position = 0
	}
	if d := diff(want, got); d != "" {
		t.Errorf("Entries (-want +got):\n%s", d)
	}
}

func auditPages(t testing.TB, s Store) {
	p := probe{t, s}
	for i := range 7 {
		m := storage.Mutation{Now: noon}
		for j := range 9 {
			m.Audit = append(m.Audit, newEntry("acme", fmt.Sprintf("k%d", i*9+j)), newEntry("globex", "g"))
		}
		p.commit(m)
	}
	for limit, want := range map[int]int{0: 50, 10: 10, 63: 63, 1000: 63} {
		q := storage.Query{Organisation: "acme", Limit: limit}
		page, _, err := s.Entries(t.Context(), q)
		if err != nil || len(page) != want {
			t.Errorf("Limit %d: %d entries, %v; want %d", limit, len(page), err, want)
		}
		all, _ := p.entries(q)
		wantTargets(t, all, 0, 63)
	}
}

// auditContinued: the cursor of the last page, and that of an empty log, show
// later what was committed meanwhile, and only that.
func auditContinued(t testing.TB, s Store) {
	p := probe{t, s}
	q := storage.Query{Organisation: "acme", Limit: 4}
	all, start := p.entries(q)
	if len(all) != 0 {
		t.Fatalf("a new log has %d entries", len(all))
	}
	q.Cursor = start
	for i := range 3 {
		p.commit(mutation(newKey("globex", fmt.Sprintf("g%d", i))))
		m := storage.Mutation{Now: noon}
		for j := range 6 {
			m.Audit = append(m.Audit, newEntry("acme", fmt.Sprintf("k%d", i*6+j)))
		}
		p.commit(m)
		var fresh []storage.Entry
		fresh, q.Cursor = p.entries(q)
		wantTargets(t, fresh, i*6, i*6+6)
	}
	again, _ := p.entries(storage.Query{Organisation: "acme", Cursor: start})
	wantTargets(t, again, 0, 18)
}

// auditNewest: the log from its end, page by page, and no further than its
// beginning.
func auditNewest(t testing.TB, s Store) {
	p := probe{t, s}
	newest := storage.Query{Organisation: "acme", Newest: true}
	if page, next, err := s.Entries(t.Context(), newest); len(page) != 0 || next != "" || err != nil {
		t.Fatalf("a new log: %d entries, cursor %q, %v", len(page), next, err)
	}
	const all = 12
	for i := range all {
		p.commit(storage.Mutation{Now: noon, Audit: []storage.Entry{newEntry("acme", fmt.Sprintf("k%d", i)), newEntry("globex", "g")}})
	}
	for _, limit := range []int{1, 4, 5, all, all + 1} {
		q, pages := newest, 0
		q.Limit = limit
		var read []storage.Entry
		for {
			page, next, err := s.Entries(t.Context(), q)
			if err != nil || len(page) == 0 || len(page) > limit {
				t.Fatalf("Limit %d: a page of %d, %v", limit, len(page), err)
			}
			read = append(read, page...)
			if q.Cursor, pages = next, pages+1; next == "" {
				break
			}
			// What comes meanwhile is newer, and not seen.
			p.commit(mutation(newKey("globex", fmt.Sprintf("g%d-%d", limit, pages))))
		}
		slices.Reverse(read)
		wantTargets(t, read, 0, all)
		if want := (all + limit - 1) / limit; pages != want {
			t.Errorf("Limit %d: %d pages, want %d", limit, pages, want)
		}
	}
	q := newest
	q.Limit = 2
	_, q.Cursor, _ = s.Entries(t.Context(), q)
	p.commit(storage.Mutation{Now: noon, Audit: []storage.Entry{newEntry("acme", "later")}})
	page, _, err := s.Entries(t.Context(), q)
	if err != nil || len(page) != 2 || page[0].Target != "k9" || page[1].Target != "k8" {
		t.Errorf("continued after another commit: %+v, %v", page, err)
	}
	if page, _, err := s.Entries(t.Context(), newest); err != nil || page[0].Target != "later" {
		t.Errorf("begun again: %+v, %v", page, err)
	}
}

// wantTargets fails unless the entries are of the keys k<from> to k<to-1>.
func wantTargets(t testing.TB, entries []storage.Entry, from, to int) {
	t.Helper()
	if len(entries) != to-from {
		t.Fatalf("%d entries, want %d", len(entries), to-from)
	}
	for i, e := range entries {
		if want := fmt.Sprintf("k%d", from+i); e.Target != want || e.Organisation != "acme" {
			t.Fatalf("entry %d is about %s of %s, want %s of acme", i, e.Target, e.Organisation, want)
		}
	}
}

func auditCursors(t testing.TB, s Store) {
	p := probe{t, s}
	p.commit(mutation(newKeys("acme", 3)...))
	p.commit(mutation(newKey("globex", "g1")))
	for _, bad := range badCursors {
		if bad == "0" {
			continue // may well be the cursor of the beginning
		}
		for _, newest := range []bool{false, true} {
			page, _, err := s.Entries(t.Context(), storage.Query{Organisation: "acme", Cursor: bad, Newest: newest})
			if len(page) != 0 {
				t.Errorf("cursor %q: a page of %d", bad, len(page))
			}
			wantOnly(t, fmt.Sprintf("cursor %q", bad), err, storage.ErrNotFound)
		}
	}
	_, next, err := s.Entries(t.Context(), storage.Query{Organisation: "acme", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	page, _, err := s.Entries(t.Context(), storage.Query{Organisation: "globex", Cursor: next})
	if err != nil {
		wantOnly(t, "another organisation's cursor", err, storage.ErrNotFound)
	}
	for _, e := range page {
		if e.Organisation != "globex" {
			t.Errorf("another organisation's cursor shows its entry %+v", e)
		}
	}
}
