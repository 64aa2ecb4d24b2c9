package storagetest_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// brokenUsage break one promise each, and name the case that must notice.
var brokenUsage = []struct {
	fault, caught string
	make          func() storage.Usage
}{
	{"sequences ignored", "UsageTwice", counting(usageTwin{batch: resequenced()})},
	{"sequences ignored, at once", "UsageTwiceRace", counting(usageTwin{batch: resequenced()})},
	{"counted in one transaction and noted in another", "UsageTwiceRace", notedApart},
	{"counts without a transaction", "UsageTwice", func() storage.Usage { return &halved{Store: memory.New()} }},
	{"a lost update", "UsageRace", newOverwrites},
	{"an unknown instance accepted", "UsageForgotten", counting(usageTwin{batch: welcomed})},
	{"classes not told apart", "UsageAdded", counting(usageTwin{batch: classless})},
	{"the day of the batch", "UsageModel", counting(usageTwin{batch: nowMinutes})},
	{"organisations not apart", "UsageApart", counting(usageTwin{batch: oneOrganisation, query: oneOrganisationAsked})},
	{"to included", "UsageRange", counting(usageTwin{query: func(q storage.UsageQuery) storage.UsageQuery { q.To = q.To.Add(1); return q }})},
	{"from excluded", "UsageRange", counting(usageTwin{query: func(q storage.UsageQuery) storage.UsageQuery { q.From = q.From.Add(1); return q }})},
	{"the environment ignored", "UsageAdded", counting(usageTwin{query: func(q storage.UsageQuery) storage.UsageQuery { q.Environment = ""; return q }})},
	{"the lineage ignored", "UsageAdded", counting(usageTwin{query: func(q storage.UsageQuery) storage.UsageQuery {
		if q.Credential != "" {
			q.Lineage = ""
		}
		return q
	}})},
	{"the last report counts as the last use", "UsageSeen", func() storage.Usage { return &lastReport{Store: memory.New()} }},
	{"refusals are uses", "UsageOfNobody", counting(usageTwin{batch: refusedIsSeen})},
	{"unproven refusals are the key's", "UsageRefusals", counting(usageTwin{batch: allProven})},
	{"no bound of addresses", "UsageAddresses", func() storage.Usage { return &manyAddresses{Store: memory.New()} }},
	{"the newest address dropped", "UsageAddresses", counting(usageTwin{batch: firstAddresses()})},
	{"nobody attributed", "UsageAttributed", counting(usageTwin{batch: nobodys})},
	{"no bound of patterns", "UsagePatternsBounded", counting(usageTwin{batch: shortPatterns})},
	{"patterns beyond the bound dropped", "UsagePatternsBounded", counting(usageTwin{batch: droppedPatterns()})},
	{"credentials beyond the bound unnoticed", "UsageKeysBounded", counting(usageTwin{since: func(since, _ time.Time) time.Time {
		if since.After(storageNoon) && since.Before(storageNoon.Add(time.Minute)) {
			return storageNoon
		}
		return since
	}})},
	{"always complete", "UsageComplete", counting(usageTwin{since: func(since, _ time.Time) time.Time {
		if since.IsZero() {
			return since
		}
		return storageNoon
	}})},
	{"complete before it began", "UsageComplete", counting(usageTwin{since: func(since, _ time.Time) time.Time {
		if since.IsZero() {
			return storageNoon
		}
		return since
	}})},
	{"gaps ignored", "UsageComplete", counting(usageTwin{batch: func(b storage.UsageBatch) storage.UsageBatch { b.Gap = time.Time{}; return b }})},
	{"ends ignored", "UsageComplete", counting(usageTwin{batch: func(b storage.UsageBatch) storage.UsageBatch { b.Final = false; return b }})},
	{"a month without counting is complete", "UsagePause", counting(usageTwin{since: func(time.Time, time.Time) time.Time { return storageNoon }})},
	{"the moment itself pruned", "UsagePrune", counting(usageTwin{cut: func(c storage.UsageCutoffs) storage.UsageCutoffs {
		c.Minutes = c.Minutes.Add(time.Minute)
		return c
	}})},
	{"no limit to pruning", "UsagePrune", counting(usageTwin{limit: func(int) int { return 0 }})},
	{"origins kept", "UsagePrune", counting(usageTwin{cut: func(c storage.UsageCutoffs) storage.UsageCutoffs { c.Addresses = time.Time{}; return c }})},
	{"names kept", "UsagePruneNames", counting(usageTwin{cut: func(c storage.UsageCutoffs) storage.UsageCutoffs { c.Names = time.Time{}; return c }})},
	{"instances never given up", "UsagePruneInstances", counting(usageTwin{cut: func(c storage.UsageCutoffs) storage.UsageCutoffs { c.Instances = time.Time{}; return c }})},
	{"an erasure of nothing", "UsageErase", counting(usageTwin{erase: func(string) string { return "nobody" }})},
	{"claims for everybody", "UsageClaim", counting(usageTwin{claim: func(c storage.UsageClaim) storage.UsageClaim { c.Holder = "same"; return c }})},
	{"claims for everybody, at once", "UsageClaimRace", counting(usageTwin{claim: func(c storage.UsageClaim) storage.UsageClaim { c.Holder = "same"; return c }})},
	{"claims for ever", "UsageClaim", counting(usageTwin{claim: func(c storage.UsageClaim) storage.UsageClaim { c.Until = c.Until.Add(24 * time.Hour); return c }})},
	{"anything accepted", "UsageRefused", func() storage.Usage { return &lenient{Store: memory.New()} }},
	{"deaf", "UsageCancelled", func() storage.Usage { return &deafCounter{Store: memory.New()} }},
}

