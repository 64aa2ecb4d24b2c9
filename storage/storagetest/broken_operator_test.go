package storagetest_test

import (
	"cmp"
	"context"
	"errors"
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

// brokenOperator breaks one promise, and names the case that must notice.
type brokenOperator struct {
	fault, caught string
	make          func() storagetest.Operated
}

// brokenUpkeep break one promise of the rest each.
var brokenUpkeep = []brokenOperator{
	{"organisations in no order", "Organisations", upkeeping(twin{list: reversed})},
	{"organisations from after on", "Organisations", upkeeping(twin{list: fromAfter})},
	{"organisations without a limit", "Organisations", upkeeping(twin{list: unlimited})},
	{"organisations that have nothing left", "Organisations", func() storagetest.Operated { return &everListed{Store: memory.New()} }},
	{"erasing what is not there fails", "EraseNothing", upkeeping(twin{erase: mustBeThere})},
	{"trimmed though cancelled", "OperatorCancelled", upkeeping(twin{trim: deafTrim})},
	{"erased though cancelled", "OperatorCancelled", upkeeping(twin{erase: deafErase})},

	{"trimmed up to the moment itself", "Trim", upkeeping(twin{trim: inclusive})},
	{"all is trimmed", "Trim", upkeeping(twin{trim: whatever})},
	{"trimmed more than told", "Trim", upkeeping(twin{trim: understated})},
	{"no limit to trimming", "TrimOldestFirst", upkeeping(twin{trim: noTrimLimit})},
	{"positions closed up", "Trim", hiding(hider{renumbers: true})},
	{"the newest trimmed first", "TrimOldestFirst", hiding(hider{newestFirst: true})},
	{"one organisation trimmed after the other", "TrimOldestFirst", hiding(hider{byOrganisation: true})},
	{"trimmed up to the first that is newer", "TrimBySheerAge", hiding(hider{prefixOnly: true})},
	{"trimmed as positions go", "TrimBySheerAge", hiding(hider{byPosition: true})},
	{"a cursor into what was trimmed", "TrimmedReader", upkeeping(twin{read: strictReader})},
	{"a trimmed log read from its end", "TrimmedReader", upkeeping(twin{read: skipper})},
	{"trimmed entries counted twice", "TrimRace", func() storagetest.Operated {
		return &countsFirst{Store: memory.New(), met: newMeeting(storagetest.Many / 8)}
	}},

	{"the user forgotten too", "Forget", func() storagetest.Operated { return &forgetful{Store: memory.New()} }},
	{"forgotten up to the moment itself", "Forget", upkeeping(twin{forget: inclusiveForget})},
	{"forgotten more than told", "Forget", upkeeping(twin{forget: understatedForget})},
	{"no limit to forgetting", "ForgetOldestFirst", upkeeping(twin{forget: noForgetLimit})},

	{"the account stays", "Erase", upkeeping(twin{erase: keepsAccount})},
	{"users stay", "Erase", upkeeping(twin{erase: keepsUsers})},
	{"revoked keys stay", "Erase", upkeeping(twin{erase: keepsRevoked})},
	{"the log stays", "Erase", upkeeping(twin{erase: keepsLog(0)})},
	{"the log stays from entry 10,000 on", "EraseLongLog", upkeeping(twin{erase: keepsLog(10_000)})},
	{"others are erased", "Erase", upkeeping(twin{erase: erasesAll})},
	{"keys and log erased apart", "EraseRace", func() storagetest.Operated { return newErasesApart() }},
	{"positions begin again", "EraseAndReturn", func() storagetest.Operated { return &restarting{Store: memory.New(), base: make(map[string]int64)} }},
	{"an erasure in silence", "EraseTold", telling(teller{drop: func(storage.Subject) bool { return true }})},
	{"an erasure in silence, across values", "EraseToldAcrossValues", telling(teller{drop: func(storage.Subject) bool { return true }})},
	{"an erasure of keys alone told", "EraseTold", telling(teller{drop: func(s storage.Subject) bool { return s != storage.KeyChanged }})},
	{"an erasure told with a version", "EraseTold", telling(teller{version: 3})},
	{"an erasure told before", "EraseTold", telling(teller{early: true})},
}

func TestBrokenOperatorsFail(t *testing.T) {
	storagetest.SetPatience(t, 500*time.Millisecond)
	for _, b := range slices.Concat(brokenUpkeep, brokenDeliveries) {
		t.Run(strings.ReplaceAll(b.fault, " ", "_"), func(t *testing.T) {
			mustFail(t, func(tb testing.TB) bool { return storagetest.OperatorCase(tb, b.caught, b.make()) })
		})
	}
}

// The cases pass on what the broken stores are made of.
func TestSoundOperatorsPass(t *testing.T) {
	done := make(map[string]bool)
	for _, b := range slices.Concat(brokenUpkeep, brokenDeliveries) {
		if done[b.caught] {
			continue
		}
		done[b.caught] = true
		for what, s := range map[string]storagetest.Operated{
			"twin": upkeeping(twin{})(), "deliverer": delivering(faults{})(), "hider": hiding(hider{})(), "teller": telling(teller{})(),
		} {
			if what == "hider" && (!strings.HasPrefix(b.caught, "Trim") || b.caught == "TrimRace") {
				continue // it trims by showing less, and not from several goroutines
			}
			got := failures(t, func(tb testing.TB) { storagetest.OperatorCase(tb, b.caught, s) })
			if len(got) > 0 {
				t.Errorf("%s fails %s: %v", what, b.caught, got)
			}
		}
	}
}

type sweep = func(s *memory.Store, ctx context.Context, before time.Time, limit int) (int, error)

// twin is a memory store of which some methods are replaced.
type twin struct {
	*memory.Store
	list         func(s *memory.Store, ctx context.Context, after string, limit int) ([]string, error)
	read         func(s *memory.Store, ctx context.Context, q storage.Query) ([]storage.Entry, string, error)
	trim, forget sweep
	erase        func(s *memory.Store, ctx context.Context, organisation string) error
}

func upkeeping(t twin) func() storagetest.Operated {
	return func() storagetest.Operated {
		t := t
		t.Store = memory.New()
		return &t
	}
}

func (t *twin) Organisations(ctx context.Context, after string, limit int) ([]string, error) {
	if t.list != nil {
		return t.list(t.Store, ctx, after, limit)
	}
	return t.Store.Organisations(ctx, after, limit)
}

func (t *twin) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	if t.read != nil {
		return t.read(t.Store, ctx, q)
	}
	return t.Store.Entries(ctx, q)
}

