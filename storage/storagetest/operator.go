package storagetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Operated is what the operator's cases need: the upkeep, and what it keeps up.
type Operated interface {
	Store
	storage.EditableDirectory
	storage.Operator
}

// RunOperator checks every promise of [storage.Operator], and what it leaves to
// readers of the audit log and to watchers. open returns an empty store, and a
// new one at each call.
func RunOperator(t *testing.T, open func(*testing.T) Operated) {
	run(t, operatorCases, open)
	run(t, operatorRaces, func(t *testing.T) operatedPair {
		s := open(t)
		return operatedPair{s, s}
	})
}

// RunOperatorPair checks what must hold between two store values on the same
// data. open returns both on a new, empty database.
func RunOperatorPair(t *testing.T, open func(*testing.T) (here, there Operated)) {
	opened := func(t *testing.T) operatedPair {
		here, there := open(t)
		return operatedPair{here, there}
	}
	run(t, operatorRaces, opened)
	run(t, operatorPairCases, opened)
}

// operatedPair is two store values on the same data; they may be one.
type operatedPair struct{ here, there Operated }

func (p operatedPair) nth(i int) Operated {
	if i%2 == 0 {
		return p.here
	}
	return p.there
}

var operatorCases = slices.Concat([]check[Operated]{
	{"Organisations", organisations},
	{"OperatorNames", operatorNames},
	{"OperatorCancelled", operatorCancelled},
}, deliveryCases, retentionCases, erasureCases)

// upkeep drives an Operated store and fails the test where it must not fail.
type upkeep struct {
	probe
	s Operated
}

func upkeepOf(t testing.TB, s Operated) upkeep { return upkeep{probe{t, s}, s} }

// log commits n entries of an organisation, with targets k0, k1 and so on, each
// a minute after the one before.
func (u upkeep) log(organisation string, n int) []storage.Entry {
	u.t.Helper()
	m := storage.Mutation{Now: noon}
	for i := range n {
		e := newEntry(organisation, fmt.Sprint("k", i))
		e.At = noon.Add(time.Duration(i) * time.Minute)
		m.Audit = append(m.Audit, e)
	}
	u.commit(m)
	all, _ := u.entries(storage.Query{Organisation: organisation, Limit: 1000})
	return all[len(all)-n:]
}

func (u upkeep) organisations(after string, limit int) []string {
	u.t.Helper()
	names, err := u.s.Organisations(u.t.Context(), after, limit)
	if err != nil {
		u.t.Fatalf("Organisations(%q, %d): %v", after, limit, err)
	}
	return names
}

// undelivered checks what holds for every page: its size, and that each
// organisation's entries are in order.
func (u upkeep) undelivered(consumer string, limit int) []storage.Entry {
	u.t.Helper()
	page, err := u.s.Undelivered(u.t.Context(), consumer, limit)
	if err != nil {
		u.t.Fatalf("Undelivered(%q, %d): %v", consumer, limit, err)
	}
	if len(page) > storage.BatchSize(limit) {
		u.t.Fatalf("Undelivered(%q, %d): %d entries", consumer, limit, len(page))
	}
	last := make(map[string]int64)
	for _, e := range page {
		if e.Position <= last[e.Organisation] {
			u.t.Fatalf("Undelivered(%q, %d): position %d of %s after %d", consumer, limit, e.Position, e.Organisation, last[e.Organisation])
		}
		last[e.Organisation] = e.Position
	}
	return page
}

func (u upkeep) acknowledge(consumer string, entries ...storage.Entry) {
	u.t.Helper()
	for _, e := range entries {
		if err := u.s.Acknowledge(u.t.Context(), consumer, e.Organisation, e.Position); err != nil {
			u.t.Fatalf("Acknowledge(%q, %q, %d): %v", consumer, e.Organisation, e.Position, err)
		}
	}
}

func (u upkeep) trim(before time.Time, limit int) int {
	u.t.Helper()
	n, err := u.s.TrimAudit(u.t.Context(), before, limit)
	if err != nil {
		u.t.Fatalf("TrimAudit(%v, %d): %v", before, limit, err)
	}
	return n
}

func (u upkeep) forget(before time.Time, limit int) int {
	u.t.Helper()
	n, err := u.s.ForgetAddresses(u.t.Context(), before, limit)
	if err != nil {
		u.t.Fatalf("ForgetAddresses(%v, %d): %v", before, limit, err)
	}
	return n
}

func (u upkeep) erase(organisation string) {
	u.t.Helper()
	if err := u.s.EraseOrganisation(u.t.Context(), organisation); err != nil {
		u.t.Fatalf("EraseOrganisation(%q): %v", organisation, err)
	}
}

