package storagetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/storage"
)

// listCases: pages of keys.
var listCases = []check[Store]{
	{"NewestFirst", newestFirst},
	{"PagingWithInserts", pagingWithInserts},
	{"SameCreated", sameCreated},
	{"StatusFilters", statusFilters},
	{"SparsePages", sparsePages},
	{"OneLineage", oneLineage},
	{"PageSizes", pageSizes},
	{"KeyCursors", keyCursors},
}

// newestFirst: Created decides, whatever the order of creation.
func newestFirst(t testing.TB, s Store) {
	p := probe{t, s}
	keys := newKeys("acme", 12)
	for _, i := range rand.Perm(len(keys)) {
		p.create(keys[i])
	}
	want := ids(keys)
	slices.Reverse(want)
	for _, limit := range []int{0, 1, 5, 12} {
		got := ids(p.list(storage.Query{Organisation: "acme", Now: noon, Limit: limit}))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, d)
		}
	}
	if got := p.list(storage.Query{Organisation: "nobody", Now: noon}); len(got) != 0 {
		t.Errorf("an organisation without keys lists %v", ids(got))
	}
}

func pagingWithInserts(t testing.TB, s Store) {
	p := probe{t, s}
	keys := newKeys("acme", 30)
	p.create(keys...)
	first, next, err := s.ListKeys(t.Context(), storage.Query{Organisation: "acme", Now: noon, Limit: 10})
	if err != nil || len(first) != 10 || next == "" {
		t.Fatalf("first page: %d keys, next %q, %v", len(first), next, err)
	}
	for i := range 15 { // newer than the first page, and in the midst of it
		k := newKey("acme", fmt.Sprintf("new%d", i))
		k.Created = noon.Add(time.Duration(21+i) * time.Minute).Add(time.Second)
		p.create(k)
	}
	changed := p.key("acme", "k0025")
	changed.Name = "renamed"
	p.commit(mutation(changed))
	rest := p.list(storage.Query{Organisation: "acme", Now: noon, Limit: 10, Cursor: next})
	want := ids(keys[:20])
	slices.Reverse(want)
	if d := cmp.Diff(want, ids(rest)); d != "" {
		t.Errorf("pages after inserts (-want +got):\n%s", d)
	}
}

func sameCreated(t testing.TB, s Store) {
	p := probe{t, s}
	keys := newKeys("acme", 23)
	for i := range keys {
		keys[i].Created = noon
	}
	p.create(keys...)
	got := ids(p.list(storage.Query{Organisation: "acme", Now: noon, Limit: 4}))
	slices.Sort(got)
	if d := cmp.Diff(ids(keys), got); d != "" {
		t.Errorf("keys of one moment, in pages of 4 (-want +got):\n%s", d)
	}
}

func statusFilters(t testing.TB, s Store) {
	p := probe{t, s}
	keys := newKeys("acme", 5)
	keys[1].Expires = noon
	keys[2].Expires = noon.Add(time.Hour)
	keys[3].Revoked = noon
	keys[4].Revoked, keys[4].Expires = noon, noon
	p.create(keys...)
	for _, c := range []struct {
		status storage.Status
		now    time.Time
		want   []string
	}{
		{storage.AnyStatus, noon, []string{"k0004", "k0003", "k0002", "k0001", "k0000"}},
		{storage.Active, noon, []string{"k0002", "k0000"}},
		{storage.Active, noon.Add(-time.Microsecond), []string{"k0002", "k0001", "k0000"}},
		{storage.Active, noon.Add(time.Hour), []string{"k0000"}},
		{storage.Expired, noon, []string{"k0001"}},
		{storage.Expired, noon.Add(-time.Microsecond), nil},
		{storage.Expired, noon.Add(time.Hour), []string{"k0002", "k0001"}},
		{storage.Revoked, noon, []string{"k0004", "k0003"}},
		{storage.Revoked, noon.Add(-time.Hour), []string{"k0004", "k0003"}},
		{storage.Unrevoked, noon, []string{"k0002", "k0001", "k0000"}},
		{storage.Unrevoked, noon.Add(time.Hour), []string{"k0002", "k0001", "k0000"}},
	} {
		got := ids(p.list(storage.Query{Organisation: "acme", Status: c.status, Now: c.now, Limit: 2}))
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("status %q at %v (-want +got):\n%s", c.status, c.now, d)
		}
	}
}

