package storagetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// operatorRaces: the promises under concurrency. They alternate between the two
// values of a pair.
var operatorRaces = []check[operatedPair]{
	{"DeliveryRace", deliveryRace},
	{"FirstHeardRace", firstHeardRace},
	{"AcknowledgeRace", acknowledgeRace},
	{"FirstAcknowledgeRace", firstAcknowledgeRace},
	{"TrimRace", trimRace},
	{"EraseRace", eraseRace},
}

var operatorPairCases = []check[operatedPair]{
	{"EraseToldAcrossValues", eraseToldAcrossValues},
}

// follower drains one consumer, and remembers what it got, by organisation.
type follower struct {
	name string
	got  map[string][]storage.Entry
	done map[string]int64 // acknowledged
}

func newFollower(name string) *follower {
	return &follower{name, make(map[string][]storage.Entry), make(map[string]int64)}
}

// step takes a page, acknowledges it, and reports whether there was any. One
// entry of so many as every says is left for the next time, if it is its
// organisation's last.
func (f *follower) step(t testing.TB, from, to Operated, limit, every int) bool {
	t.Helper()
	page := upkeepOf(t, from).undelivered(f.name, limit)
	next := make(map[string]storage.Entry)
	for i, e := range page {
		if e.Position <= f.done[e.Organisation] {
			t.Fatalf("%s was given position %d of %s and had acknowledged %d", f.name, e.Position, e.Organisation, f.done[e.Organisation])
		}
		seen := f.got[e.Organisation]
		if len(seen) == 0 || e.Position > seen[len(seen)-1].Position {
			f.got[e.Organisation] = append(seen, e)
		}
		if i%every != every-1 {
			next[e.Organisation] = e
		}
	}
	for organisation, e := range next {
		upkeepOf(t, to).acknowledge(f.name, e)
		f.done[organisation] = e.Position
	}
	return len(page) > 0
}

// all fails unless the follower got exactly the log of each organisation.
func (f *follower) all(t testing.TB, s Operated, organisations []string) {
	t.Helper()
	u := upkeepOf(t, s)
	for _, name := range organisations {
		want, _ := u.entries(storage.Query{Organisation: name, Limit: 1000})
		if len(f.got[name]) != len(want) {
			t.Fatalf("%s was given %d of %d entries of %s", f.name, len(f.got[name]), len(want), name)
		}
		wantEntries(t, f.name+" and the log of "+name, f.got[name], want)
	}
}