// wantEntries fails unless got are exactly want, in that order.
func wantEntries(t testing.TB, what string, got, want []storage.Entry) {
	t.Helper()
	if d := diff(want, got); d != "" && len(want)+len(got) > 0 {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

func organisations(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	if got := u.organisations("", 0); len(got) != 0 {
		t.Errorf("a new store has organisations: %q", got)
	}
	putAccount(t, s, storage.Account{Organisation: "an account alone"})
	putUser(t, s, storage.User{ID: "u1", Organisation: "a user alone"})
	keyAlone := mutation(newKey("a key alone", "k1"))
	keyAlone.Audit[0].Organisation = "Zeta"
	u.commit(keyAlone)
	for _, name := range []string{"é", "acme", "acme 2", "_", "zeta", "日本"} {
		u.log(name, 2)
	}
	u.commit(mutation(newKey("both", "k2")))
	want := []string{"Zeta", "_", "a key alone", "acme", "acme 2", "both", "zeta", "é", "日本"} // by bytes
	for _, limit := range []int{0, -1, 1000, 1, 2, 3, 4, len(want)} {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page := u.organisations(after, limit)
			if len(page) > storage.BatchSize(limit) {
				t.Fatalf("limit %d: %d organisations", limit, len(page))
			}
			if got = append(got, page...); len(page) == 0 {
				break
			}
			if len(got) > 2*len(want) {
				t.Fatalf("limit %d: no end", limit)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %q, want %q", limit, got, want)
		}
	}
	if got := u.organisations("acme 1", 1); !slices.Equal(got, []string{"acme 2"}) {
		t.Errorf("behind a name that isn't there: %q, want acme 2", got)
	}
	u.trim(noon.Add(time.Hour), 0)
	if got := u.organisations("", 0); !slices.Equal(got, []string{"a key alone", "both"}) {
		t.Errorf("after all entries were trimmed: %q, want those with keys", got)
	}
}

// operatorNames: names that no consumer or organisation can have.
func operatorNames(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	all := u.log("acme", 1)
	for _, bad := range []string{"", "a\x00b", "caf\xe9"} {
		page, err := s.Undelivered(t.Context(), bad, 10)
		wantOther(t, fmt.Sprintf("Undelivered of consumer %q", bad), err)
		if len(page) > 0 {
			t.Errorf("consumer %q: %d entries and an error", bad, len(page))
		}
		wantOther(t, fmt.Sprintf("Acknowledge of consumer %q", bad), s.Acknowledge(t.Context(), bad, "acme", 1))
		u.acknowledge("export", storage.Entry{Organisation: bad, Position: 1})
		u.erase(bad)
	}
	_, err := s.Organisations(t.Context(), "a\x00b", 0)
	wantOther(t, "Organisations behind text that cannot be stored", err)
	u.acknowledge("export", storage.Entry{Organisation: "nobody", Position: 1 << 40})
	if got := u.organisations("", 0); !slices.Equal(got, []string{"acme"}) {
		t.Errorf("after calls about unknown organisations there are %q", got)
	}
	wantEntries(t, "after calls about unknown organisations", u.undelivered("export", 0), all)
}

func operatorCancelled(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	all := u.log("acme", 2)
	u.commit(mutation(newKey("globex", "k1")))
	before := u.everything()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Organisations":     func() error { _, err := s.Organisations(ctx, "", 0); return err },
		"Undelivered":       func() error { _, err := s.Undelivered(ctx, "export", 0); return err },
		"Acknowledge":       func() error { return s.Acknowledge(ctx, "export", "acme", all[1].Position) },
		"TrimAudit":         func() error { _, err := s.TrimAudit(ctx, noon.Add(time.Hour), 0); return err },
		"ForgetAddresses":   func() error { _, err := s.ForgetAddresses(ctx, noon.Add(time.Hour), 0); return err },
		"EraseOrganisation": func() error { return s.EraseOrganisation(ctx, "globex") },
	} {
		promptly(t, name, func() {
			if err := call(); err == nil || isSentinel(err) {
				t.Errorf("%s with a cancelled context: %v", name, err)
			}
		})
	}
	if d := diff(before, u.everything()); d != "" {
		t.Errorf("calls with a cancelled context changed (-before +after):\n%s", d)
	}
	if got := u.undelivered("export", 0); len(got) != 3 {
		t.Errorf("after an Acknowledge with a cancelled context %d entries wait, want 3", len(got))
	}
}