// sparsePages: a page holds matches, however many keys lie between them.
func sparsePages(t testing.TB, s Store) {
	p := probe{t, s}
	keys := newKeys("acme", 200)
	var want []string
	for i := range keys {
		if i%40 == 7 {
			keys[i].Revoked = noon
			want = append(want, keys[i].ID)
		}
	}
	p.create(keys...)
	slices.Reverse(want)
	q := storage.Query{Organisation: "acme", Status: storage.Revoked, Now: noon, Limit: 2}
	if d := cmp.Diff(want, ids(p.list(q))); d != "" {
		t.Errorf("revoked keys among many (-want +got):\n%s", d)
	}
	page, next, err := s.ListKeys(t.Context(), q)
	if len(page) != 2 || next == "" || err != nil {
		t.Errorf("first page: %v, next %q, %v", ids(page), next, err)
	}
}

// oneLineage: a key's line of successors, found among the organisation's others.
func oneLineage(t testing.TB, s Store) {
	p := probe{t, s}
	keys := newKeys("acme", 60)
	var want []string
	for i := range keys {
		keys[i].Lineage = fmt.Sprintf("line-%d", i%7)
		if i%7 == 3 {
			want = append(want, keys[i].ID)
		}
	}
	keys[3].Revoked = noon
	p.create(keys...)
	stranger := newKey("globex", "g1")
	stranger.Lineage = "line-3"
	p.create(stranger)
	slices.Reverse(want)
	q := storage.Query{Organisation: "acme", Lineage: "line-3", Now: noon, Limit: 2}
	if d := cmp.Diff(want, ids(p.list(q))); d != "" {
		t.Errorf("one lineage (-want +got):\n%s", d)
	}
	q.Status = storage.Active
	if d := cmp.Diff(want[:len(want)-1], ids(p.list(q))); d != "" {
		t.Errorf("its active keys (-want +got):\n%s", d)
	}
	for _, nobodys := range []string{"line-8", "LINE-3", "line-3 ", "line-%", "line-3\x00"} {
		q.Lineage = nobodys
		if got := p.list(q); len(got) != 0 {
			t.Errorf("lineage %q lists %v", nobodys, ids(got))
		}
	}
}

func pageSizes(t testing.TB, s Store) {
	p := probe{t, s}
	p.create(newKeys("acme", 1001)...)
	for limit, want := range map[int]int{0: 50, -3: 50, 1: 1, 50: 50, 1000: 1000, 5000: 1000} {
		q := storage.Query{Organisation: "acme", Now: noon, Limit: limit}
		page, next, err := s.ListKeys(t.Context(), q)
		if err != nil || len(page) != want || next == "" {
			t.Errorf("Limit %d: %d keys, next %q, %v; want %d and a next page", limit, len(page), next, err, want)
		}
		q.Cursor = next
		if limit < 1000 {
			continue
		}
		if page, next, err = s.ListKeys(t.Context(), q); len(page) != 1 || next != "" || err != nil {
			t.Errorf("Limit %d, last page: %d keys, next %q, %v", limit, len(page), next, err)
		}
	}
	p.create(newKey("globex", "g1"), newKey("globex", "g2"))
	page, next, err := s.ListKeys(t.Context(), storage.Query{Organisation: "globex", Now: noon, Limit: 2})
	if len(page) != 2 || next != "" || err != nil {
		t.Errorf("a last page that is full: %v, next %q, %v; want no next", ids(page), next, err)
	}
}

var badCursors = []string{"x", "-", "0", "!!!", "\x00", "\xff", "AAAA", "MTIz", "99999999999999999999999", "' OR 1=1 --"}

func keyCursors(t testing.TB, s Store) {
	p := probe{t, s}
	p.create(newKeys("acme", 5)...)
	other := newKeys("globex", 5)
	for i := range other {
		other[i].ID, other[i].Lookup = "g"+other[i].ID, "g"+other[i].Lookup
	}
	p.create(other...)
	for _, bad := range badCursors {
		page, _, err := s.ListKeys(t.Context(), storage.Query{Organisation: "acme", Now: noon, Cursor: bad})
		if len(page) != 0 {
			t.Errorf("cursor %q: a page of %d", bad, len(page))
		}
		wantOnly(t, fmt.Sprintf("cursor %q", bad), err, storage.ErrNotFound)
	}
	_, next, err := s.ListKeys(t.Context(), storage.Query{Organisation: "acme", Now: noon, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	page, _, err := s.ListKeys(t.Context(), storage.Query{Organisation: "globex", Now: noon, Cursor: next})
	if err != nil {
		wantOnly(t, "another organisation's cursor", err, storage.ErrNotFound)
	}
	for _, k := range page {
		if k.Organisation != "globex" {
			t.Errorf("another organisation's cursor shows its key %s", k.ID)
		}
	}
}