var storageNoon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestBrokenUsageFails(t *testing.T) {
	for _, b := range brokenUsage {
		t.Run(strings.ReplaceAll(b.fault, " ", "_"), func(t *testing.T) {
			mustFail(t, func(tb testing.TB) bool { return storagetest.UsageCase(tb, b.caught, b.make()) })
		})
	}
}

// The cases pass on what the broken stores are made of.
func TestSoundUsagePasses(t *testing.T) {
	done := make(map[string]bool)
	for _, b := range brokenUsage {
		if done[b.caught] {
			continue
		}
		done[b.caught] = true
		if got := failures(t, func(tb testing.TB) { storagetest.UsageCase(tb, b.caught, counting(usageTwin{})()) }); len(got) > 0 {
			t.Errorf("a sound store fails %s: %v", b.caught, got)
		}
	}
}

// usageTwin is a memory store of which some arguments or answers are changed.
type usageTwin struct {
	*memory.Store
	batch func(storage.UsageBatch) storage.UsageBatch
	query func(storage.UsageQuery) storage.UsageQuery
	since func(since, now time.Time) time.Time
	cut   func(storage.UsageCutoffs) storage.UsageCutoffs
	limit func(int) int
	erase func(string) string
	claim func(storage.UsageClaim) storage.UsageClaim
}

func counting(t usageTwin) func() storage.Usage {
	return func() storage.Usage {
		t := t
		t.Store = memory.New()
		return &t
	}
}

func (u *usageTwin) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	if u.batch != nil && b.Check() == nil {
		b.Rows, b.Seen = slices.Clone(b.Rows), slices.Clone(b.Seen)
		b.Addresses, b.Refusals = slices.Clone(b.Addresses), slices.Clone(b.Refusals)
		b = u.batch(b)
	}
	return u.Store.AddUsage(ctx, b)
}

func (u *usageTwin) asked(q storage.UsageQuery) storage.UsageQuery {
	if u.query != nil && q.Check() == nil {
		return u.query(q)
	}
	return q
}

func (u *usageTwin) UsageSeries(ctx context.Context, q storage.UsageQuery) ([]storage.UsagePoint, error) {
	return u.Store.UsageSeries(ctx, u.asked(q))
}

func (u *usageTwin) UsageEndpoints(ctx context.Context, q storage.UsageQuery) ([]storage.UsageEndpoint, error) {
	return u.Store.UsageEndpoints(ctx, u.asked(q))
}

