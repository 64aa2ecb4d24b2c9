package storagetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// brokenStores break one promise each, and name the case that must notice.
var brokenStores = []struct {
	fault, caught string
	make          func() storagetest.Store
}{
	{"limit counted, then put", "LimitRace", func() storagetest.Store {
		return &countThenPut{Store: memory.New(), met: newMeeting(storagetest.Many)}
	}},
	{"put, then limit counted", "LimitRace", func() storagetest.Store {
		return &putThenCount{Store: memory.New(), met: newMeeting(storagetest.Many)}
	}},
	{"limit counted before put", "LimitAfterPut", commits(limitBeforePut)},
	{"limit counts revoked keys", "RevokingFreesASlot", commits(limitCountsRevoked)},
	{"limit judged at another time", "LimitCountsActive", commits(limitAtAnotherTime)},
	{"no limit", "Limit", commits(noLimit)},
	{"limit off by one", "Limit", commits(limitOffByOne)},
	{"no compare-and-set", "CompareAndSet", commits(lastWriteWins)},
	{"compare, then set", "CompareAndSetRace", func() storagetest.Store {
		return &compareThenSet{Store: memory.New(), met: newMeeting(storagetest.Many)}
	}},
	{"un-revoking", "RevokedIsForEver", func() storagetest.Store { return newOverlay(storage.ErrRevoked) }},
	{"un-revoking in a race", "RevokeRace", func() storagetest.Store { return newOverlay(storage.ErrRevoked) }},
	{"permanent fields change", "PermanentFields", func() storagetest.Store { return newOverlay(storage.ErrPermanent) }},
	{"the old Lookup lives", "Regenerate", func() storagetest.Store { return &oldLookups{Store: memory.New()} }},
	{"records shared with callers", "Copies", func() storagetest.Store { return &sharing{Store: memory.New()} }},
	{"what was passed in is kept", "Copies", func() storagetest.Store { return &keeping{Store: memory.New()} }},
	{"no check of the organisation", "OtherOrganisation", func() storagetest.Store { return &anyOrganisation{Store: memory.New()} }},
	{"audit committed first", "AllOrNothing", commits(auditFirst)},
	{"audit committed last", "AllOrNothing", commits(auditLast)},
	{"no audit needed", "NoAudit", commits(inventsAudit)},
	{"records put one by one", "AllOrNothing", commits(oneByOne)},
	{"a key twice, the last wins", "KeyTwice", commits(lastOfTwins)},
	{"text cut at NUL", "Text", commits(cutAtNUL)},
	{"1970 read as never", "Epoch", commits(epochIsNever)},
	{"cancelled, and written", "CancelledContext", commits(ignoresContext)},
	{"revoked reported as conflict", "RevokedIsForEver", commits(mapped(storage.ErrRevoked, storage.ErrConflict))},
	{"limit reported as conflict", "Limit", commits(mapped(storage.ErrLimit, storage.ErrConflict))},
	{"unknown reported as conflict", "CompareAndSet", commits(mapped(storage.ErrNotFound, storage.ErrConflict))},
	{"conflict and permanent at once", "Precedence", commits(mapped(storage.ErrPermanent, errors.Join(storage.ErrConflict, storage.ErrPermanent)))},
	{"permanent before conflict", "Precedence", commits(permanentFirst)},
	{"conflict reported as unknown failure", "TakenNames", commits(mapped(storage.ErrConflict, errors.New("constraint")))},
	{"cursor is an offset", "PagingWithInserts", func() storagetest.Store { return &offsets{Store: memory.New()} }},
	{"bad cursor starts over", "KeyCursors", func() storagetest.Store { return &forgivingCursors{Store: memory.New()} }},
	{"status judged at another time", "StatusFilters", func() storagetest.Store { return &fixedNow{Store: memory.New()} }},
	{"filter after the page was cut", "SparsePages", func() storagetest.Store { return &lateFilter{Store: memory.New()} }},
	{"audit skips late commits", "AuditRace", func() storagetest.Store { return &skipsLate{Store: memory.New(), hidden: map[int64]bool{}} }},
	{"audit repeats", "AuditContinued", func() storagetest.Store { return &repeats{Store: memory.New()} }},
	{"audit repeats in a race", "AuditRace", func() storagetest.Store { return &repeats{Store: memory.New()} }},
	{"audit knows one order", "AuditNewest", func() storagetest.Store { return &oneOrder{Store: memory.New()} }},
	{"audit newest first without an end", "AuditNewest", func() storagetest.Store { return &endless{Store: memory.New()} }},
	{"audit newest first repeats", "AuditNewest", func() storagetest.Store { return &repeatsNewest{Store: memory.New()} }},
	{"audit without a last cursor", "AuditContinued", func() storagetest.Store { return &endsLog{Store: memory.New()} }},

	{"Changed never", "ToldBeforeCommitReturns", feeding(feedTwin{changed: never})},
	{"Changed after Commit returned", "ToldBeforeCommitReturns", feeding(feedTwin{changed: beforeFresh})},
	{"Changed for one watcher only", "ToldBeforeCommitReturns", feeding(feedTwin{oneOnly: true})},
	{"Changed for one record only", "ToldBeforeCommitReturns", feeding(feedTwin{firstKeyOnly: true})},
	{"Changed before the change", "ToldWhatIsWritten", feeding(feedTwin{changed: beforeCommit})},
	{"Fresh before Changed", "Barrier", feeding(feedTwin{changed: afterFresh})},
	{"Fresh before Changed, across values", "BarrierAcrossValues", feeding(feedTwin{changed: afterFresh})},
	{"changes of others never", "AcrossValues", feeding(feedTwin{changed: never})},
	{"Fresh from the future", "Heartbeat", feeding(feedTwin{ahead: time.Hour})},
	{"Fresh stands still", "Heartbeat", feeding(feedTwin{stands: true})},
	{"Fresh stops", "Heartbeat", feeding(feedTwin{beats: 2})},
	{"no Lost at the beginning", "Heartbeat", feeding(feedTwin{silentStart: true})},
	{"Fresh during a delivery", "SlowSink", feeding(feedTwin{impatient: true})},
	{"calls after Watch returned", "WatchEnds", feeding(feedTwin{lingers: true})},
	{"Watch swallows the error", "WatchEnds", feeding(feedTwin{swallows: true})},
	{"one end ends all", "WatchersApart", feeding(feedTwin{endsAll: true})},
	{"the lock held while telling", "SinkReads", feeding(feedTwin{locked: true})},
}