func (t *twin) TrimAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	if t.trim != nil {
		return t.trim(t.Store, ctx, before, limit)
	}
	return t.Store.TrimAudit(ctx, before, limit)
}

func (t *twin) ForgetAddresses(ctx context.Context, before time.Time, limit int) (int, error) {
	if t.forget != nil {
		return t.forget(t.Store, ctx, before, limit)
	}
	return t.Store.ForgetAddresses(ctx, before, limit)
}

func (t *twin) EraseOrganisation(ctx context.Context, organisation string) error {
	if t.erase != nil {
		return t.erase(t.Store, ctx, organisation)
	}
	return t.Store.EraseOrganisation(ctx, organisation)
}

func reversed(s *memory.Store, ctx context.Context, after string, limit int) ([]string, error) {
	names, err := s.Organisations(ctx, after, limit)
	slices.Reverse(names)
	return names, err
}

func fromAfter(s *memory.Store, ctx context.Context, after string, limit int) ([]string, error) {
	names, err := s.Organisations(ctx, after, limit)
	if after != "" {
		names = append([]string{after}, names[:min(len(names), storage.BatchSize(limit)-1)]...)
	}
	return names, err
}

func unlimited(s *memory.Store, ctx context.Context, after string, _ int) ([]string, error) {
	return s.Organisations(ctx, after, 10_000)
}

// everListed lists whatever was named once.
type everListed struct {
	*memory.Store
	names []string
}

func (s *everListed) Commit(ctx context.Context, m storage.Mutation) error {
	for _, e := range m.Audit {
		s.names = append(s.names, e.Organisation)
	}
	for _, k := range m.Put {
		s.names = append(s.names, k.Organisation)
	}
	return s.Store.Commit(ctx, m)
}

func (s *everListed) Organisations(_ context.Context, after string, limit int) ([]string, error) {
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	at, found := slices.BinarySearch(s.names, after)
	if found {
		at++
	}
	return s.names[at:min(at+storage.BatchSize(limit), len(s.names))], nil
}

