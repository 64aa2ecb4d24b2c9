package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Operator = (*Store)(nil)

// piece is how many entries one transaction of the upkeep writes to: mutations
// of all organisations wait for it.
const piece = 1000

// Organisations implements [storage.Operator]. It goes from one organisation to
// the next by the indexes, past what lies between them.
func (s *Store) Organisations(ctx context.Context, after string, limit int) ([]string, error) {
	if !storage.ValidText(after) {
		return nil, errText
	}
	rows, err := s.sql.organisations.QueryContext(ctx, after, storage.BatchSize(limit))
	if err != nil {
		return nil, s.failed("organisations", err)
	}
	names, err := texts(rows)
	if err != nil {
		return nil, s.failed("organisations", err)
	}
	return names, nil
}

// texts reads rows of one column.
func texts(rows *sql.Rows) ([]string, error) {
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// TrimAudit implements [storage.Operator].
func (s *Store) TrimAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.inPieces(ctx, s.sql.trim, storage.BatchSize(limit), before.UnixMicro())
}

// ForgetAddresses implements [storage.Operator].
func (s *Store) ForgetAddresses(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.inPieces(ctx, s.sql.forget, storage.BatchSize(limit), before.UnixMicro())
}

// inPieces runs stmt, whose last argument is a limit, until it has written limit
// rows or finds no more.
func (s *Store) inPieces(ctx context.Context, stmt *sql.Stmt, limit int, args ...any) (written int, err error) {
	for {
		want, got := min(limit-written, piece), int64(0)
		err := s.write(ctx, func(tx *sql.Tx) error {
			done, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, append(args[:len(args):len(args)], want)...)
			if err != nil {
				return err
			}
			got, err = done.RowsAffected()
			return err
		})
		if err != nil {
			return written, err
		}
		written += int(got)
		if got < int64(want) || written == limit {
			return written, nil
		}
	}
}

// EraseOrganisation implements [storage.Operator]. One transaction deletes all
// but the audit log; the log, which may be long, follows in pieces. Positions
// rise for ever across organisations, so nothing needs to stay.
func (s *Store) EraseOrganisation(ctx context.Context, organisation string) error {
	if !storage.ValidText(organisation) {
		return nil // it can't be there
	}
	var e erasure
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		e, err = s.eraseRecords(ctx, tx, organisation)
		return err
	})
	if err == nil || errors.Is(err, errUnknown) {
		for _, id := range e.keys {
			s.watchers.Changed(storage.KeyChanged, organisation, id, 0)
		}
		for _, id := range e.users {
			s.watchers.Changed(storage.UserChanged, organisation, id, 0)
		}
		s.watchers.Changed(storage.AccountChanged, organisation, organisation, 0)
		s.tell(err, e.others...)
	}
	if err != nil {
		return err
	}
	if err := s.EraseUsage(ctx, organisation); err != nil {
		return err
	}
	for {
		n, err := s.inPieces(ctx, s.sql.eraseAudit, piece, organisation, e.last)
		if err != nil || n < piece {
			return err
		}
	}
}

// erasure is what one deleted, and the newest position then.
type erasure struct {
	keys, users []string
	others      []changed
	last        int64
}

func (s *Store) eraseRecords(ctx context.Context, tx *sql.Tx, organisation string) (e erasure, err error) {
	if err := tx.StmtContext(ctx, s.sql.newestPosition).QueryRowContext(ctx).Scan(&e.last); err != nil {
		return e, err
	}
	for _, deleted := range []struct {
		by  *sql.Stmt
		ids *[]string
	}{{s.sql.eraseKeys, &e.keys}, {s.sql.eraseUsers, &e.users}} {
		rows, err := tx.StmtContext(ctx, deleted.by).QueryContext(ctx, organisation)
		if err != nil {
			return e, err
		}
		if *deleted.ids, err = texts(rows); err != nil {
			return e, err
		}
	}
	for _, stmt := range []*sql.Stmt{s.sql.eraseAccount, s.sql.eraseDeliveries, s.sql.replays.erase} {
		if _, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, organisation); err != nil {
			return e, err
		}
	}
	e.others, err = s.eraseApps(ctx, tx, organisation)
	return e, err
}