const runs = 20

func TestBrokenStoresFail(t *testing.T) {
	storagetest.SetPatience(t, 500*time.Millisecond)
	for _, b := range brokenStores {
		t.Run(strings.ReplaceAll(b.fault, " ", "_"), func(t *testing.T) {
			mustFail(t, func(tb testing.TB) bool { return storagetest.KeyCase(tb, b.caught, b.make()) })
		})
	}
}

// mustFail runs a case several times, a few at once; each must report a failure.
func mustFail(t *testing.T, run func(testing.TB) (known bool)) {
	var caught, unknown atomic.Int32
	var running sync.WaitGroup
	slots := make(chan struct{}, 4)
	for range runs {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			found := failures(t, func(tb testing.TB) {
				if !run(tb) {
					unknown.Add(1)
				}
			})
			if len(found) > 0 {
				caught.Add(1)
			}
		})
	}
	running.Wait()
	if unknown.Load() > 0 {
		t.Fatal("no case of that name")
	}
	if caught.Load() < runs {
		t.Errorf("caught in %d of %d runs", caught.Load(), runs)
	}
}

// The cases pass on what the broken stores are made of, so it is the fault
// that they catch.
func TestSoundStoresPass(t *testing.T) {
	done := make(map[string]bool)
	for _, b := range brokenStores {
		if done[b.caught] {
			continue
		}
		done[b.caught] = true
		for what, s := range map[string]storagetest.Store{
			"memory":       memory.New(),
			"feedTwin":     feeding(feedTwin{})(),
			"overlay":      newOverlay(nil),
			"commitFaults": commits(func(s *memory.Store, ctx context.Context, m storage.Mutation) error { return s.Commit(ctx, m) })(),
		} {
			if slow := b.caught == "Heartbeat" || strings.Contains(b.caught, "Barrier"); slow && what != "feedTwin" {
				continue // at 500 ms a beat; the backends' own tests run them
			}
			got := failures(t, func(tb testing.TB) { storagetest.KeyCase(tb, b.caught, s) })
			if len(got) > 0 {
				t.Errorf("%s fails %s: %v", what, b.caught, got)
			}
		}
	}
}

// meeting makes goroutines wait for one another: each group of n goes on
// together. It opens a race window without sleeping.
type meeting struct {
	mu   sync.Mutex
	n    int
	here int
	open chan struct{}
}

func newMeeting(n int) *meeting { return &meeting{n: n, open: make(chan struct{})} }

