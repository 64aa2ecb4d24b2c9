package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// erasureCases: an organisation leaves for good.
var erasureCases = []check[Operated]{
	{"Erase", erase},
	{"EraseNothing", eraseNothing},
	{"EraseTold", eraseTold},
	{"EraseAndReturn", eraseAndReturn},
	{"EraseLongLog", eraseLongLog},
}

// settled gives an organisation one of everything: keys of each status, an
// account, users.
func (u upkeep) settled(organisation string) []storage.Key {
	u.t.Helper()
	var keys []storage.Key
	for _, id := range []string{"active", "expired", "revoked"} {
		keys = append(keys, newKey(organisation, id+" of "+organisation))
	}
	keys[1].Expires, keys[2].Revoked = noon, noon
	keys = u.create(keys...)
	putAccount(u.t, u.s, storage.Account{Organisation: organisation, Plan: "pro"})
	for _, id := range []string{"u1", "u2"} {
		putUser(u.t, u.s, storage.User{ID: id + " of " + organisation, Organisation: organisation, Active: true})
	}
	return keys
}

// gone fails if anything of a settled organisation can still be read.
func (u upkeep) gone(organisation string, keys []storage.Key) {
	u.t.Helper()
	ctx := u.t.Context()
	for _, k := range keys {
		_, err := u.s.Key(ctx, organisation, k.ID)
		wantOnly(u.t, k.ID, err, storage.ErrNotFound)
		_, err = u.s.KeyByLookup(ctx, k.Lookup)
		wantOnly(u.t, k.ID+" by its Lookup", err, storage.ErrNotFound)
	}
	if left := u.list(storage.Query{Organisation: organisation, Now: noon}); len(left) > 0 {
		u.t.Errorf("%s still lists %d keys", organisation, len(left))
	}
	if left, _ := u.entries(storage.Query{Organisation: organisation}); len(left) > 0 {
		u.t.Errorf("%s still has %d entries", organisation, len(left))
	}
	_, err := u.s.Account(ctx, organisation)
	wantOnly(u.t, "the account", err, storage.ErrNotFound)
	for _, id := range []string{"u1", "u2"} {
		_, err := u.s.User(ctx, organisation, id+" of "+organisation)
		wantOnly(u.t, "user "+id, err, storage.ErrNotFound)
	}
	if slices.Contains(u.organisations("", 0), organisation) {
		u.t.Errorf("%s is still listed", organisation)
	}
}

func erase(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	keys := u.settled("acme")
	u.settled("globex")
	others := func() (all []any) {
		page, _ := u.entries(storage.Query{Organisation: "globex"})
		a, err := s.Account(t.Context(), "globex")
		one, err1 := s.User(t.Context(), "globex", "u1 of globex")
		two, err2 := s.User(t.Context(), "globex", "u2 of globex")
		if err := errors.Join(err, err1, err2); err != nil {
			t.Fatal(err)
		}
		return []any{u.list(storage.Query{Organisation: "globex", Now: noon}), page, a, one, two}
	}
	before := others()
	for range 2 { // once more finds nothing
		u.erase("acme")
		u.gone("acme", keys)
		if d := diff(before, others()); d != "" {
			t.Fatalf("erasing acme changed globex (-before +after):\n%s", d)
		}
	}
	for _, e := range u.undelivered("export", 0) {
		if e.Organisation == "acme" {
			t.Errorf("an erased entry is delivered: %+v", e)
		}
	}
	// Its names are free again, for other organisations too.
	k := newKey("globex", keys[2].ID)
	if got := u.create(k)[0]; got.Version != 1 || !got.Revoked.IsZero() {
		t.Errorf("a new key of an erased one's ID: %+v", got)
	}
	putUser(t, s, storage.User{ID: "u1 of acme", Organisation: "globex"})
}