func deafTrim(s *memory.Store, ctx context.Context, before time.Time, limit int) (int, error) {
	n, _ := s.TrimAudit(context.WithoutCancel(ctx), before, limit)
	return n, ctx.Err()
}

func inclusive(s *memory.Store, ctx context.Context, before time.Time, limit int) (int, error) {
	return s.TrimAudit(ctx, before.Add(time.Microsecond), limit)
}

func whatever(s *memory.Store, ctx context.Context, before time.Time, limit int) (int, error) {
	return s.TrimAudit(ctx, before.AddDate(1, 0, 0), limit)
}

func understated(s *memory.Store, ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.TrimAudit(ctx, before, limit)
	return min(n, 1), err
}

func noTrimLimit(s *memory.Store, ctx context.Context, before time.Time, _ int) (int, error) {
	return s.TrimAudit(ctx, before, 10_000)
}

func inclusiveForget(s *memory.Store, ctx context.Context, before time.Time, limit int) (int, error) {
	return s.ForgetAddresses(ctx, before.Add(time.Microsecond), limit)
}

func understatedForget(s *memory.Store, ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.ForgetAddresses(ctx, before, limit)
	return min(n, 1), err
}

func noForgetLimit(s *memory.Store, ctx context.Context, before time.Time, _ int) (int, error) {
	return s.ForgetAddresses(ctx, before, 10_000)
}

// oldest is the position before the oldest entry that is kept.
func oldest(s *memory.Store, ctx context.Context, organisation string) int64 {
	page, _, err := s.Entries(ctx, storage.Query{Organisation: organisation, Limit: 1})
	if err != nil || len(page) == 0 {
		return 1 << 40
	}
	return page[0].Position - 1
}

func strictReader(s *memory.Store, ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	if seen, err := strconv.ParseInt(q.Cursor, 10, 64); err == nil && seen < oldest(s, ctx, q.Organisation) && seen > 0 {
		return nil, "", storage.ErrNotFound
	}
	return s.Entries(ctx, q)
}

func skipper(s *memory.Store, ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	if seen, err := strconv.ParseInt(q.Cursor, 10, 64); err == nil && seen < oldest(s, ctx, q.Organisation) {
		for page, next, err := s.Entries(ctx, q); ; page, next, err = s.Entries(ctx, q) {
			if q.Cursor = next; err != nil || len(page) == 0 {
				return nil, next, err
			}
		}
	}
	return s.Entries(ctx, q)
}

// hider trims by showing less. With no fault it is sound.
type hider struct {
	*memory.Store
	renumbers, newestFirst, byOrganisation, prefixOnly, byPosition bool

	mu     *sync.Mutex
	hidden map[string]map[int64]bool
}

func hiding(h hider) func() storagetest.Operated {
	return func() storagetest.Operated {
		h := h
		h.Store, h.mu, h.hidden = memory.New(), new(sync.Mutex), make(map[string]map[int64]bool)
		return &h
	}
}

func (h *hider) shown(page []storage.Entry) []storage.Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	page = slices.DeleteFunc(page, func(e storage.Entry) bool { return h.hidden[e.Organisation][e.Position] })
	for i := range page {
		if h.renumbers {
			page[i].Position -= int64(len(h.hidden[page[i].Organisation]))
		}
	}
	return page[:len(page):len(page)]
}

func (h *hider) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	for {
		page, next, err := h.Store.Entries(ctx, q)
		if err != nil || len(page) == 0 {
			return nil, next, err
		}
		if page = h.shown(page); len(page) > 0 {
			return page, next, nil
		}
		q.Cursor = next
	}
}

func (h *hider) Undelivered(ctx context.Context, consumer string, limit int) ([]storage.Entry, error) {
	page, err := h.Store.Undelivered(ctx, consumer, limit)
	return h.shown(page), err
}

func (h *hider) TrimAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	names, err := h.Organisations(ctx, "", 10_000)
	if err != nil {
		return 0, err
	}
	var found []storage.Entry
	for _, name := range names {
		q := storage.Query{Organisation: name, Limit: 1000}
		for page, next, err := h.Entries(ctx, q); err == nil && len(page) > 0; page, next, err = h.Entries(ctx, q) {
			q.Cursor = next
			found = append(found, page...)
		}
	}
	found = h.old(found, before)
	found = found[:min(len(found), storage.BatchSize(limit))]
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range found {
		if h.hidden[e.Organisation] == nil {
			h.hidden[e.Organisation] = make(map[int64]bool)
		}
		h.hidden[e.Organisation][e.Position] = true
	}
	return len(found), nil
}

