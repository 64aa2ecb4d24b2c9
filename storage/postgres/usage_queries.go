package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

// asked is who a query is about, and its arguments.
func asked(q storage.UsageQuery) (who string, args []any) {
	switch {
	case q.Credential != "":
		who = ofCredential
	case q.Lineage != "":
		who = ofLineage
	default:
		who = ofTotal
	}
	return who, []any{q.Organisation, q.Credential, q.Lineage, string(q.Environment)}
}

func askedWithin(q storage.UsageQuery) (who string, args []any) {
	who, args = asked(q)
	from, to := q.Minutes()
	return who, append(args, int16(q.Step), int32(from), int32(to))
}

// countsTo are where the columns of counts go.
func countsTo(c *storage.UsageCounts) []any {
	var to []any
	for i := range c.Class {
		to = append(to, &c.Class[i])
	}
	for i := range c.Latency {
		to = append(to, &c.Latency[i])
	}
	return append(to, &c.Nanoseconds)
}

// each runs a query and calls f for each row, scanned into to.
func (s *Store) each(ctx context.Context, doing, sql string, args, to []any, f func() error) error {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return failed(doing, err)
	}
	_, err = pgx.ForEachRow(rows, to, f)
	return failed(doing, err)
}

// UsageSeries implements storage.Usage.
func (s *Store) UsageSeries(ctx context.Context, q storage.UsageQuery) ([]storage.UsagePoint, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	who, args := askedWithin(q)
	var points []storage.UsagePoint
	var p storage.UsagePoint
	var minute int64
	err := s.each(ctx, "usage series", s.sql.usage.seriesOf[who], args, append([]any{&minute}, countsTo(&p.UsageCounts)...), func() error {
		p.Start = storage.UsageTime(minute)
		points = append(points, p)
		return nil
	})
	return points, err
}

// UsageEndpoints implements storage.Usage.
func (s *Store) UsageEndpoints(ctx context.Context, q storage.UsageQuery) ([]storage.UsageEndpoint, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	who, args := askedWithin(q)
	var all []storage.UsageEndpoint
	var e storage.UsageEndpoint
	var id int64
	err := s.each(ctx, "usage endpoints", s.sql.usage.endpointsOf[who], args, append([]any{&e.Pattern, &id}, countsTo(&e.UsageCounts)...), func() error {
		all = append(all, e)
		return nil
	})
	return all, err
}

func keyTo(k *storage.UsageKey) []any {
	return []any{&k.Organisation, &k.Credential, &k.Lineage, &k.Environment}
}

// UsageAddresses implements storage.Usage.
func (s *Store) UsageAddresses(ctx context.Context, q storage.UsageQuery) ([]storage.UsageAddress, error) {
	if err := q.CheckNames(); err != nil {
		return nil, err
	}
	who, args := asked(q)
	var all []storage.UsageAddress
	var a storage.UsageAddress
	var address string
	err := s.each(ctx, "usage addresses", s.sql.usage.addressesOf[who], args, append(keyTo(&a.UsageKey), &address, &a.Count, &a.First, &a.Last), func() error {
		one := a
		one.First, one.Last = a.First.UTC(), a.Last.UTC()
		if address != "" {
			var err error
			if one.Address, err = netip.ParseAddr(address); err != nil {
				return fmt.Errorf("an address: %w", err)
			}
		}
		all = append(all, one)
		return nil
	})
	return all, err
}

// UsageRefusals implements storage.Usage.
func (s *Store) UsageRefusals(ctx context.Context, q storage.UsageQuery) ([]storage.UsageRefusal, error) {
	q = q.ForRefusals()
	if err := q.Check(); err != nil {
		return nil, err
	}
	who, args := askedWithin(q)
	var all []storage.UsageRefusal
	var r storage.UsageRefusal
	err := s.each(ctx, "usage refusals", s.sql.usage.refusalsOf[who], args, append(keyTo(&r.UsageKey), &r.Code, &r.Proven, &r.Count, &r.Last), func() error {
		r.Last = r.Last.UTC()
		all = append(all, r)
		return nil
	})
	return all, err
}

// UsageOfCredentials implements storage.Usage.
func (s *Store) UsageOfCredentials(ctx context.Context, organisation string, credentials []string) (map[string]storage.UsageSeen, error) {
	found := make(map[string]storage.UsageSeen)
	err := s.seenOf(ctx, s.sql.usage.ofCredentials, organisation, credentials, func(one storage.UsageSeen) {
		found[one.Credential] = one
	})
	return found, err
}

// UsageOfLineages implements storage.Usage.
func (s *Store) UsageOfLineages(ctx context.Context, organisation string, lineages []string) (map[string]storage.UsageSeen, error) {
	found := make(map[string]storage.UsageSeen)
	// The most recent one comes first and gives the name.
	err := s.seenOf(ctx, s.sql.usage.ofLineages, organisation, lineages, func(one storage.UsageSeen) {
		if all, ok := found[one.Lineage]; ok {
			all.Merge(one)
			one = all
		}
		found[one.Lineage] = one
	})
	return found, err
}

func (s *Store) seenOf(ctx context.Context, sql, organisation string, names []string, f func(storage.UsageSeen)) error {
	if err := storage.CheckUsageNames(names); err != nil {
		return err
	}
	if !storage.ValidText(organisation) {
		return nil // it can't be there
	}
	var one storage.UsageSeen
	var first, succeeded, presented, browserAt *time.Time
	to := append(keyTo(&one.UsageKey), &first, &succeeded, &presented, &one.Browser, &browserAt, &one.Origin)
	return s.each(ctx, "last use", sql, []any{organisation, onlyValid(names)}, to, func() error {
		one.First, one.Succeeded, one.Presented, one.BrowserAt = utc(first), utc(succeeded), utc(presented), utc(browserAt)
		f(one)
		return nil
	})
}

// onlyValid leaves out what can't be there.
func onlyValid(names []string) []string {
	valid := []string{}
	for _, name := range names {
		if storage.ValidText(name) {
			valid = append(valid, name)
		}
	}
	return valid
}

// LastUsed implements storage.Usage.
func (s *Store) LastUsed(ctx context.Context, credentials []string) (map[string]time.Time, error) {
	if err := storage.CheckUsageNames(credentials); err != nil {
		return nil, err
	}
	found := make(map[string]time.Time)
	var id string
	var at time.Time
	err := s.each(ctx, "last use", s.sql.usage.lastUsed, []any{onlyValid(credentials)}, []any{&id, &at}, func() error {
		found[id] = at.UTC()
		return nil
	})
	return found, err
}

// UsageCompleteSince implements storage.Usage.
func (s *Store) UsageCompleteSince(ctx context.Context, organisation string, now time.Time) (time.Time, error) {
	if !storage.ValidText(organisation) {
		return micros(now), nil
	}
	var gap time.Time
	var silent bool
	err := s.pool.QueryRow(ctx, s.sql.usage.complete, organisation, micros(now)).Scan(&gap, &silent)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, failed("completeness of usage", err)
	case silent:
		return micros(now), nil
	}
	return gap.UTC(), nil
}