// deliveryRace: while 64 writers commit, to one organisation and to several, two
// consumers drain and acknowledge; one is first heard of half-way.
func deliveryRace(t testing.TB, p operatedPair) {
	const each = 10
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprint("org", i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var committed atomic.Int32
	wrote := make(chan error, 1)
	go func() {
		wrote <- errors.Join(together(many, func(i int) error {
			for n := range each {
				m := storage.Mutation{Now: noon}
				for j := range 1 + n%3 {
					m.Audit = append(m.Audit, newEntry(names[(i*7+j*5)%len(names)], fmt.Sprintf("w%d-%d", i, n)))
				}
				if err := p.nth(i).Commit(ctx, m); err != nil {
					return err
				}
				committed.Add(1)
			}
			return nil
		})...)
	}()
	early, late := newFollower("early"), newFollower("late")
	for finished := false; !finished; {
		select {
		case err := <-wrote:
			if err != nil {
				t.Fatal(err)
			}
			finished = true
		default:
		}
		early.step(t, p.here, p.there, 17, 5)
		if committed.Load() > many*each/2 {
			late.step(t, p.there, p.here, 40, 1000)
		}
	}
	for early.step(t, p.there, p.there, 100, 1000) {
	}
	for late.step(t, p.here, p.here, 1000, 1000) {
	}
	early.all(t, p.here, names)
	late.all(t, p.there, names)
}

// firstHeardRace: consumers that are first heard of while organisations come
// into being and grow.
func firstHeardRace(t testing.TB, p operatedPair) {
	var names []string
	for round := range turns(12) {
		f := newFollower(fmt.Sprint("consumer ", round))
		fresh := fmt.Sprint("round", round, "-")
		errs := together(many, func(i int) error {
			if i == many/2 {
				_, err := p.here.Undelivered(t.Context(), f.name, 1)
				return err
			}
			m := storage.Mutation{Now: noon, Audit: []storage.Entry{newEntry(fmt.Sprint(fresh, i%40), fmt.Sprint("by ", i))}}
			if i%2 == 0 && len(names) > 0 {
				m.Audit = append(m.Audit, newEntry(names[i%len(names)], fmt.Sprint("by ", i)))
			}
			return p.nth(i).Commit(t.Context(), m)
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			names = append(names, fmt.Sprint(fresh, i))
		}
		for f.step(t, p.there, p.here, 1000, 1000) {
		}
		f.all(t, p.here, names)
	}
}

// acknowledgeRace: the highest of 64 positions counts.
func acknowledgeRace(t testing.TB, p operatedPair) {
	u := upkeepOf(t, p.here)
	for round := range turns(10) {
		organisation := fmt.Sprint("org", round)
		all := u.log(organisation, many+1)
		errs := together(many, func(i int) error {
			if i == 0 && round%2 == 1 {
				return p.there.Commit(t.Context(), storage.Mutation{Now: noon, Audit: []storage.Entry{newEntry(organisation, "one more")}})
			}
			return p.nth(i).Acknowledge(t.Context(), "export", organisation, all[i].Position)
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if got, want := u.undelivered("export", 100), 1+round%2; len(got) != want || got[0].Position != all[many].Position {
			t.Fatalf("round %d: after %d of %d were acknowledged %d wait, want %d", round, many, many+1, len(got), want)
		}
		u.acknowledge("export", storage.Entry{Organisation: organisation, Position: 1 << 40})
	}
}

// firstAcknowledgeRace: the acknowledgements that make a consumer known count too.
func firstAcknowledgeRace(t testing.TB, p operatedPair) {
	u := upkeepOf(t, p.here)
	all := u.log("acme", many+1)
	for round := range turns(storage.MaxConsumers) {
		consumer := fmt.Sprint("export", round)
		errs := together(many, func(i int) error {
			return p.nth(i).Acknowledge(t.Context(), consumer, "acme", all[i].Position)
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if got := u.undelivered(consumer, 100); len(got) != 1 || got[0].Position != all[many].Position {
			t.Fatalf("round %d: after %d of %d were acknowledged %d wait, want 1", round, many, many+1, len(got))
		}
	}
}

// trimRace: several trim while others write and read. Each entry is removed and
// counted once, or kept; readers go on.
func trimRace(t testing.TB, p operatedPair) {
	const each = 20
	var trimmed atomic.Int64
	errs := together(many, func(i int) error {
		s := p.nth(i / 8)
		cursor, last := "", int64(0)
		for n := range each {
			switch i % 8 {
			case 0:
				removed, err := s.TrimAudit(t.Context(), noon.Add(time.Hour), 3)
				if err != nil {
					return err
				}
				trimmed.Add(int64(removed))
			case 1:
				page, next, err := s.Entries(t.Context(), storage.Query{Organisation: "acme", Cursor: cursor})
				if err != nil {
					return err
				}
				for _, e := range page {
					if e.Position <= last {
						return fmt.Errorf("position %d after %d", e.Position, last)
					}
					last = e.Position
				}
				cursor = next
			default:
				m := storage.Mutation{Now: noon, Audit: []storage.Entry{newEntry("acme", fmt.Sprint(i, "-", n))}}
				if err := s.Commit(t.Context(), m); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	kept, _ := upkeepOf(t, p.here).entries(storage.Query{Organisation: "acme", Limit: 1000})
	if want, n := many/8*6*each, int(trimmed.Load()); n == 0 || n+len(kept) != want {
		t.Errorf("%d entries were written, %d trimmed, %d kept", want, n, len(kept))
	}
}

// eraseRace: what is committed meanwhile is whole afterwards: a key has its
// entry, and an entry its key.
func eraseRace(t testing.TB, p operatedPair) {
	u := upkeepOf(t, p.here)
	for round := range turns(10) {
		u.create(newKey("acme", fmt.Sprintf("r%d", round)))
		errs := together(many, func(i int) error {
			if i%16 == 15 {
				return p.nth(i/16).EraseOrganisation(t.Context(), "acme")
			}
			return p.nth(i).Commit(t.Context(), mutation(newKey("acme", fmt.Sprintf("r%d-%d", round, i))))
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		entries, _ := u.entries(storage.Query{Organisation: "acme", Limit: 1000})
		var targets []string
		for _, e := range entries {
			targets = append(targets, e.Target)
		}
		keys := ids(u.list(storage.Query{Organisation: "acme", Now: noon, Limit: 1000}))
		slices.SortFunc(keys, cmp.Compare[string])
		slices.SortFunc(targets, cmp.Compare[string])
		if !slices.Equal(keys, targets) {
			t.Fatalf("round %d: keys %q, and entries about %q", round, keys, targets)
		}
		if slices.Contains(keys, fmt.Sprintf("r%d", round)) {
			t.Fatalf("round %d: what was there before is still there", round)
		}
	}
	u.erase("acme")
	u.gone("acme", nil)
}

// eraseToldAcrossValues: of each record, through the other value's feed.
func eraseToldAcrossValues(t testing.TB, p operatedPair) {
	keys := upkeepOf(t, p.here).settled("acme")
	w := startWatch(t, p.there, newWatch())
	w.awaitBeats(t, 2)
	w.mu.Lock()
	clear(w.told)
	w.mu.Unlock()
	upkeepOf(t, p.here).erase("acme")
	for _, about := range traces("acme", keys) {
		w.await(t, fmt.Sprint("the erasure of ", about), func() bool { version, told := w.told[about]; return told && version == 0 })
	}
}
