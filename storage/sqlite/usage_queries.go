package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// asked is who a query is about, and its arguments.
func asked(q storage.UsageQuery) (who int, args []any) {
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

func askedWithin(q storage.UsageQuery) (who int, args []any) {
	who, args = asked(q)
	from, to := q.Minutes()
	return who, append(args, int(q.Step), from, to)
}

// countsTo are where the columns of counts go.
func countsTo(c *storage.UsageCounts) []any {
	to := make([]any, 0, 13)
	for i := range c.Class {
		to = append(to, &c.Class[i])
	}
	for i := range c.Latency {
		to = append(to, &c.Latency[i])
	}
	return append(to, &c.Nanoseconds)
}

// each runs a query and calls f for each row, scanned into to.
func (s *Store) each(ctx context.Context, doing string, stmt *sql.Stmt, args, to []any, f func() error) error {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return s.failed(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		err := rows.Scan(to...)
		if err == nil {
			err = f()
		}
		if err != nil {
			return s.failed(doing, err)
		}
	}
	if err := rows.Err(); err != nil {
		return s.failed(doing, err)
	}
	return nil
}

// UsageSeries implements [storage.Usage].
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

// UsageEndpoints implements [storage.Usage].
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

// UsageAddresses implements [storage.Usage].
func (s *Store) UsageAddresses(ctx context.Context, q storage.UsageQuery) ([]storage.UsageAddress, error) {
	if err := q.CheckNames(); err != nil {
		return nil, err
	}
	who, args := asked(q)
	var all []storage.UsageAddress
	var a storage.UsageAddress
	var address string
	var first, last int64
	err := s.each(ctx, "usage addresses", s.sql.usage.addressesOf[who], args, append(keyTo(&a.UsageKey), &address, &a.Count, &first, &last), func() error {
		one := a
		one.First, one.Last = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
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

// UsageRefusals implements [storage.Usage].
func (s *Store) UsageRefusals(ctx context.Context, q storage.UsageQuery) ([]storage.UsageRefusal, error) {
	q = q.ForRefusals()
	if err := q.Check(); err != nil {
		return nil, err
	}
	who, args := askedWithin(q)
	var all []storage.UsageRefusal
	var r storage.UsageRefusal
	var last int64
	err := s.each(ctx, "usage refusals", s.sql.usage.refusalsOf[who], args, append(keyTo(&r.UsageKey), &r.Code, &r.Proven, &r.Count, &last), func() error {
		r.Last = time.UnixMicro(last).UTC()
		all = append(all, r)
		return nil
	})
	return all, err
}

// UsageOfCredentials implements [storage.Usage].
func (s *Store) UsageOfCredentials(ctx context.Context, organisation string, credentials []string) (map[string]storage.UsageSeen, error) {
	found := make(map[string]storage.UsageSeen)
	err := s.seenOf(ctx, s.sql.usage.ofCredentials, organisation, credentials, func(one storage.UsageSeen) {
		found[one.Credential] = one
	})
	return found, err
}

// UsageOfLineages implements [storage.Usage].
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

func (s *Store) seenOf(ctx context.Context, stmt *sql.Stmt, organisation string, names []string, f func(storage.UsageSeen)) error {
	list, err := nameList(names)
	if err != nil {
		return err
	}
	var one storage.UsageSeen
	var first, succeeded, presented, browserAt sql.NullInt64
	to := append(keyTo(&one.UsageKey), &first, &succeeded, &presented, &one.Browser, &browserAt, &one.Origin)
	return s.each(ctx, "last use", stmt, []any{organisation, list}, to, func() error {
		one.First, one.Succeeded, one.Presented, one.BrowserAt = moment(first), moment(succeeded), moment(presented), moment(browserAt)
		f(one)
		return nil
	})
}

// nameList is names as SQLite reads a list. What can't be stored can't be found.
func nameList(names []string) (string, error) {
	if err := storage.CheckUsageNames(names); err != nil {
		return "", err
	}
	valid := []string{}
	for _, name := range names {
		if storage.ValidText(name) {
			valid = append(valid, name)
		}
	}
	list, err := json.Marshal(valid)
	return string(list), err
}

// LastUsed implements [storage.Usage].
func (s *Store) LastUsed(ctx context.Context, credentials []string) (map[string]time.Time, error) {
	list, err := nameList(credentials)
	if err != nil {
		return nil, err
	}
	found := make(map[string]time.Time)
	var id string
	var at int64
	err = s.each(ctx, "last use", s.sql.usage.lastUsed, []any{list}, []any{&id, &at}, func() error {
		found[id] = time.UnixMicro(at).UTC()
		return nil
	})
	return found, err
}

// UsageCompleteSince implements [storage.Usage].
func (s *Store) UsageCompleteSince(ctx context.Context, organisation string, now time.Time) (time.Time, error) {
	var gap int64
	var silent bool
	err := s.sql.usage.complete.QueryRowContext(ctx, organisation, now.UnixMicro()).Scan(&gap, &silent)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, s.failed("completeness of usage", err)
	case silent:
		gap = now.UnixMicro()
	}
	return time.UnixMicro(gap).UTC(), nil
}
