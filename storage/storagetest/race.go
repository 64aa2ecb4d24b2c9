package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// many goroutines start at once in each race, for rounds rounds.
const (
	many   = 64
	rounds = 50
)

// raceCases: the promises under concurrency. They alternate between the two
// values of a pair.
var raceCases = []check[pair]{
	{"LimitRace", limitRace},
	{"RotationRace", rotationRace},
	{"CompareAndSetRace", compareAndSetRace},
	{"LookupRace", lookupRace},
	{"RevokeRace", revokeRace},
	{"OppositeOrders", oppositeOrders},
	{"AuditRace", auditRace},
}

// tally counts outcomes, and fails the test on one that is neither nil nor
// loses.
func tally(t testing.TB, errs []error, loses error) (won int) {
	t.Helper()
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantOnly(t, "a lost race", err, loses)
	}
	return won
}

func limitRace(t testing.TB, p pair) {
	const slots = 10
	for round := range turns(rounds) {
		organisation := fmt.Sprint("org", round)
		errs := together(many, func(i int) error {
			k := newKey(organisation, fmt.Sprintf("r%d-k%d", round, i))
			return p.nth(i).Commit(t.Context(), limited(slots, k))
		})
		if won := tally(t, errs, storage.ErrLimit); won != slots {
			t.Fatalf("round %d: %d of %d creations succeeded, want %d", round, won, many, slots)
		}
		q := storage.Query{Organisation: organisation, Status: storage.Active, Now: noon}
		if held := len(probe{t, p.here}.list(q)); held != slots {
			t.Fatalf("round %d: the organisation holds %d keys, want %d", round, held, slots)
		}
	}
}

// rotationRace: at the limit, 64 replacements each revoke a key and create one.
func rotationRace(t testing.TB, p pair) {
	const slots = 4
	pr := probe{t, p.here}
	for round := range turns(10) {
		organisation := fmt.Sprint("org", round)
		var first []storage.Key
		for i := range slots {
			first = append(first, newKey(organisation, fmt.Sprintf("r%d-k%d", round, i)))
		}
		first = pr.create(first...)
		errs := together(many, func(i int) error {
			old := first[i%slots]
			old.Revoked = noon
			next := newKey(organisation, fmt.Sprintf("r%d-n%d", round, i))
			return p.nth(i/slots).Commit(t.Context(), limited(slots, old, next))
		})
		if won := tally(t, errs, storage.ErrRevoked); won != slots {
			t.Fatalf("round %d: %d replacements of %d keys succeeded", round, won, slots)
		}
		q := storage.Query{Organisation: organisation, Status: storage.Active, Now: noon}
		if held := len(pr.list(q)); held != slots {
			t.Fatalf("round %d: the organisation holds %d active keys, want %d", round, held, slots)
		}
	}
}

func compareAndSetRace(t testing.TB, p pair) {
	k := probe{t, p.here}.create(newKey("acme", "k1"))[0]
	for round := range turns(rounds) {
		errs := together(many, func(i int) error {
			mine := k
			mine.Name = fmt.Sprintf("round %d by %d", round, i)
			return p.nth(i).Commit(t.Context(), mutation(mine))
		})
		if won := tally(t, errs, storage.ErrConflict); won != 1 {
			t.Fatalf("round %d: %d of %d updates of one version succeeded", round, won, many)
		}
		winner := slices.Index(errs, nil)
		k = probe{t, p.here}.key("acme", "k1")
		if want := fmt.Sprintf("round %d by %d", round, winner); k.Name != want || k.Version != int64(round+2) {
			t.Fatalf("round %d: stored %q version %d, want %q version %d", round, k.Name, k.Version, want, round+2)
		}
	}
}

func lookupRace(t testing.TB, p pair) {
	for round := range turns(10) {
		errs := together(many, func(i int) error {
			k := newKey([]string{"acme", "globex"}[i/2%2], fmt.Sprintf("r%d-k%d", round, i))
			k.Lookup = fmt.Sprint("lookup", round)
			return p.nth(i).Commit(t.Context(), mutation(k))
		})
		if won := tally(t, errs, storage.ErrConflict); won != 1 {
			t.Fatalf("round %d: %d keys were created with one Lookup", round, won)
		}
	}
}