// old are the entries to trim, the first to go first.
func (h *hider) old(all []storage.Entry, before time.Time) []storage.Entry {
	stopped := make(map[string]bool)
	all = slices.DeleteFunc(all, func(e storage.Entry) bool {
		young := !e.At.Before(before)
		stopped[e.Organisation] = stopped[e.Organisation] || young && h.prefixOnly
		return young || stopped[e.Organisation]
	})
	slices.SortStableFunc(all, func(a, b storage.Entry) int {
		switch {
		case h.newestFirst:
			return b.At.Compare(a.At)
		case h.byOrganisation:
			return strings.Compare(a.Organisation, b.Organisation)
		case h.byPosition:
			return cmp.Compare(b.Position, a.Position)
		}
		return a.At.Compare(b.At)
	})
	return all
}

// countsFirst counts what is to be trimmed, as others do at the same time; one
// of them trims it.
type countsFirst struct {
	*memory.Store
	met   *meeting
	calls atomic.Int64
}

func (s *countsFirst) TrimAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	page, _, err := s.Entries(ctx, storage.Query{Organisation: "acme", Limit: limit})
	s.met.wait()
	if err != nil {
		return 0, err
	}
	if s.calls.Add(1)%(storagetest.Many/8) == 0 {
		_, err = s.Store.TrimAudit(ctx, before, limit)
	}
	return len(page), err
}

// forgetful shows no user where it has forgotten the address.
type forgetful struct {
	*memory.Store
	forgot bool
}

func (s *forgetful) ForgetAddresses(ctx context.Context, before time.Time, limit int) (int, error) {
	s.forgot = true
	return s.Store.ForgetAddresses(ctx, before, limit)
}

func (s *forgetful) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	page, next, err := s.Store.Entries(ctx, q)
	for i := range page {
		if s.forgot && !page[i].Actor.Client.IsValid() {
			page[i].Actor.User = ""
		}
	}
	return page, next, err
}

func deafErase(s *memory.Store, ctx context.Context, organisation string) error {
	return errors.Join(s.EraseOrganisation(context.WithoutCancel(ctx), organisation), ctx.Err())
}

func mustBeThere(s *memory.Store, ctx context.Context, organisation string) error {
	names, err := s.Organisations(ctx, "", 10_000)
	if err != nil || !slices.Contains(names, organisation) {
		return errors.Join(err, storage.ErrNotFound)
	}
	return s.EraseOrganisation(ctx, organisation)
}

func keepsAccount(s *memory.Store, ctx context.Context, organisation string) error {
	a, missing := s.Account(ctx, organisation)
	err := s.EraseOrganisation(ctx, organisation)
	if missing != nil {
		return err
	}
	return errors.Join(err, s.PutAccount(ctx, a))
}

func keepsUsers(s *memory.Store, ctx context.Context, organisation string) error {
	u, missing := s.User(ctx, organisation, "u2 of "+organisation)
	err := s.EraseOrganisation(ctx, organisation)
	if missing != nil {
		return err
	}
	return errors.Join(err, s.PutUser(ctx, u))
}

func keepsRevoked(s *memory.Store, ctx context.Context, organisation string) error {
	keys, _, err := s.ListKeys(ctx, storage.Query{Organisation: organisation, Status: storage.Revoked})
	err = errors.Join(err, s.EraseOrganisation(ctx, organisation))
	for _, k := range keys {
		k.Version = 0
		m := storage.Mutation{Put: []storage.Key{k}, Audit: []storage.Entry{{Organisation: "elsewhere"}}}
		err = errors.Join(err, s.Commit(ctx, m))
	}
	return err
}

func keepsLog(from int) func(*memory.Store, context.Context, string) error {
	return func(s *memory.Store, ctx context.Context, organisation string) error {
		var all []storage.Entry
		q := storage.Query{Organisation: organisation, Limit: 1000}
		for page, next, err := s.Entries(ctx, q); err == nil && len(page) > 0; page, next, err = s.Entries(ctx, q) {
			q.Cursor = next
			all = append(all, page...)
		}
		if err := s.EraseOrganisation(ctx, organisation); err != nil || len(all) <= from {
			return err
		}
		return s.Commit(ctx, storage.Mutation{Audit: all[from:]})
	}
}