func (u *usageTwin) UsageCompleteSince(ctx context.Context, organisation string, now time.Time) (time.Time, error) {
	since, err := u.Store.UsageCompleteSince(ctx, organisation, now)
	if u.since != nil && err == nil {
		since = u.since(since, now)
	}
	return since, err
}

func (u *usageTwin) PruneUsage(ctx context.Context, cut storage.UsageCutoffs, limit int) (int, error) {
	if u.cut != nil {
		cut = u.cut(cut)
	}
	if u.limit != nil {
		limit = u.limit(limit)
	}
	return u.Store.PruneUsage(ctx, cut, limit)
}

func (u *usageTwin) EraseUsage(ctx context.Context, organisation string) error {
	if u.erase != nil {
		organisation = u.erase(organisation)
	}
	return u.Store.EraseUsage(ctx, organisation)
}

func (u *usageTwin) ClaimUsage(ctx context.Context, c storage.UsageClaim) (bool, error) {
	if u.claim != nil && c.Check() == nil {
		c = u.claim(c)
	}
	return u.Store.ClaimUsage(ctx, c)
}

// resequenced takes every batch for a new one.
func resequenced() func(storage.UsageBatch) storage.UsageBatch {
	var mu sync.Mutex
	return func(b storage.UsageBatch) storage.UsageBatch {
		mu.Lock()
		defer mu.Unlock()
		b.Instance += "-" + time.Now().Format("150405.000000000")
		b.Instance += strings.Repeat("x", int(b.Sequence%7))
		b.Sequence = 1
		return b
	}
}

func welcomed(b storage.UsageBatch) storage.UsageBatch {
	b.Sequence = 1
	return b
}

func classless(b storage.UsageBatch) storage.UsageBatch {
	for i := range b.Rows {
		b.Rows[i].Class = [6]int64{2: b.Rows[i].Requests()}
	}
	return b
}

func nowMinutes(b storage.UsageBatch) storage.UsageBatch {
	for i := range b.Rows {
		b.Rows[i].Minute = b.Now
	}
	return b
}

func oneOrganisation(b storage.UsageBatch) storage.UsageBatch {
	for i := range b.Rows {
		b.Rows[i].Organisation = "all"
	}
	return b
}

func oneOrganisationAsked(q storage.UsageQuery) storage.UsageQuery {
	q.Organisation = "all"
	return q
}

func refusedIsSeen(b storage.UsageBatch) storage.UsageBatch {
	for _, r := range b.Refusals {
		if r.Credential != "" {
			b.Seen = append(b.Seen, storage.UsageSeen{UsageKey: r.UsageKey, First: r.Last, Presented: r.Last})
		}
	}
	return b
}

func allProven(b storage.UsageBatch) storage.UsageBatch {
	for i := range b.Refusals {
		b.Refusals[i].Proven = true
	}
	return b
}

// firstAddresses keeps no more than it has room for.
func firstAddresses() func(storage.UsageBatch) storage.UsageBatch {
	known := make(map[string]bool)
	var mu sync.Mutex
	return func(b storage.UsageBatch) storage.UsageBatch {
		mu.Lock()
		defer mu.Unlock()
		var kept []storage.UsageAddress
		for _, a := range b.Addresses {
			if len(known) < storage.MaxUsageAddresses || known[a.Address.String()] {
				known[a.Address.String()] = true
				kept = append(kept, a)
			}
		}
		b.Addresses = kept
		return b
	}
}

func nobodys(b storage.UsageBatch) storage.UsageBatch {
	for i := range b.Rows {
		if b.Rows[i].Organisation == "" {
			b.Rows[i].Organisation = "?"
		}
	}
	return b
}

// shortPatterns admits all by making them one.
func shortPatterns(b storage.UsageBatch) storage.UsageBatch {
	for i := range b.Rows {
		b.Rows[i].Pattern = b.Rows[i].Pattern[:5]
	}
	return b
}