func eraseNothing(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	u.erase("nobody")
	u.erase("")
	putAccount(t, s, storage.Account{Organisation: "acme"})
	putUser(t, s, storage.User{ID: "u1", Organisation: "globex"})
	u.erase("acme")
	u.erase("globex")
	_, err := s.Account(t.Context(), "acme")
	wantOnly(t, "an account alone", err, storage.ErrNotFound)
	_, err = s.User(t.Context(), "globex", "u1")
	wantOnly(t, "a user alone", err, storage.ErrNotFound)
	if got := u.organisations("", 0); len(got) > 0 {
		t.Errorf("erasing made organisations: %q", got)
	}
}

// traces are what watchers hear of when an organisation that has settled goes.
func traces(organisation string, keys []storage.Key) []subject {
	all := []subject{{storage.AccountChanged, organisation, organisation},
		{storage.UserChanged, organisation, "u1 of " + organisation}, {storage.UserChanged, organisation, "u2 of " + organisation}}
	for _, k := range keys {
		all = append(all, keySubject(k))
	}
	return all
}

// eraseTold: of each record, when reading shows that it is gone, before the call
// returns, and without a version.
func eraseTold(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	w := newWatch()
	var mu sync.Mutex
	told := make(map[subject]bool)
	erasing := false
	w.onChanged = func(about subject, version int64) {
		mu.Lock()
		defer mu.Unlock()
		if !erasing || about.organisation != "acme" {
			return
		}
		if told[about] = true; version != 0 {
			t.Errorf("%v was erased, and told with version %d", about, version)
		}
		if still(s, about) {
			t.Errorf("%v was told before it was gone", about)
		}
	}
	startWatch(t, s, w)
	keys := u.settled("acme")
	w.awaitBeats(t, 2) // all of it was told before
	mu.Lock()
	erasing = true
	mu.Unlock()
	u.erase("acme")
	mu.Lock()
	defer mu.Unlock()
	erasing = false
	for _, about := range traces("acme", keys) {
		if !told[about] {
			t.Errorf("EraseOrganisation returned, and its watcher was not told of %v", about)
		}
	}
}

// still reports whether a record can be read.
func still(s Operated, about subject) bool {
	var err error
	switch about.kind {
	case storage.KeyChanged:
		_, err = s.Key(context.Background(), about.organisation, about.id)
	case storage.AccountChanged:
		_, err = s.Account(context.Background(), about.organisation)
	default:
		_, err = s.User(context.Background(), about.organisation, about.id)
	}
	return !errors.Is(err, storage.ErrNotFound)
}

// eraseAndReturn: readers and consumers of before miss nothing of after.
func eraseAndReturn(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	_, start := u.entries(storage.Query{Organisation: "acme"})
	cursors := []string{"", start}
	for round := range 3 {
		all := u.log("acme", 5-round)
		_, end := u.entries(storage.Query{Organisation: "acme"})
		cursors = append(cursors, end)
		wantEntries(t, "before the erasure", u.undelivered("done", 10), all)
		u.undelivered("half", 10)
		u.acknowledge("done", all...)
		u.acknowledge("half", all[1])
		u.erase("acme")
		for _, consumer := range []string{"done", "half"} {
			wantEntries(t, "erased, for consumer "+consumer, u.undelivered(consumer, 10), nil)
		}
		u.acknowledge("half", all...) // it had them in hand
		for _, cursor := range cursors {
			got, _ := u.entries(storage.Query{Organisation: "acme", Cursor: cursor})
			wantEntries(t, fmt.Sprintf("erased, from cursor %q", cursor), got, nil)
		}
		more := u.log("acme", 2)
		for _, cursor := range cursors {
			got, _ := u.entries(storage.Query{Organisation: "acme", Cursor: cursor})
			wantEntries(t, fmt.Sprintf("returned, from cursor %q", cursor), got, more)
		}
		for _, consumer := range []string{"done", "half", fmt.Sprint("new ", round)} {
			wantEntries(t, "returned, for consumer "+consumer, u.undelivered(consumer, 10), more)
		}
		u.erase("acme")
	}
}

// eraseLongLog: longer than any batch.
func eraseLongLog(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	for range 11 {
		u.log("acme", 950)
	}
	u.erase("acme")
	u.gone("acme", nil)
	u.trim(noon.Add(time.Hour), 0)
}