func erasesAll(s *memory.Store, ctx context.Context, organisation string) error {
	return errors.Join(s.EraseOrganisation(ctx, organisation), s.EraseOrganisation(ctx, "globex"))
}

// erasesApart removes the keys that are there when its first erasure begins, and
// the log that is there after one more commit.
type erasesApart struct {
	*memory.Store
	began, committed chan struct{}
	begin, commit    sync.Once

	mu     sync.Mutex
	hidden map[string]bool // targets
}

func newErasesApart() *erasesApart {
	return &erasesApart{Store: memory.New(), began: make(chan struct{}), committed: make(chan struct{}), hidden: make(map[string]bool)}
}

func (s *erasesApart) Commit(ctx context.Context, m storage.Mutation) error {
	late := strings.Contains(m.Audit[0].Target, "-")
	if late {
		<-s.began
	}
	err := s.Store.Commit(ctx, m)
	if late {
		s.commit.Do(func() { close(s.committed) })
	}
	return err
}

func (s *erasesApart) EraseOrganisation(ctx context.Context, organisation string) (err error) {
	s.begin.Do(func() {
		err = s.Store.EraseOrganisation(ctx, organisation)
		close(s.began)
		<-s.committed
		page, _, failed := s.Store.Entries(ctx, storage.Query{Organisation: organisation, Limit: 1000})
		err = errors.Join(err, failed)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range page {
			s.hidden[e.Target] = true
		}
	})
	return err
}

func (s *erasesApart) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	page, next, err := s.Store.Entries(ctx, q)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(page, func(e storage.Entry) bool { return s.hidden[e.Target] }), next, err
}

// restarting gives the first position again after an erasure.
type restarting struct {
	*memory.Store
	base map[string]int64
}

func (s *restarting) EraseOrganisation(ctx context.Context, organisation string) error {
	page, _, err := s.Store.Entries(ctx, storage.Query{Organisation: organisation, Limit: 1000})
	if len(page) > 0 {
		s.base[organisation] = page[len(page)-1].Position
	}
	return errors.Join(err, s.Store.EraseOrganisation(ctx, organisation))
}

func (s *restarting) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	base := s.base[q.Organisation]
	if seen, err := strconv.ParseInt(q.Cursor, 10, 64); err == nil {
		q.Cursor = strconv.FormatInt(seen+base, 10)
	}
	page, next, err := s.Store.Entries(ctx, q)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, q.Cursor, nil
	}
	for i := range page {
		page[i].Position -= base
	}
	if seen, err := strconv.ParseInt(next, 10, 64); err == nil {
		next = strconv.FormatInt(max(seen-base, 0), 10)
	}
	return page, next, err
}

// teller tells of erasures in its own way. With no fault it is sound.
type teller struct {
	*memory.Store
	drop    func(storage.Subject) bool
	version int64
	early   bool

	mu      *sync.Mutex
	sinks   []storage.Sink
	erasing bool
}

func telling(faulty teller) func() storagetest.Operated {
	return func() storagetest.Operated {
		faulty := faulty
		faulty.Store, faulty.mu = memory.New(), new(sync.Mutex)
		return &faulty
	}
}

func (s *teller) Watch(ctx context.Context, sink storage.Sink) error {
	s.mu.Lock()
	s.sinks = append(s.sinks, sink)
	s.mu.Unlock()
	return s.Store.Watch(ctx, toldSink{sink, s})
}

type toldSink struct {
	storage.Sink
	s *teller
}

func (t toldSink) Changed(subject storage.Subject, organisation, id string, version int64) {
	t.s.mu.Lock()
	erasing := t.s.erasing
	t.s.mu.Unlock()
	if erasing && t.s.drop != nil && t.s.drop(subject) {
		return
	}
	if erasing && t.s.version != 0 {
		version = t.s.version
	}
	t.Sink.Changed(subject, organisation, id, version)
}

func (s *teller) EraseOrganisation(ctx context.Context, organisation string) error {
	s.mu.Lock()
	s.erasing = true
	sinks := slices.Clone(s.sinks)
	s.mu.Unlock()
	for _, sink := range sinks {
		if s.early {
			sink.Changed(storage.KeyChanged, organisation, "active of "+organisation, 0)
		}
	}
	return s.Store.EraseOrganisation(ctx, organisation)
}
