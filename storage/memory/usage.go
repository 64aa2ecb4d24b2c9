package memory

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Usage = (*Store)(nil)

// usage is all of it. The store's lock guards it.
type usage struct {
	organisations map[string]*usageOrganisation
	instances     map[string]*usageInstance
	claims        map[[2]string]usageClaim // by organisation and task
	started       time.Time                // complete since then, or
	gap           time.Time                // since then; for all organisations
}

type usageOrganisation struct {
	keys   map[string]*usageOfKey
	totals map[strikeplate.Environment]*usageOfKey
	names  map[string]time.Time // patterns and codes: last seen
	gap    time.Time
}

// usageOfKey is the use of one credential, or of all of one environment.
type usageOfKey struct {
	key       storage.UsageKey
	seen      storage.UsageSeen
	touched   time.Time
	series    map[bucket]*storage.UsageCounts
	endpoints map[bucket]map[string]*storage.UsageCounts
	addresses map[netip.Addr]storage.UsageAddress
	refusals  map[refusal]storage.UsageRefusal
}

type bucket struct {
	step  storage.UsageStep
	start int64 // minutes
}

type refusal struct {
	bucket
	code   string
	proven bool
}

type usageInstance struct {
	sequence     uint64
	heard, until time.Time
	every        time.Duration
	final        bool
}

type usageClaim struct {
	holder string
	until  time.Time
}

// AddUsage implements [storage.Usage].
func (s *Store) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	if err := b.Check(); err != nil {
		return err
	}
	unlock, err := s.writing(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if news, err := s.usage.advance(b); err != nil || !news {
		return err
	}
	b = b.Attributed(func(credential string) (storage.UsageKey, bool) {
		k, ok := s.keys[credential]
		if !ok {
			return storage.UsageKey{}, false
		}
		return storage.UsageKey{Organisation: k.Organisation, Credential: k.ID, Lineage: k.Lineage, Environment: k.Environment}, true
	})
	s.usage.add(b.Folded(
		func(k storage.UsageKey) bool { return s.usage.admitKey(k, b.Now) },
		func(n storage.UsageName) bool { return s.usage.admitName(n, b.Now) }))
	return nil
}

// advance notes the instance's batch and reports whether it is a new one.
func (u *usage) advance(b storage.UsageBatch) (bool, error) {
	if u.instances == nil {
		u.instances = make(map[string]*usageInstance)
		u.organisations = make(map[string]*usageOrganisation)
	}
	i := u.instances[b.Instance]
	switch {
	case i == nil && b.Sequence > 1:
		return false, storage.ErrForgotten
	case i == nil:
		u.begin(b)
		i = &usageInstance{}
		u.instances[b.Instance] = i
	case b.Sequence <= i.sequence:
		return false, nil
	}
	i.sequence, i.every, i.final = b.Sequence, b.Every, b.Final
	i.heard, i.until = later(i.heard, micro(b.Now)), later(i.until, micro(b.Until))
	u.gap = later(u.gap, micro(b.Gap))
	return true, nil
}

// begin notes a gap where nobody had counted for a while: there may have been
// instances that don't count at all.
func (u *usage) begin(b storage.UsageBatch) {
	var heard time.Time
	for _, i := range u.instances {
		heard = later(heard, i.heard)
	}
	if u.started.IsZero() || b.Now.Sub(heard) > storage.UsagePause {
		u.started = cmp.Or(u.started, micro(b.Now))
		u.gap = later(u.gap, micro(b.Now))
	}
}

func (u *usage) in(organisation string) *usageOrganisation {
	o := u.organisations[organisation]
	if o == nil {
		o = &usageOrganisation{
			keys:   make(map[string]*usageOfKey),
			totals: make(map[strikeplate.Environment]*usageOfKey),
			names:  make(map[string]time.Time),
		}
		u.organisations[organisation] = o
	}
	return o
}

func (u *usage) admitKey(k storage.UsageKey, now time.Time) bool {
	o := u.in(k.Organisation)
	switch {
	case o.keys[k.Credential] != nil || k.Credential == storage.UsageOther:
	case len(o.keys) >= storage.MaxUsageKeys:
		o.gap = later(o.gap, micro(now))
		return false
	}
	o.key(k, now)
	return true
}

func (u *usage) admitName(n storage.UsageName, now time.Time) bool {
	o := u.in(n.Organisation)
	_, known := o.names[n.Name]
	if !known && len(o.names) >= storage.MaxUsagePatterns && n.Name != storage.UsageOther {
		return false
	}
	o.names[n.Name] = later(o.names[n.Name], now)
	return true
}

