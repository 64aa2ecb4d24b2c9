package storagetest

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// retentionCases: entries and addresses that have been kept long enough.
var retentionCases = []check[Operated]{
	{"Trim", trim},
	{"TrimOldestFirst", trimOldestFirst},
	{"TrimBySheerAge", trimByAge},
	{"TrimmedReader", trimmedReader},
	{"Forget", forget},
	{"ForgetOldestFirst", forgetOldestFirst},
}

// trim: from before the moment, all of it, and nothing else.
func trim(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	if n := u.trim(noon.Add(time.Hour), 0); n != 0 {
		t.Errorf("%d entries of an empty log were trimmed", n)
	}
	acme, globex := u.log("acme", 5), u.log("globex", 3)
	u.commit(mutation(newKey("acme", "k1")))
	k := u.key("acme", "k1")
	newest, _ := u.entries(storage.Query{Organisation: "acme"})
	if n := u.trim(noon, 0); n != 0 {
		t.Errorf("%d entries were trimmed, and none is from before noon", n)
	}
	if n := u.trim(noon.Add(2*time.Minute), 0); n != 5 {
		t.Errorf("%d entries were trimmed, want 5: two minutes of two logs, and a key's", n)
	}
	for organisation, want := range map[string][]storage.Entry{"acme": acme[2:], "globex": globex[2:]} {
		got, _ := u.entries(storage.Query{Organisation: organisation})
		wantEntries(t, organisation+", trimmed", got, want) // with their Positions
	}
	if n := u.trim(noon.Add(2*time.Minute), 0); n != 0 {
		t.Errorf("%d entries were trimmed twice", n)
	}
	if d := diff(k, u.key("acme", "k1")); d != "" {
		t.Errorf("trimming the log changed a key:\n%s", d)
	}
	if n := u.trim(noon.Add(time.Hour), 0); n != 4 {
		t.Errorf("%d entries were trimmed, want the remaining 4", n)
	}
	if more := u.log("acme", 1); more[0].Position <= newest[5].Position {
		t.Errorf("after the log was emptied it continues with %d, and had %d", more[0].Position, newest[5].Position)
	}
}

// trimOldestFirst: a limited call takes the oldest, across organisations.
func trimOldestFirst(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	want := map[string][]storage.Entry{"acme": u.log("acme", 10), "globex": u.log("globex", 10)}
	for left := 20; left > 0; {
		n := u.trim(noon.Add(time.Hour), 6)
		if left -= n; n != min(6, left+n) {
			t.Fatalf("limit 6: %d entries were trimmed", n)
		}
		var got []storage.Entry
		for organisation, all := range want {
			kept, _ := u.entries(storage.Query{Organisation: organisation})
			wantEntries(t, organisation+", trimmed", kept, all[len(all)-len(kept):])
			got = append(got, kept...)
		}
		slices.SortFunc(got, func(a, b storage.Entry) int { return a.At.Compare(b.At) })
		if len(got) != left || left > 0 && got[0].At.Before(noon.Add(time.Duration((20-left)/2)*time.Minute)) {
			t.Fatalf("of %d entries %d are kept, from %v on", 20, len(got), got[0].At)
		}
	}
	u.log("acme", 1100)
	if n := u.trim(noon.Add(1000*time.Hour), 0); n != 1000 {
		t.Errorf("limit 0: %d entries were trimmed, want 1000", n)
	}
}

// trimByAge: an entry's At counts, wherever in the log it stands.
func trimByAge(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	m := storage.Mutation{Now: noon}
	for i, minute := range []int{5, 1, 7, 0, 9, 2} {
		e := newEntry("acme", fmt.Sprint("k", i))
		e.At = noon.Add(time.Duration(minute) * time.Minute)
		m.Audit = append(m.Audit, e)
	}
	u.commit(m)
	all, start := u.entries(storage.Query{Organisation: "acme"})
	u.undelivered("export", 1)
	if n := u.trim(noon.Add(5*time.Minute), 2); n != 2 {
		t.Errorf("%d entries were trimmed, want 2", n)
	}
	kept, _ := u.entries(storage.Query{Organisation: "acme"})
	wantEntries(t, "the two oldest trimmed", kept, []storage.Entry{all[0], all[2], all[4], all[5]})
	u.trim(noon.Add(5*time.Minute), 2)
	want := []storage.Entry{all[0], all[2], all[4]}
	kept, _ = u.entries(storage.Query{Organisation: "acme", Limit: 1})
	wantEntries(t, "page by page", kept, want)
	wantEntries(t, "delivered", u.undelivered("export", 10), want)
	u.acknowledge("export", all[4])
	wantEntries(t, "delivered, all", u.undelivered("export", 10), nil)
	fresh, _ := u.entries(storage.Query{Organisation: "acme", Cursor: start})
	wantEntries(t, "behind the end", fresh, nil)
}

