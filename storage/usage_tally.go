package storage

import (
	"cmp"
	"slices"
	"time"
)

// UsageTally is one row for a backend to add to.
type UsageTally struct {
	UsageKey
	// Total: the row is the sum of the organisation's credentials in one
	// Environment; Credential and Lineage are empty.
	Total   bool
	Step    UsageStep
	Start   time.Time
	Pattern string // empty in a series, which is the sum of all patterns
	UsageCounts
}

// Compare orders tallies, so that two transactions lock rows in the same order.
func (t UsageTally) Compare(o UsageTally) int {
	total := func(t UsageTally) int {
		if t.Total {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(t.Organisation, o.Organisation), cmp.Compare(total(t), total(o)),
		cmp.Compare(t.Credential, o.Credential), cmp.Compare(t.Environment, o.Environment),
		cmp.Compare(t.Step, o.Step), t.Start.Compare(o.Start), cmp.Compare(t.Pattern, o.Pattern))
}

// Tallies sums the batch's rows up: for each credential and for the
// organisation, for each step, with patterns and without. They are in the order
// of Compare, and no two are about the same row.
func (b UsageBatch) Tallies() (series, endpoints []UsageTally) {
	for _, r := range b.Rows {
		for _, step := range UsageSteps {
			t := UsageTally{UsageKey: r.UsageKey, Step: step, Start: step.Start(r.Minute), Pattern: r.Pattern, UsageCounts: r.UsageCounts}
			total := t
			total.Total, total.Credential, total.Lineage = true, "", ""
			endpoints = append(endpoints, t, total)
			t.Pattern, total.Pattern = "", ""
			series = append(series, t, total)
		}
	}
	return summed(series), summed(endpoints)
}

func summed(all []UsageTally) []UsageTally {
	slices.SortFunc(all, UsageTally.Compare)
	var sums []UsageTally
	for _, t := range all {
		if n := len(sums); n > 0 && sums[n-1].Compare(t) == 0 {
			sums[n-1].Add(t.UsageCounts)
			continue
		}
		sums = append(sums, t)
	}
	return sums
}

// UsageRefusalTally is one row of refusals for a backend to add to: of the hour
// or of the day that begins at Hour.
type UsageRefusalTally struct {
	UsageRefusal
	Step UsageStep
}

// RefusalTallies sums the batch's refusals up by hour and by day. No two are
// about the same row.
func (b UsageBatch) RefusalTallies() []UsageRefusalTally {
	var all []UsageRefusalTally
	for _, step := range []UsageStep{PerHour, PerDay} {
		for _, r := range b.Refusals {
			r.Hour = step.Start(r.Hour)
			all = append(all, UsageRefusalTally{r, step})
		}
	}
	return merged(all, func(a, b UsageRefusalTally) int {
		return cmp.Or(a.compare(b.UsageRefusal), cmp.Compare(a.Step, b.Step))
	}, func(t *UsageRefusalTally, o UsageRefusalTally) { t.Merge(o.UsageRefusal) })
}

// Keys are the credentials that the batch is about, in order and each once.
func (b UsageBatch) Keys() []UsageKey {
	var all []UsageKey
	b.each(func(k *UsageKey) { all = append(all, *k) })
	slices.SortStableFunc(all, UsageKey.compare)
	return slices.CompactFunc(all, func(a, b UsageKey) bool { return a.compare(b) == 0 })
}

// UsageName is a pattern or a code of an organisation.
type UsageName struct{ Organisation, Name string }

// Names are the patterns and codes that the batch is about, in order and each
// once.
func (b UsageBatch) Names() []UsageName {
	var all []UsageName
	for _, r := range b.Rows {
		all = append(all, UsageName{r.Organisation, r.Pattern})
	}
	for _, r := range b.Refusals {
		all = append(all, UsageName{r.Organisation, r.Code})
	}
	slices.SortFunc(all, func(a, b UsageName) int {
		return cmp.Or(cmp.Compare(a.Organisation, b.Organisation), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(all)
}

// Attributed returns a copy of the batch in which find has completed the keys
// that have no Organisation, and in which no Lineage is missing.
func (b UsageBatch) Attributed(find func(credential string) (UsageKey, bool)) UsageBatch {
	b = b.copied()
	b.each(func(k *UsageKey) {
		if k.Organisation == "" && k.Credential != "" {
			if found, ok := find(k.Credential); ok {
				*k = found
			}
		}
		if k.Lineage == "" {
			k.Lineage = k.Credential
		}
	})
	return b
}

// Folded returns a copy of the batch in which the keys and names that are not
// admitted have become UsageOther. What is about the same thing is merged, and
// all but Rows is in order.
func (b UsageBatch) Folded(key func(UsageKey) bool, name func(UsageName) bool) UsageBatch {
	b = b.copied()
	for i, r := range b.Rows {
		if !name(UsageName{r.Organisation, r.Pattern}) {
			b.Rows[i].Pattern = UsageOther
		}
	}
	for i, r := range b.Refusals {
		if !name(UsageName{r.Organisation, r.Code}) {
			b.Refusals[i].Code = UsageOther
		}
	}
	b.each(func(k *UsageKey) {
		if !key(*k) {
			k.Credential, k.Lineage = UsageOther, UsageOther
		}
	})
	b.Seen = merged(b.Seen, UsageSeen.compare, (*UsageSeen).Merge)
	b.Addresses = merged(b.Addresses, UsageAddress.compare, (*UsageAddress).Merge)
	b.Refusals = merged(b.Refusals, UsageRefusal.compare, (*UsageRefusal).Merge)
	return b
}

func merged[T any](all []T, compare func(T, T) int, merge func(*T, T)) []T {
	slices.SortStableFunc(all, compare)
	var distinct []T
	for _, one := range all {
		if n := len(distinct); n > 0 && compare(distinct[n-1], one) == 0 {
			merge(&distinct[n-1], one)
			continue
		}
		distinct = append(distinct, one)
	}
	return distinct
}

func (k UsageKey) compare(o UsageKey) int {
	return cmp.Or(cmp.Compare(k.Organisation, o.Organisation), cmp.Compare(k.Credential, o.Credential))
}

func (s UsageSeen) compare(o UsageSeen) int { return s.UsageKey.compare(o.UsageKey) }

func (a UsageAddress) compare(o UsageAddress) int {
	return cmp.Or(a.UsageKey.compare(o.UsageKey), a.Address.Compare(o.Address))
}

func (r UsageRefusal) compare(o UsageRefusal) int {
	proven := func(r UsageRefusal) int {
		if r.Proven {
			return 1
		}
		return 0
	}
	return cmp.Or(r.UsageKey.compare(o.UsageKey), PerHour.Start(r.Hour).Compare(PerHour.Start(o.Hour)),
		cmp.Compare(proven(r), proven(o)), cmp.Compare(r.Code, o.Code))
}

func (b UsageBatch) copied() UsageBatch {
	b.Rows, b.Seen = slices.Clone(b.Rows), slices.Clone(b.Seen)
	b.Addresses, b.Refusals = slices.Clone(b.Addresses), slices.Clone(b.Refusals)
	return b
}

// each calls f with every key of the batch.
func (b UsageBatch) each(f func(*UsageKey)) {
	for i := range b.Rows {
		f(&b.Rows[i].UsageKey)
	}
	for i := range b.Seen {
		f(&b.Seen[i].UsageKey)
	}
	for i := range b.Addresses {
		f(&b.Addresses[i].UsageKey)
	}
	for i := range b.Refusals {
		f(&b.Refusals[i].UsageKey)
	}
}

// Merge joins what o knows of the same credential into s.
func (s *UsageSeen) Merge(o UsageSeen) {
	if s.First.IsZero() || !o.First.IsZero() && o.First.Before(s.First) {
		s.First = o.First
	}
	s.Succeeded, s.Presented = latest(s.Succeeded, o.Succeeded), latest(s.Presented, o.Presented)
	s.Browser += o.Browser
	if o.BrowserAt.After(s.BrowserAt) {
		s.BrowserAt, s.Origin = o.BrowserAt, o.Origin
	}
}

// Merge joins what o knows of the same address into a.
func (a *UsageAddress) Merge(o UsageAddress) {
	a.Count += o.Count
	if a.First.IsZero() || !o.First.IsZero() && o.First.Before(a.First) {
		a.First = o.First
	}
	a.Last = latest(a.Last, o.Last)
}

// Merge joins what o counted of the same refusal into r.
func (r *UsageRefusal) Merge(o UsageRefusal) {
	r.Count += o.Count
	r.Last = latest(r.Last, o.Last)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
