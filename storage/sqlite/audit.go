package sqlite

import (
	"context"
	"database/sql"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// record writes one audit entry.
func (s *Store) record(ctx context.Context, tx *sql.Tx, e storage.Entry) error {
	scopes, err := encode(e.Actor.Scopes, len(e.Actor.Scopes), "[]")
	if err != nil {
		return err
	}
	client := ""
	if e.Actor.Client.IsValid() {
		client = e.Actor.Client.String()
	}
	_, err = tx.StmtContext(ctx, s.sql.audit).ExecContext(ctx, e.Organisation, e.Actor.User, e.Actor.Organisation, e.Actor.Role,
		scopes, client, e.Action, e.Target, e.At.UnixMicro(), text(e.Before), text(e.After))
	return err
}

// recordAll writes audit entries.
func (s *Store) recordAll(ctx context.Context, tx *sql.Tx, audit []storage.Entry) error {
	for _, e := range audit {
		if err := s.record(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

// Entries implements [storage.Audit]. Positions rise across all organisations,
// in the order of commits, so a cursor is the last position seen.
func (s *Store) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	var seen int64
	if q.Cursor != "" {
		var err error
		if seen, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || seen < 0 {
			return nil, "", storage.ErrNotFound
		}
	}
	if q.Newest {
		return s.newest(ctx, q, seen)
	}
	page, err := s.readEntries(ctx, s.sql.entries, q.Organisation, seen, q.PageSize())
	if err != nil {
		return nil, "", err
	}
	if len(page) > 0 {
		seen = page[len(page)-1].Position
	} else if err := s.reachable(ctx, seen); err != nil {
		return nil, "", err
	}
	return page, strconv.FormatInt(seen, 10), nil
}

// newest reads the log from its end, or from before a position.
func (s *Store) newest(ctx context.Context, q storage.Query, before int64) ([]storage.Entry, string, error) {
	if err := s.reachable(ctx, before); err != nil {
		return nil, "", err
	}
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

func (s *Store) readEntries(ctx context.Context, stmt *sql.Stmt, args ...any) ([]storage.Entry, error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, s.failed("audit", err)
	}
	defer rows.Close()
	var page []storage.Entry
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, s.failed("audit", err)
		}
		page = append(page, e)
	}
	if err := rows.Err(); err != nil {
		return nil, s.failed("audit", err)
	}
	return page, nil
}

// reachable refuses a cursor ahead of the log: it comes from a file that has
// since been replaced by an older one, and would hide entries to come.
func (s *Store) reachable(ctx context.Context, seen int64) error {
	var last int64
	if err := s.sql.lastPosition.QueryRowContext(ctx).Scan(&last); err != nil {
		return s.failed("audit", err)
	}
	if seen > last {
		return storage.ErrNotFound
	}
	return nil
}

func scanEntry(row scanner) (storage.Entry, error) {
	var (
		e              storage.Entry
		scopes, client string
		at             int64
		before, after  []byte
	)
	err := row.Scan(&e.Position, &e.Organisation, &e.Actor.User, &e.Actor.Organisation, &e.Actor.Role, &scopes,
		&client, &e.Action, &e.Target, &at, &before, &after)
	if err != nil {
		return e, err
	}
	e.At, e.Before, e.After = time.UnixMicro(at).UTC(), before, after
	if client != "" {
		if e.Actor.Client, err = netip.ParseAddr(client); err != nil {
			return e, err
		}
	}
	return e, decode(scopes, &e.Actor.Scopes)
}