func (m *meeting) wait() {
	m.mu.Lock()
	open := m.open
	if m.here++; m.here == m.n {
		m.here, m.open = 0, make(chan struct{})
		close(open)
	}
	m.mu.Unlock()
	<-open
}

func active(s storage.Keys, m storage.Mutation, want storage.Status) int {
	page, _, err := s.ListKeys(context.Background(), storage.Query{
		Organisation: m.Limit.Organisation, Status: want, Now: m.Now, Limit: 1000})
	if err != nil {
		panic(err)
	}
	return len(page)
}

type countThenPut struct {
	*memory.Store
	met *meeting
}

func (s *countThenPut) Commit(ctx context.Context, m storage.Mutation) error {
	n := active(s, m, storage.Active)
	s.met.wait()
	if n >= m.Limit.Max {
		return storage.ErrLimit
	}
	m.Limit = nil
	return s.Store.Commit(ctx, m)
}

type putThenCount struct {
	*memory.Store
	met *meeting
}

func (s *putThenCount) Commit(ctx context.Context, m storage.Mutation) error {
	without := m
	without.Limit = nil
	if err := s.Store.Commit(ctx, without); err != nil {
		return err
	}
	s.met.wait()
	n := active(s, m, storage.Active)
	s.met.wait()
	if n <= m.Limit.Max {
		return nil
	}
	undo := m.Put[0]
	undo.Version, undo.Revoked = 1, m.Now
	without.Put = []storage.Key{undo}
	return errors.Join(s.Store.Commit(ctx, without), storage.ErrLimit)
}

type compareThenSet struct {
	*memory.Store
	met *meeting
}

func (s *compareThenSet) Commit(ctx context.Context, m storage.Mutation) error {
	k := m.Put[0]
	stored, err := s.Key(ctx, k.Organisation, k.ID)
	if err != nil { // the creation
		return s.Store.Commit(ctx, m)
	}
	s.met.wait()
	if stored.Version != k.Version {
		return storage.ErrConflict
	}
	return lastWriteWins(s.Store, ctx, m)
}

// commitFault is a way to commit wrongly.
type commitFault func(s *memory.Store, ctx context.Context, m storage.Mutation) error

type faulty struct {
	*memory.Store
	fault commitFault
}

func (s *faulty) Commit(ctx context.Context, m storage.Mutation) error {
	return s.fault(s.Store, ctx, m)
}

func commits(fault commitFault) func() storagetest.Store {
	return func() storagetest.Store { return &faulty{memory.New(), fault} }
}

func limitBeforePut(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	if m.Limit != nil && active(s, m, storage.Active)+len(m.Put) > m.Limit.Max {
		return storage.ErrLimit
	}
	m.Limit = nil
	return s.Commit(ctx, m)
}

func limitCountsRevoked(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	if m.Limit != nil && active(s, m, storage.AnyStatus)+len(m.Put) > m.Limit.Max {
		return storage.ErrLimit
	}
	return s.Commit(ctx, m)
}

func limitAtAnotherTime(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	m.Now = m.Now.Add(365 * 24 * time.Hour)
	return s.Commit(ctx, m)
}

func noLimit(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	m.Limit = nil
	return s.Commit(ctx, m)
}

func limitOffByOne(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	if m.Limit != nil {
		m.Limit = &storage.Limit{Organisation: m.Limit.Organisation, Max: m.Limit.Max + 1}
	}
	return s.Commit(ctx, m)
}