func droppedPatterns() func(storage.UsageBatch) storage.UsageBatch {
	known := make(map[string]bool)
	var mu sync.Mutex
	return func(b storage.UsageBatch) storage.UsageBatch {
		mu.Lock()
		defer mu.Unlock()
		var kept []storage.UsageRow
		for _, r := range b.Rows {
			if len(known) < storage.MaxUsagePatterns || known[r.Pattern] {
				known[r.Pattern] = true
				kept = append(kept, r)
			}
		}
		b.Rows = kept
		return b
	}
}

// apart looks whether a batch is new, adds it, and notes then that it has: two
// transactions.
type apart struct {
	*memory.Store
	mu   sync.Mutex
	done map[string]bool
	met  *meeting
	n    int
}

func notedApart() storage.Usage {
	return &apart{Store: memory.New(), done: make(map[string]bool), met: newMeeting(storagetest.Many)}
}

func (a *apart) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	a.mu.Lock()
	done := a.done[b.Instance]
	a.mu.Unlock()
	if done {
		return nil
	}
	a.met.wait()
	instance := b.Instance
	a.mu.Lock()
	a.n++
	b.Instance = strings.Repeat("x", a.n)
	a.mu.Unlock()
	if err := a.Store.AddUsage(ctx, b); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done[instance] = true
	return nil
}

// halved adds the rows in one transaction, and all else in another one that
// knows nothing of sequences.
type halved struct {
	*memory.Store
	mu sync.Mutex
	n  int
}

func (h *halved) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	rest := b
	b.Seen, b.Addresses, b.Refusals, rest.Rows = nil, nil, nil, nil
	if err := h.Store.AddUsage(ctx, b); err != nil {
		return err
	}
	h.n++
	rest.Instance, rest.Sequence = strings.Repeat("r", h.n), 1
	return h.Store.AddUsage(ctx, rest)
}

// overwrites loses every other batch of those that are under way at once.
type overwrites struct {
	*memory.Store
	met  *meeting
	turn atomic.Int32
}

func newOverwrites() storage.Usage {
	return &overwrites{Store: memory.New(), met: newMeeting(storagetest.Many)}
}

func (o *overwrites) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	o.met.wait()
	if o.turn.Add(1)%2 == 0 {
		b.Rows = nil
	}
	return o.Store.AddUsage(ctx, b)
}

// lastReport takes what was reported last for the most recent.
type lastReport struct {
	*memory.Store
	last map[string]storage.UsageSeen
}

func (l *lastReport) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	if l.last == nil {
		l.last = make(map[string]storage.UsageSeen)
	}
	for _, s := range b.Seen {
		l.last[s.Credential] = s
	}
	return l.Store.AddUsage(ctx, b)
}

func (l *lastReport) LastUsed(ctx context.Context, credentials []string) (map[string]time.Time, error) {
	found, err := l.Store.LastUsed(ctx, credentials)
	for id := range found {
		found[id] = l.last[id].Succeeded.Truncate(time.Microsecond)
	}
	return found, err
}

// manyAddresses keeps every one.
type manyAddresses struct {
	*memory.Store
	all []storage.UsageAddress
}

func (m *manyAddresses) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	m.all = append(m.all, b.Addresses...)
	return m.Store.AddUsage(ctx, b)
}

func (m *manyAddresses) UsageAddresses(ctx context.Context, q storage.UsageQuery) ([]storage.UsageAddress, error) {
	if _, err := m.Store.UsageAddresses(ctx, q); err != nil {
		return nil, err
	}
	all := slices.Clone(m.all)
	slices.SortFunc(all, func(a, b storage.UsageAddress) int { return b.Last.Compare(a.Last) })
	return all, nil
}

// lenient cuts what is too much, and reads what has no range.
type lenient struct{ *memory.Store }

func (l *lenient) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	if b.Check() != nil {
		return nil //nolint:nilerr // that is what is broken
	}
	return l.Store.AddUsage(ctx, b)
}

// deafCounter doesn't hear that a call was cancelled.
type deafCounter struct{ *memory.Store }

func (d *deafCounter) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	return d.Store.AddUsage(context.WithoutCancel(ctx), b)
}
