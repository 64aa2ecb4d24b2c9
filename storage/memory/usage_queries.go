package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// usageRows is the most that a query answers with.
const usageRows = 1000

// asked returns what a query is about. The caller holds the lock.
func (u *usage) asked(q storage.UsageQuery) []*usageOfKey {
	o := u.organisations[q.Organisation]
	if o == nil {
		return nil
	}
	var found []*usageOfKey
	switch {
	case q.Lineage == "" && q.Credential == "":
		for environment, of := range o.totals {
			if q.Environment == "" || q.Environment == environment {
				found = append(found, of)
			}
		}
	case q.Credential != "":
		if of := o.keys[q.Credential]; of != nil && (q.Lineage == "" || q.Lineage == of.key.Lineage) {
			found = append(found, of)
		}
	default:
		for _, of := range o.keys {
			if of.key.Lineage == q.Lineage {
				found = append(found, of)
			}
		}
	}
	return found
}

// UsageSeries implements [storage.Usage].
func (s *Store) UsageSeries(ctx context.Context, q storage.UsageQuery) ([]storage.UsagePoint, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	sums := make(map[int64]*storage.UsageCounts)
	for _, of := range s.usage.asked(q) {
		for at, counts := range of.series {
			if !at.in(q) {
				continue
			}
			if sums[at.start] == nil {
				sums[at.start] = &storage.UsageCounts{}
			}
			sums[at.start].Add(*counts)
		}
	}
	var points []storage.UsagePoint
	for _, start := range slices.Sorted(maps.Keys(sums)) {
		points = append(points, storage.UsagePoint{Start: storage.UsageTime(start), UsageCounts: *sums[start]})
	}
	return points, nil
}

func (b bucket) in(q storage.UsageQuery) bool {
	start := storage.UsageTime(b.start)
	return b.step == q.Step && !start.Before(q.From) && start.Before(q.To)
}

// UsageEndpoints implements [storage.Usage].
func (s *Store) UsageEndpoints(ctx context.Context, q storage.UsageQuery) ([]storage.UsageEndpoint, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	sums := make(map[string]*storage.UsageEndpoint)
	for _, of := range s.usage.asked(q) {
		for at, patterns := range of.endpoints {
			if !at.in(q) {
				continue
			}
			for pattern, counts := range patterns {
				if sums[pattern] == nil {
					sums[pattern] = &storage.UsageEndpoint{Pattern: pattern}
				}
				sums[pattern].Add(*counts)
			}
		}
	}
	var all []storage.UsageEndpoint
	for _, e := range sums {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b storage.UsageEndpoint) int {
		return cmp.Or(cmp.Compare(b.Requests(), a.Requests()), cmp.Compare(a.Pattern, b.Pattern))
	})
	return all[:min(len(all), usageRows)], nil
}

// UsageAddresses implements [storage.Usage].
func (s *Store) UsageAddresses(ctx context.Context, q storage.UsageQuery) ([]storage.UsageAddress, error) {
	if err := q.CheckNames(); err != nil {
		return nil, err
	}
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var all []storage.UsageAddress
	for _, of := range s.usage.asked(q) {
		for _, a := range of.addresses {
			a.UsageKey = of.key
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b storage.UsageAddress) int {
		return cmp.Or(recentFirst(a, b), cmp.Compare(a.Credential, b.Credential))
	})
	return all[:min(len(all), usageRows)], nil
}

// UsageRefusals implements [storage.Usage].
func (s *Store) UsageRefusals(ctx context.Context, q storage.UsageQuery) ([]storage.UsageRefusal, error) {
	q = q.ForRefusals()
	if err := q.Check(); err != nil {
		return nil, err
	}
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	keys := s.usage.asked(q)
	if o := s.usage.organisations[q.Organisation]; o != nil && q.Lineage == "" && q.Credential == "" {
		keys = slices.Collect(maps.Values(o.keys)) // totals have none
	}
	type name struct {
		credential, code string
		proven           bool
	}
	sums := make(map[name]*storage.UsageRefusal)
	for _, of := range keys {
		for at, r := range of.refusals {
			if q.Environment != "" && q.Environment != of.key.Environment || !at.in(q) {
				continue
			}
			n := name{of.key.Credential, r.Code, r.Proven}
			if sums[n] == nil {
				sums[n] = &storage.UsageRefusal{UsageKey: of.key, Code: r.Code, Proven: r.Proven}
			}
			sums[n].Merge(r)
		}
	}
	var all []storage.UsageRefusal
	for _, r := range sums {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b storage.UsageRefusal) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Credential, b.Credential), cmp.Compare(a.Code, b.Code))
	})
	return all[:min(len(all), usageRows)], nil
}

// UsageOfCredentials implements [storage.Usage].
func (s *Store) UsageOfCredentials(ctx context.Context, organisation string, credentials []string) (map[string]storage.UsageSeen, error) {
	if err := storage.CheckUsageNames(credentials); err != nil {
		return nil, err
	}
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	found := make(map[string]storage.UsageSeen)
	if o := s.usage.organisations[organisation]; o != nil {
		for _, id := range credentials {
			if of := o.keys[id]; of != nil && !of.seen.Presented.IsZero() {
				of.seen.UsageKey = of.key
				found[id] = of.seen
			}
		}
	}
	return found, nil
}

// UsageOfLineages implements [storage.Usage].
func (s *Store) UsageOfLineages(ctx context.Context, organisation string, lineages []string) (map[string]storage.UsageSeen, error) {
	if err := storage.CheckUsageNames(lineages); err != nil {
		return nil, err
	}
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	found := make(map[string]storage.UsageSeen)
	o := s.usage.organisations[organisation]
	if o == nil {
		return found, nil
	}
	for _, of := range o.keys {
		if of.seen.Presented.IsZero() || !slices.Contains(lineages, of.key.Lineage) {
			continue
		}
		seen := found[of.key.Lineage]
		if seen.Credential == "" || of.seen.Presented.After(seen.Presented) ||
			of.seen.Presented.Equal(seen.Presented) && of.key.Credential > seen.Credential {
			seen.UsageKey = of.key
		}
		seen.Merge(of.seen)
		found[of.key.Lineage] = seen
	}
	return found, nil
}

// LastUsed implements [storage.Usage].
func (s *Store) LastUsed(ctx context.Context, credentials []string) (map[string]time.Time, error) {
	if err := storage.CheckUsageNames(credentials); err != nil {
		return nil, err
	}
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	found := make(map[string]time.Time)
	for _, o := range s.usage.organisations {
		for _, id := range credentials {
			if of := o.keys[id]; of != nil && of.seen.Succeeded.After(found[id]) {
				found[id] = of.seen.Succeeded
			}
		}
	}
	return found, nil
}

// UsageCompleteSince implements [storage.Usage].
func (s *Store) UsageCompleteSince(ctx context.Context, organisation string, now time.Time) (time.Time, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer unlock()
	if s.usage.started.IsZero() {
		return time.Time{}, nil
	}
	since := s.usage.gap
	if o := s.usage.organisations[organisation]; o != nil {
		since = later(since, o.gap)
	}
	for _, i := range s.usage.instances {
		if !i.final && now.Sub(i.until) > storage.UsageSilence(i.every) {
			return micro(now), nil
		}
	}
	return since, nil
}