// lastWriteWins replaces each version with the stored one until that succeeds.
func lastWriteWins(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	for {
		forced := m
		forced.Put = slices.Clone(m.Put)
		for i, k := range forced.Put {
			if stored, err := s.Key(ctx, k.Organisation, k.ID); err == nil && k.Version != 0 {
				forced.Put[i].Version = stored.Version
			}
		}
		if err := s.Commit(ctx, forced); !errors.Is(err, storage.ErrConflict) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// hidden keeps the log of m's organisations clean of what m itself records.
func hidden(m storage.Mutation) storage.Mutation {
	m.Audit = []storage.Entry{{Organisation: "hidden"}}
	return m
}

func auditFirst(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	if err := s.Commit(ctx, storage.Mutation{Now: m.Now, Audit: m.Audit}); err != nil {
		return err
	}
	return s.Commit(ctx, hidden(m))
}

func auditLast(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	if len(m.Audit) == 0 {
		return storage.ErrNoAudit
	}
	if err := s.Commit(ctx, hidden(m)); err != nil {
		return err
	}
	return s.Commit(ctx, storage.Mutation{Now: m.Now, Audit: m.Audit})
}

func inventsAudit(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	if len(m.Audit) == 0 {
		m = hidden(m)
	}
	return s.Commit(ctx, m)
}

func oneByOne(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	if len(m.Put) < 2 {
		return s.Commit(ctx, m)
	}
	for i, k := range m.Put {
		one := m
		one.Put = []storage.Key{k}
		if i > 0 {
			one = hidden(one)
		}
		if err := s.Commit(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func lastOfTwins(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	var put []storage.Key
	for i, k := range m.Put {
		if !slices.ContainsFunc(m.Put[i+1:], func(o storage.Key) bool { return o.ID == k.ID }) {
			put = append(put, k)
		}
	}
	m.Put = put
	return s.Commit(ctx, m)
}

func cutAtNUL(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	m.Put = slices.Clone(m.Put)
	for i := range m.Put {
		m.Put[i].Name, _, _ = strings.Cut(m.Put[i].Name, "\x00")
	}
	return s.Commit(ctx, m)
}

func epochIsNever(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	m.Put = slices.Clone(m.Put)
	for i, k := range m.Put {
		if k.Expires.UnixMicro() == 0 {
			m.Put[i].Expires = time.Time{}
		}
	}
	return s.Commit(ctx, m)
}

func ignoresContext(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	s.Commit(context.WithoutCancel(ctx), m)
	return ctx.Err()
}

func mapped(from, to error) commitFault {
	return func(s *memory.Store, ctx context.Context, m storage.Mutation) error {
		err := s.Commit(ctx, m)
		if errors.Is(err, from) {
			return to
		}
		return err
	}
}

func permanentFirst(s *memory.Store, ctx context.Context, m storage.Mutation) error {
	for _, k := range m.Put {
		if stored, err := s.Key(ctx, k.Organisation, k.ID); err == nil && stored.Format != k.Format && stored.Revoked.IsZero() {
			return storage.ErrPermanent
		}
	}
	return s.Commit(ctx, m)
}

// overlay lets through what the store refuses with one sentinel: it remembers
// the record and shows it in the stored one's place.
type overlay struct {
	*memory.Store
	allows error
	mu     sync.Mutex
	forced map[string]storage.Key
}

func newOverlay(allows error) *overlay {
	return &overlay{Store: memory.New(), allows: allows, forced: make(map[string]storage.Key)}
}

func (s *overlay) Commit(ctx context.Context, m storage.Mutation) error {
	err := s.Store.Commit(ctx, m)
	if s.allows == nil || !errors.Is(err, s.allows) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range m.Put {
		k.Version++
		s.forced[k.ID] = k
	}
	return nil
}

func (s *overlay) shown(k storage.Key) storage.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	if forced, ok := s.forced[k.ID]; ok {
		return forced
	}
	return k
}

func (s *overlay) Key(ctx context.Context, organisation, id string) (storage.Key, error) {
	k, err := s.Store.Key(ctx, organisation, id)
	return s.shown(k), err
}

func (s *overlay) ListKeys(ctx context.Context, q storage.Query) ([]storage.Key, string, error) {
	page, next, err := s.Store.ListKeys(ctx, q)
	for i := range page {
		page[i] = s.shown(page[i])
	}
	return page, next, err
}

// oldLookups never forgets a Lookup.
type oldLookups struct {
	*memory.Store
	ever sync.Map // Lookup -> storage.Key
}

func (s *oldLookups) Commit(ctx context.Context, m storage.Mutation) error {
	err := s.Store.Commit(ctx, m)
	if err == nil {
		for _, k := range m.Put {
			s.ever.Store(k.Lookup, k)
		}
	}
	return err
}

func (s *oldLookups) KeyByLookup(ctx context.Context, lookup string) (storage.Key, error) {
	k, ok := s.ever.Load(lookup)
	if !ok {
		return storage.Key{}, storage.ErrNotFound
	}
	return s.Key(ctx, k.(storage.Key).Organisation, k.(storage.Key).ID)
}

// sharing gives the same record to every caller of Key.
type sharing struct {
	*memory.Store
	once sync.Once
	k    storage.Key
	err  error
}

func (s *sharing) Key(ctx context.Context, organisation, id string) (storage.Key, error) {
	s.once.Do(func() { s.k, s.err = s.Store.Key(ctx, organisation, id) })
	return s.k, s.err
}

// keeping stores the caller's own slices.
type keeping struct {
	*memory.Store
	kept sync.Map // Lookup -> storage.Key
}

func (s *keeping) Commit(ctx context.Context, m storage.Mutation) error {
	err := s.Store.Commit(ctx, m)
	for _, k := range m.Put {
		s.kept.Store(k.Lookup, k)
	}
	return err
}

func (s *keeping) KeyByLookup(ctx context.Context, lookup string) (storage.Key, error) {
	k, err := s.Store.KeyByLookup(ctx, lookup)
	if kept, ok := s.kept.Load(lookup); ok {
		k.Scopes = kept.(storage.Key).Scopes
	}
	return k, err
}

// anyOrganisation finds keys by id alone.
type anyOrganisation struct{ *memory.Store }

func (s *anyOrganisation) Key(ctx context.Context, _, id string) (storage.Key, error) {
	return s.KeyByLookup(ctx, "lookup-"+id)
}

// offsets pages by counting from the newest key.
type offsets struct{ *memory.Store }

func (s *offsets) ListKeys(ctx context.Context, q storage.Query) ([]storage.Key, string, error) {
	from, err := strconv.Atoi("0" + q.Cursor)
	if err != nil {
		return nil, "", storage.ErrNotFound
	}
	size := q.PageSize()
	q.Cursor, q.Limit = "", 1000
	all, _, err := s.Store.ListKeys(ctx, q)
	if err != nil {
		return nil, "", err
	}
	page := all[min(from, len(all)):min(from+size, len(all))]
	if from+size >= len(all) {
		return page, "", nil
	}
	return page, strconv.Itoa(from + size), nil
}

type forgivingCursors struct{ *memory.Store }

func (s *forgivingCursors) ListKeys(ctx context.Context, q storage.Query) ([]storage.Key, string, error) {
	page, next, err := s.Store.ListKeys(ctx, q)
	if errors.Is(err, storage.ErrNotFound) {
		q.Cursor = ""
		return s.Store.ListKeys(ctx, q)
	}
	return page, next, err
}

type fixedNow struct{ *memory.Store }

func (s *fixedNow) ListKeys(ctx context.Context, q storage.Query) ([]storage.Key, string, error) {
	q.Now = time.Now()
	return s.Store.ListKeys(ctx, q)
}

type lateFilter struct{ *memory.Store }

func (s *lateFilter) ListKeys(ctx context.Context, q storage.Query) ([]storage.Key, string, error) {
	want := q.Status
	q.Status = storage.AnyStatus
	page, next, err := s.Store.ListKeys(ctx, q)
	return slices.DeleteFunc(page, func(k storage.Key) bool { return !k.Status(q.Now).In(want) }), next, err
}

// skipsLate shows each seventh entry only to who reads it a second time, as if
// its transaction had committed after a later number was read.
type skipsLate struct {
	*memory.Store
	mu     sync.Mutex
	hidden map[int64]bool
}

func (s *skipsLate) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	page, next, err := s.Store.Entries(ctx, q)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(page, func(e storage.Entry) bool {
		late := e.Position%7 == 3 && !s.hidden[e.Position]
		s.hidden[e.Position] = true
		return late
	}), next, err
}

// repeats gives a cursor before the last entry of the log.
type repeats struct{ *memory.Store }

func (s *repeats) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	page, next, err := s.Store.Entries(ctx, q)
	if len(page) > 1 && len(page) < q.PageSize() {
		next = fmt.Sprint(page[len(page)-1].Position - 1)
	}
	return page, next, err
}

// oneOrder begins with the oldest whatever is asked.
type oneOrder struct{ *memory.Store }

func (s *oneOrder) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	newest := q.Newest
	q.Newest = false
	page, next, err := s.Store.Entries(ctx, q)
	if newest && len(page) < q.PageSize() {
		next = ""
	}
	return page, next, err
}

// endless leads from the last full page to one with nothing.
type endless struct{ *memory.Store }

func (s *endless) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	page, next, err := s.Store.Entries(ctx, q)
	if q.Newest && next == "" && len(page) == q.PageSize() {
		next = fmt.Sprint(page[len(page)-1].Position)
	}
	return page, next, err
}

// repeatsNewest begins a page with the last entry of the one before.
type repeatsNewest struct{ *memory.Store }

func (s *repeatsNewest) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	page, next, err := s.Store.Entries(ctx, q)
	if q.Newest && next != "" && len(page) > 1 {
		next = fmt.Sprint(page[len(page)-1].Position + 1)
	}
	return page, next, err
}

// endsLog has no cursor for the end.
type endsLog struct{ *memory.Store }

func (s *endsLog) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	page, next, err := s.Store.Entries(ctx, q)
	if len(page) == 0 {
		next = ""
	}
	return page, next, err
}