// key returns the credential's use, made on first use.
func (o *usageOrganisation) key(k storage.UsageKey, now time.Time) *usageOfKey {
	of := o.keys[k.Credential]
	if of == nil {
		of = newUsageOfKey(k)
		o.keys[k.Credential] = of
	}
	of.touched = later(of.touched, now)
	return of
}

func newUsageOfKey(k storage.UsageKey) *usageOfKey {
	return &usageOfKey{
		key:       k,
		series:    make(map[bucket]*storage.UsageCounts),
		endpoints: make(map[bucket]map[string]*storage.UsageCounts),
		addresses: make(map[netip.Addr]storage.UsageAddress),
		refusals:  make(map[refusal]storage.UsageRefusal),
	}
}

// add adds a batch whose keys and names are admitted.
func (u *usage) add(b storage.UsageBatch) {
	series, endpoints := b.Tallies()
	for _, t := range series {
		all := u.tallied(t, b.Now).series
		at := bucket{t.Step, storage.UsageMinute(t.Start)}
		if all[at] == nil {
			all[at] = &storage.UsageCounts{}
		}
		all[at].Add(t.UsageCounts)
	}
	for _, t := range endpoints {
		all := u.tallied(t, b.Now).endpoints
		at := bucket{t.Step, storage.UsageMinute(t.Start)}
		if all[at] == nil {
			all[at] = make(map[string]*storage.UsageCounts)
		}
		if all[at][t.Pattern] == nil {
			all[at][t.Pattern] = &storage.UsageCounts{}
		}
		all[at][t.Pattern].Add(t.UsageCounts)
	}
	for _, seen := range b.Seen {
		seen.First, seen.Succeeded, seen.Presented, seen.BrowserAt = micro(seen.First), micro(seen.Succeeded), micro(seen.Presented), micro(seen.BrowserAt)
		u.in(seen.Organisation).key(seen.UsageKey, b.Now).seen.Merge(seen)
	}
	for _, a := range b.Addresses {
		u.in(a.Organisation).key(a.UsageKey, b.Now).address(a)
	}
	for _, t := range b.RefusalTallies() {
		of := u.in(t.Organisation).key(t.UsageKey, b.Now)
		at := refusal{bucket{t.Step, storage.UsageMinute(t.Hour)}, t.Code, t.Proven}
		t.Last = micro(t.Last)
		if known, ok := of.refusals[at]; ok {
			t.Merge(known)
		}
		of.refusals[at] = t.UsageRefusal
	}
}

// tallied is where a tally belongs.
func (u *usage) tallied(t storage.UsageTally, now time.Time) *usageOfKey {
	o := u.in(t.Organisation)
	if !t.Total {
		return o.key(t.UsageKey, now)
	}
	of := o.totals[t.Environment]
	if of == nil {
		of = newUsageOfKey(t.UsageKey)
		o.totals[t.Environment] = of
	}
	of.touched = later(of.touched, now)
	return of
}

// address adds a, and lets those go that are among the first half neither by
// their count nor by their last use.
func (of *usageOfKey) address(a storage.UsageAddress) {
	a.First, a.Last = micro(a.First), micro(a.Last)
	a.Merge(of.addresses[a.Address])
	of.addresses[a.Address] = a
	others, some := of.addresses[netip.Addr{}]
	room := storage.MaxUsageAddresses
	if some {
		room++
	}
	if len(of.addresses) <= room {
		return
	}
	delete(of.addresses, netip.Addr{})
	all := slices.Collect(maps.Values(of.addresses))
	keep := make(map[netip.Addr]bool)
	for _, order := range []func(a, b storage.UsageAddress) int{
		func(a, b storage.UsageAddress) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last), a.Address.Compare(b.Address))
		}, recentFirst,
	} {
		slices.SortFunc(all, order)
		for _, a := range all[:storage.MaxUsageAddresses/2] {
			keep[a.Address] = true
		}
	}
	others.UsageKey = of.key
	for _, a := range all {
		if !keep[a.Address] {
			others.Merge(a)
			delete(of.addresses, a.Address)
		}
	}
	of.addresses[netip.Addr{}] = others
}

// recentFirst puts the row without an address last.
func recentFirst(a, b storage.UsageAddress) int {
	others := func(a storage.UsageAddress) int {
		if a.Address.IsValid() {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(others(a), others(b)), b.Last.Compare(a.Last), a.Address.Compare(b.Address))
}

func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
