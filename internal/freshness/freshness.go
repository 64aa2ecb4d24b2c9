// Package freshness follows a change feed on behalf of caches: it says whether
// what a cache remembers may still be served.
//
// A cache takes a [Stamp] before it reads the store and keeps it with what it
// read. The entry counts while the feed is fresh and the stamp is current. A
// change that arrives while the read is under way makes the stamp outdated
// before the entry is even stored, so a fill can never resurrect what was
// revoked; there is no list of changed ids that could overflow.
package freshness

import (
	"hash/maphash"
	"math"
	"sync/atomic"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Records share slots by hash: a change outdates its neighbours in the slot
// too, which costs each of them one read of the store.
const (
	recordSlots       = 1 << 12
	organisationSlots = 1 << 10
)

// Tracker implements [storage.Sink]. It is safe for concurrent use.
type Tracker struct {
	bound time.Duration
	began time.Time
	seed  maphash.Seed
	// nudge is told of each change, after the stamps are outdated.
	nudge func(subject storage.Subject, organisation, id string)

	asOf  atomic.Int64 // of the last barrier, since began; never: math.MinInt64
	epoch atomic.Uint64

	records       [recordSlots]atomic.Uint64
	organisations [organisationSlots]atomic.Uint64
}

const never = math.MinInt64

// New returns a Tracker for which a feed is fresh as long as its last barrier
// is at most bound old. nudge may be nil.
func New(bound time.Duration, nudge func(subject storage.Subject, organisation, id string)) *Tracker {
	t := &Tracker{bound: bound, began: time.Now(), seed: maphash.MakeSeed(), nudge: nudge}
	t.asOf.Store(never)
	return t
}

// Since converts a time with a monotonic reading to the tracker's own scale,
// which caches use for their ages too.
func (t *Tracker) Since(now time.Time) time.Duration { return now.Sub(t.began) }

// IsFresh reports whether all that was committed up to the bound before now has
// arrived.
func (t *Tracker) IsFresh(now time.Duration) bool {
	asOf := t.asOf.Load()
	return asOf != never && now-time.Duration(asOf) <= t.bound
}

// Age is how old the last barrier is; it reports false while there is none.
func (t *Tracker) Age(now time.Duration) (time.Duration, bool) {
	asOf := t.asOf.Load()
	return now - time.Duration(asOf), asOf != never
}

// Stamp is what a cache keeps with an entry.
type Stamp struct {
	epoch, record, organisation uint64
	recordSlot                  uint16
	organisationSlot            uint16
}

// Stamp must be taken before the store is read.
func (t *Tracker) Stamp(record, organisation string) Stamp {
	s := Stamp{
		recordSlot:       uint16(maphash.String(t.seed, record) % recordSlots),
		organisationSlot: uint16(maphash.String(t.seed, organisation) % organisationSlots),
	}
	s.epoch = t.epoch.Load()
	s.record = t.records[s.recordSlot].Load()
	s.organisation = t.organisations[s.organisationSlot].Load()
	return s
}

// RecordCurrent reports whether nothing happened to the record, nor could have
// gone unnoticed.
func (t *Tracker) RecordCurrent(s *Stamp) bool {
	return s.epoch == t.epoch.Load() && t.RecordUnchanged(s)
}

// RecordUnchanged reports whether no change of the record is known; some may
// have been missed.
func (t *Tracker) RecordUnchanged(s *Stamp) bool {
	return s.record == t.records[s.recordSlot].Load()
}

// OrganisationUnchanged reports whether no change of the organisation's account
// or users is known.
func (t *Tracker) OrganisationUnchanged(s *Stamp) bool {
	return s.organisation == t.organisations[s.organisationSlot].Load()
}

// Changed implements [storage.Sink].
func (t *Tracker) Changed(subject storage.Subject, organisation, id string, version int64) {
	switch subject {
	case storage.AccountChanged, storage.UserChanged:
		t.Invalidate(organisation)
	default:
		if version != 1 { // a record that was just created is in no cache
			t.records[maphash.String(t.seed, id)%recordSlots].Add(1)
		}
	}
	if t.nudge != nil {
		t.nudge(subject, organisation, id)
	}
}

// Invalidate outdates what is remembered of an organisation's account and users.
func (t *Tracker) Invalidate(organisation string) {
	t.organisations[maphash.String(t.seed, organisation)%organisationSlots].Add(1)
}

// Fresh implements [storage.Sink]. Barriers may arrive out of order; the latest
// counts.
func (t *Tracker) Fresh(asOf time.Time) {
	at := int64(asOf.Sub(t.began))
	for {
		old := t.asOf.Load()
		if old >= at || t.asOf.CompareAndSwap(old, at) {
			return
		}
	}
}

// Lost implements [storage.Sink].
func (t *Tracker) Lost(error) {
	t.asOf.Store(never)
	t.epoch.Add(1)
}

// RenewOrganisation takes over what a newer stamp says of the organisation.
func (s *Stamp) RenewOrganisation(newer Stamp) { s.organisation = newer.organisation }