// revokeRace: half of the goroutines revoke, half rename until they are told
// that the key is revoked. What the revocation wrote stays.
func revokeRace(t testing.TB, p pair) {
	pr := probe{t, p.here}
	for round := range turns(10) {
		id := fmt.Sprint("k", round)
		pr.create(newKey("acme", id))
		var once sync.Once
		var revoked storage.Key // as the winner wrote it
		var over atomic.Bool    // its Commit has returned
		errs := together(many, func(i int) error {
			for {
				late := over.Load()
				s := p.nth(i / 2)
				k, err := s.Key(t.Context(), "acme", id)
				if err != nil {
					return err
				}
				k.Name = fmt.Sprint("by ", i)
				k.Revoked = time.Time{}
				if i%2 == 0 {
					k.Revoked, k.RevokedBecause = noon, fmt.Sprint("by ", i)
				}
				err = s.Commit(t.Context(), mutation(k))
				if err == nil && i%2 == 0 {
					k.Version++
					once.Do(func() { revoked = k })
					over.Store(true)
					return nil
				}
				if err == nil && late {
					return errors.New("renamed after its revocation")
				}
				if err != nil && !errors.Is(err, storage.ErrConflict) {
					return err
				}
			}
		})
		if won := tally(t, errs, storage.ErrRevoked); won != 1 {
			t.Fatalf("round %d: %d goroutines revoked the key", round, won)
		}
		if d := diff(revoked, pr.key("acme", id)); d != "" {
			t.Fatalf("round %d: changed after its revocation (-revoked +stored):\n%s", round, d)
		}
	}
}

// oppositeOrders: mutations that name the same keys in different orders all
// come to an end, and none with an error that says "could not tell".
func oppositeOrders(t testing.TB, p pair) {
	pr := probe{t, p.here}
	pr.create(newKey("acme", "k1"), newKey("globex", "k2"))
	errs := together(16, func(i int) error {
		for done := 0; done < 5; {
			a, err := p.nth(i).Key(t.Context(), "acme", "k1")
			b, err2 := p.nth(i).Key(t.Context(), "globex", "k2")
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			m := mutation(a, b)
			if i/2%2 == 0 {
				m = mutation(b, a)
			}
			m.Limit = &storage.Limit{Organisation: "acme", Max: 10}
			switch err := p.nth(i).Commit(t.Context(), m); {
			case err == nil:
				done++
			case !errors.Is(err, storage.ErrConflict):
				return err
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if v := pr.key("acme", "k1").Version; v != 1+16*5 {
		t.Errorf("version %d after %d updates", v, 16*5)
	}
}

// auditRace: while 64 writers commit, a reader that follows by cursor sees each
// entry once.
func auditRace(t testing.TB, p pair) {
	const each = 8
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wrote := make(chan []error, 1)
	go func() {
		wrote <- together(many, func(i int) error {
			for n := range each {
				k := newKey("acme", fmt.Sprintf("w%d-%d", i, n))
				m := mutation(k)
				m.Audit = append(m.Audit, newEntry("acme", k.ID+" again"))
				if err := p.nth(i).Commit(ctx, m); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	seen := make(map[string]int)
	var last int64
	follow := func(q storage.Query) (cursor string) {
		entries, cursor := probe{t, p.here}.entries(q)
		for _, e := range entries {
			if seen[e.Target]++; seen[e.Target] > 1 {
				t.Fatalf("entry %q came twice", e.Target)
			}
			if e.Position <= last {
				t.Fatalf("position %d came after %d", e.Position, last)
			}
			last = e.Position
		}
		return cursor
	}
	q := storage.Query{Organisation: "acme", Limit: 7}
	for finished := false; !finished; {
		select {
		case errs := <-wrote:
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			finished = true
		default:
		}
		q.Cursor = follow(q)
	}
	if want := many * each * 2; len(seen) != want {
		t.Errorf("a reader that followed saw %d of %d entries", len(seen), want)
	}
}
