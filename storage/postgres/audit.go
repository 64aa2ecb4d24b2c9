package postgres

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

// Entries implements storage.Audit. Positions of an organisation are 1, 2, 3 and
// so on without gaps, given under the lock that [Store.Commit] holds until its
// transaction ends: whoever sees an entry could have seen all before it. So the
// cursor is simply the last position that was read.
func (s *Store) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	seen := int64(0)
	if q.Cursor != "" {
		var err error
		if seen, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || seen < 0 {
			return nil, "", storage.ErrNotFound
		}
	}
	known := storage.ValidText(q.Organisation)
	switch {
	case q.Newest && !known:
		return nil, "", nil
	case !known:
		return nil, strconv.FormatInt(seen, 10), nil
	case q.Newest:
		return s.newest(ctx, q, seen)
	}
	page, err := s.readEntries(ctx, s.sql.entries, q.Organisation, seen, q.PageSize())
	if err != nil {
		return nil, "", err
	}
	if len(page) > 0 {
		seen = page[len(page)-1].Position
	}
	return page, strconv.FormatInt(seen, 10), nil
}

// newest reads the log from its end, or from before a position.
func (s *Store) newest(ctx context.Context, q storage.Query, before int64) ([]storage.Entry, string, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	size := q.PageSize()
	page, err := s.readEntries(ctx, s.sql.newestEntries, q.Organisation, before, size+1)
	if err != nil || len(page) <= size {
		return page, "", err
	}
	return page[:size], strconv.FormatInt(page[size-1].Position, 10), nil
}

func (s *Store) readEntries(ctx context.Context, query string, args ...any) ([]storage.Entry, error) {
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, failed("read the audit log", err)
	}
	page, err := pgx.CollectRows(rows, scanEntry)
	if err != nil {
		return nil, failed("read the audit log", err)
	}
	return orNil(page), nil
}

func scanEntry(row pgx.CollectableRow) (storage.Entry, error) {
	var e storage.Entry
	var client string
	var before, after *string
	err := row.Scan(&e.Organisation, &e.Position, &e.Actor.User, &e.Actor.Organisation, &e.Actor.Role,
		&e.Actor.Scopes, &client, &e.Action, &e.Target, &e.At, &before, &after)
	if err != nil {
		return storage.Entry{}, err
	}
	if client != "" {
		if e.Actor.Client, err = netip.ParseAddr(client); err != nil {
			return storage.Entry{}, fmt.Errorf("client address of entry %d: %w", e.Position, err)
		}
	}
	e.Actor.Scopes = orNil(e.Actor.Scopes)
	e.At = e.At.UTC()
	if before != nil {
		e.Before = []byte(*before)
	}
	if after != nil {
		e.After = []byte(*after)
	}
	return e, nil
}

// entryRow is an audit entry in the types of its columns.
type entryRow struct {
	storage.Entry
	client        string
	before, after *string
}

func newEntryRow(e storage.Entry) (entryRow, error) {
	if !storable(e.At) {
		return entryRow{}, fmt.Errorf("postgres: audit entry %q: its time is outside the years 1 to 9999", e.Action)
	}
	row := entryRow{Entry: e, before: jsonText(e.Before), after: jsonText(e.After)}
	if e.Actor.Client.IsValid() {
		row.client = e.Actor.Client.String()
		if !storage.ValidText(row.client) { // an IPv6 zone may be any text
			return entryRow{}, fmt.Errorf("postgres: audit entry %q: its client address holds text that cannot be stored", e.Action)
		}
	}
	return row, nil
}

// record queues an entry of [Store.Commit].
func (s *Store) record(b *pgx.Batch, e entryRow, position int64) {
	b.Queue(s.sql.record, e.Organisation, position, e.Actor.User, e.Actor.Organisation, e.Actor.Role,
		orEmpty(e.Actor.Scopes), e.client, e.Action, e.Target, micros(e.At), e.before, e.after)
}

func jsonText(text []byte) *string {
	if len(text) == 0 {
		return nil
	}
	s := string(text)
	return &s
}
