package storagetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// patience bounds every wait for something that a sound store does soon. It is
// read by goroutines that a broken store may leave behind, so it is atomic.
func patience() time.Duration {
	if d := patienceNow.Load(); d != 0 {
		return time.Duration(d)
	}
	return 20 * time.Second
}

var patienceNow atomic.Int64 // zero: as long as it is outside of the suite's own test

// noon is the cases' present.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newKey returns a record to create, as a service would.
func newKey(organisation, id string) storage.Key {
	return storage.Key{
		ID: id, Lookup: "lookup-" + id, Lineage: id, Organisation: organisation,
		Name: "Key " + id, Last4: "x7Qa", Format: "mavio", Environment: strikeplate.Live,
		Access: strikeplate.OrganisationFull, Scopes: []string{"meetings:read"}, Creator: "u-admin",
		Hash:          "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
		SecretVersion: 1, Created: noon,
	}
}

// newKeys returns n of them, each created a minute after the one before.
func newKeys(organisation string, n int) []storage.Key {
	keys := make([]storage.Key, n)
	for i := range keys {
		keys[i] = newKey(organisation, fmt.Sprintf("k%04d", i))
		keys[i].Created = noon.Add(time.Duration(i) * time.Minute)
	}
	return keys
}

func newEntry(organisation, target string) storage.Entry {
	return storage.Entry{
		Organisation: organisation, Action: "key.changed", Target: target, At: noon,
		Actor: storage.Actor{User: "u-admin", Organisation: organisation, Role: "admin"},
	}
}

// mutation is a transaction with an audit entry for each key.
func mutation(keys ...storage.Key) storage.Mutation {
	m := storage.Mutation{Now: noon, Put: keys}
	for _, k := range keys {
		m.Audit = append(m.Audit, newEntry(k.Organisation, k.ID))
	}
	return m
}

// limited is a mutation that leaves its organisation at most limit active keys.
func limited(limit int, keys ...storage.Key) storage.Mutation {
	m := mutation(keys...)
	m.Limit = &storage.Limit{Organisation: keys[0].Organisation, Max: limit}
	return m
}

func ids(keys []storage.Key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, k.ID)
	}
	return all
}

var sentinels = []error{
	storage.ErrNotFound, storage.ErrConflict, storage.ErrRevoked,
	storage.ErrPermanent, storage.ErrLimit, storage.ErrNoAudit,
	storage.ErrReused, storage.ErrExpired, storage.ErrBlocked,
}

// isSentinel reports whether a caller would branch on err.
func isSentinel(err error) bool {
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

// wantOnly fails unless err is want and no other sentinel.
func wantOnly(t testing.TB, what string, err, want error) {
	t.Helper()
	for _, s := range sentinels {
		if errors.Is(err, s) != (s == want) { //nolint:errorlint // which of the sentinels, not what wraps it
			t.Fatalf("%s: got error %v, want %v", what, err, want)
		}
	}
}

// wantOther fails unless err is an error that no caller branches on.
func wantOther(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil || isSentinel(err) {
		t.Fatalf("%s: got error %v, want one that is no sentinel", what, err)
	}
}

// probe drives a store and fails the test where it must not fail.
type probe struct {
	t testing.TB
	s Store
}

func (p probe) commit(m storage.Mutation) {
	p.t.Helper()
	if err := p.s.Commit(p.t.Context(), m); err != nil {
		p.t.Fatalf("Commit: %v", err)
	}
}

// create commits new keys and returns them as read back.
func (p probe) create(keys ...storage.Key) []storage.Key {
	p.t.Helper()
	p.commit(mutation(keys...))
	var stored []storage.Key
	for _, k := range keys {
		stored = append(stored, p.key(k.Organisation, k.ID))
	}
	return stored
}

func (p probe) key(organisation, id string) storage.Key {
	p.t.Helper()
	k, err := p.s.Key(p.t.Context(), organisation, id)
	if err != nil {
		p.t.Fatalf("Key(%q, %q): %v", organisation, id, err)
	}
	return k
}

// list reads all pages.
func (p probe) list(q storage.Query) []storage.Key {
	p.t.Helper()
	var all []storage.Key
	for {
		page, next, err := p.s.ListKeys(p.t.Context(), q)
		if err != nil {
			p.t.Fatalf("ListKeys(%+v): %v", q, err)
		}
		if len(page) > q.PageSize() {
			p.t.Fatalf("ListKeys(%+v): %d keys on a page", q, len(page))
		}
		if len(page) == 0 && next != "" {
			p.t.Fatalf("ListKeys(%+v): an empty page with a next one", q)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		if len(all) > 100_000 {
			p.t.Fatalf("ListKeys(%+v): no end", q)
		}
		q.Cursor = next
	}
}

// entries reads the log until it has no more, and returns the cursor as well.
func (p probe) entries(q storage.Query) ([]storage.Entry, string) {
	p.t.Helper()
	var all []storage.Entry
	for {
		page, next, err := p.s.Entries(p.t.Context(), q)
		if err != nil {
			p.t.Fatalf("Entries(%+v): %v", q, err)
		}
		if next == "" {
			p.t.Fatalf("Entries(%+v): empty cursor", q)
		}
		if len(page) > q.PageSize() {
			p.t.Fatalf("Entries(%+v): %d entries on a page", q, len(page))
		}
		q.Cursor = next
		if len(page) == 0 {
			return all, next
		}
		all = append(all, page...)
		if len(all) > 100_000 {
			p.t.Fatalf("Entries(%+v): no end", q)
		}
	}
}

// refused fails unless m is refused with want (nil: any error that is no
// sentinel) and left no trace in the organisations that the cases use.
func (p probe) refused(what string, m storage.Mutation, want error) {
	p.t.Helper()
	before := p.everything()
	err := p.s.Commit(p.t.Context(), m)
	if want == nil {
		wantOther(p.t, what, err)
	} else {
		wantOnly(p.t, what, err, want)
	}
	if d := diff(before, p.everything()); d != "" {
		p.t.Fatalf("%s: refused, yet it changed (-before +after):\n%s", what, d)
	}
}

// snapshot is all that can be read of the cases' organisations.
type snapshot struct {
	Keys    []storage.Key
	Entries []storage.Entry
}

func (p probe) everything() snapshot {
	p.t.Helper()
	var s snapshot
	for _, organisation := range []string{"acme", "globex"} {
		s.Keys = append(s.Keys, p.list(storage.Query{Organisation: organisation, Now: noon})...)
		entries, _ := p.entries(storage.Query{Organisation: organisation})
		s.Entries = append(s.Entries, entries...)
	}
	return s
}

// diff compares records; JSON in audit entries by its meaning.
func diff(want, got any) string {
	return cmp.Diff(want, got,
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.FilterPath(inEntryJSON, cmp.Comparer(sameJSON)))
}

func inEntryJSON(path cmp.Path) bool {
	name := path.Last().String()
	return name == ".Before" || name == ".After"
}

func sameJSON(a, b []byte) bool {
	if (a == nil) != (b == nil) {
		return false
	}
	return bytes.Equal(canonical(a), canonical(b))
}

func canonical(text []byte) []byte {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return text
	}
	out, err := json.Marshal(value)
	if err != nil {
		return text
	}
	return out
}

// together calls f from n goroutines that start at once, and returns what each
// returned.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			errs[i] = f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return errs
}

// promptly fails the test if f doesn't return.
func promptly(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience()):
		t.Fatalf("%s: no answer after %v", what, patience())
	}
}