// trimmedReader: whatever its cursor, a reader continues with what is kept.
func trimmedReader(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	_, start := u.entries(storage.Query{Organisation: "acme"})
	all := u.log("acme", 8)
	cursors := []string{start}
	for q := (storage.Query{Organisation: "acme", Limit: 1}); len(cursors) <= len(all); {
		_, next, err := s.Entries(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		cursors, q.Cursor = append(cursors, next), next
	}
	read := func(what string, want func(seen int) []storage.Entry) {
		t.Helper()
		for seen, cursor := range cursors {
			got, next := u.entries(storage.Query{Organisation: "acme", Cursor: cursor, Limit: 2})
			wantEntries(t, fmt.Sprintf("%s, having seen %d", what, seen), got, want(seen))
			again, _ := u.entries(storage.Query{Organisation: "acme", Cursor: next})
			wantEntries(t, fmt.Sprintf("%s, having seen %d and then the rest", what, seen), again, nil)
		}
	}
	u.trim(noon.Add(5*time.Minute), 0)
	read("5 of 8 trimmed", func(seen int) []storage.Entry { return all[max(seen, 5):] })
	u.trim(noon.Add(time.Hour), 0)
	read("all trimmed", func(int) []storage.Entry { return nil })
	more := u.log("acme", 3)
	for seen, cursor := range cursors {
		got, _ := u.entries(storage.Query{Organisation: "acme", Cursor: cursor, Limit: 2})
		wantEntries(t, fmt.Sprintf("all trimmed, and more came, having seen %d", seen), got, more)
	}
}

// addresses commits entries of which every other one has an address.
func (u upkeep) addresses(organisation string, n int) []storage.Entry {
	u.t.Helper()
	m := storage.Mutation{Now: noon}
	for i := range n {
		e := newEntry(organisation, fmt.Sprint("k", i))
		e.At = noon.Add(time.Duration(i) * time.Minute)
		e.Before, e.After = []byte(`{"name":"a"}`), []byte(`{"name":"b"}`)
		if i%2 == 0 {
			e.Actor.Client = netip.MustParseAddr([]string{"192.0.2.9", "2001:db8::7"}[i/2%2])
		}
		m.Audit = append(m.Audit, e)
	}
	u.commit(m)
	all, _ := u.entries(storage.Query{Organisation: organisation, Limit: 1000})
	return all
}

// without are entries as they should be when those before i have no address.
func without(all []storage.Entry, i int) []storage.Entry {
	all = slices.Clone(all)
	for j := range min(i, len(all)) {
		all[j].Actor.Client = netip.Addr{}
	}
	return all
}

// forget: the address goes, all else stays.
func forget(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	acme, globex := u.addresses("acme", 6), u.addresses("globex", 3)
	if n := u.forget(noon, 0); n != 0 {
		t.Errorf("%d addresses were forgotten, and none is from before noon", n)
	}
	if n := u.forget(noon.Add(4*time.Minute), 0); n != 4 {
		t.Errorf("%d addresses were forgotten, want 4", n)
	}
	for organisation, want := range map[string][]storage.Entry{"acme": without(acme, 4), "globex": without(globex, 4)} {
		got, _ := u.entries(storage.Query{Organisation: organisation})
		wantEntries(t, organisation, got, want)
	}
	if n := u.forget(noon.Add(4*time.Minute), 0); n != 0 {
		t.Errorf("%d addresses were forgotten twice", n)
	}
	if n := u.forget(noon.Add(time.Hour), 0); n != 1 {
		t.Errorf("%d addresses were forgotten, want the last one", n)
	}
	delivered := u.undelivered("export", 20)
	delivered = slices.DeleteFunc(delivered, func(e storage.Entry) bool { return e.Organisation != "acme" })
	wantEntries(t, "delivered", delivered, without(acme, 6))
}

func forgetOldestFirst(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	all := u.addresses("acme", 20)
	for left := 10; left > 0; {
		n := u.forget(noon.Add(time.Hour), 4)
		if left -= n; n != min(4, left+n) {
			t.Fatalf("limit 4: %d addresses were forgotten", n)
		}
		got, _ := u.entries(storage.Query{Organisation: "acme"})
		wantEntries(t, fmt.Sprint(10-left, " addresses forgotten"), got, without(all, 2*(10-left)))
	}
}
