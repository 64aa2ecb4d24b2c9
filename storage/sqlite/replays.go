package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Replays = (*Store)(nil)

// replayStatements run within a transaction of the writer.
type replayStatements struct {
	known, clear, held, begin, settle, forget, prune, erase *sql.Stmt
}

func (all *replayStatements) texts(s *Store) []statement {
	return []statement{
		{&all.known, s.writer, `SELECT body, target, begun, expires FROM strikeplate_replays
			WHERE organisation = ? AND request = ? AND expires > ?`},
		{&all.clear, s.writer, `DELETE FROM strikeplate_replays WHERE organisation = ? AND expires <= ?`},
		{&all.held, s.writer, `SELECT count(*) FROM strikeplate_replays WHERE organisation = ?`},
		{&all.begin, s.writer, `INSERT INTO strikeplate_replays (organisation, request, body, target, begun, expires)
			VALUES (?, ?, ?, '', ?, ?)`},
		{&all.settle, s.writer, `UPDATE strikeplate_replays SET target = ?3 WHERE organisation = ?1 AND request = ?2 AND target = ''`},
		{&all.forget, s.writer, `DELETE FROM strikeplate_replays WHERE organisation = ?1 AND request = ?2 AND target = ''`},
		{&all.prune, s.writer, `DELETE FROM strikeplate_replays WHERE (organisation, request) IN (
			SELECT organisation, request FROM strikeplate_replays WHERE expires <= ? ORDER BY expires LIMIT ?)`},
		{&all.erase, s.writer, `DELETE FROM strikeplate_replays WHERE organisation = ?`},
	}
}

// BeginReplay implements [storage.Replays]. SQLite has one writer, so nobody else
// begins the same between the look and the insertion.
func (s *Store) BeginReplay(ctx context.Context, r storage.Replay) (known storage.Replay, begun bool, err error) {
	if err := r.Check(); err != nil {
		return storage.Replay{}, false, err
	}
	full := false
	err = s.write(ctx, func(tx *sql.Tx) error {
		known, begun, full = storage.Replay{}, false, false
		var from, to int64
		row := tx.StmtContext(ctx, s.sql.replays.known).QueryRowContext(ctx, r.Organisation, r.Request, r.Begun.UnixMicro())
		switch err := row.Scan(&known.Body, &known.Target, &from, &to); {
		case err == nil:
			known.Organisation, known.Request = r.Organisation, r.Request
			known.Begun, known.Expires = time.UnixMicro(from).UTC(), time.UnixMicro(to).UTC()
			return nil
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		if _, err := tx.StmtContext(ctx, s.sql.replays.clear).ExecContext(ctx, r.Organisation, r.Begun.UnixMicro()); err != nil {
			return err
		}
		var held int
		if err := tx.StmtContext(ctx, s.sql.replays.held).QueryRowContext(ctx, r.Organisation).Scan(&held); err != nil {
			return err
		}
		if full = held >= storage.MaxReplays; full {
			return nil
		}
		begun, known = true, r
		known.Begun, known.Expires = time.UnixMicro(r.Begun.UnixMicro()).UTC(), time.UnixMicro(r.Expires.UnixMicro()).UTC()
		_, err := tx.StmtContext(ctx, s.sql.replays.begin).ExecContext(ctx, r.Organisation, r.Request, r.Body, r.Begun.UnixMicro(), r.Expires.UnixMicro())
		return err
	})
	switch {
	case err != nil:
		return storage.Replay{}, false, err
	case full:
		return storage.Replay{}, false, storage.ErrReplays
	}
	return known, begun, nil
}

// SettleReplay implements [storage.Replays].
func (s *Store) SettleReplay(ctx context.Context, organisation, request, target string) error {
	if !storage.ValidText(organisation + request + target) {
		return storage.ErrNotFound
	}
	stmt, args := s.sql.replays.settle, []any{organisation, request, target}
	if target == "" {
		stmt, args = s.sql.replays.forget, args[:2]
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		done, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err == nil && n == 0 {
			err = storage.ErrNotFound
		}
		return err
	})
}

// PruneReplays implements [storage.Replays].
func (s *Store) PruneReplays(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.inPieces(ctx, s.sql.replays.prune, storage.BatchSize(limit), now.UnixMicro())
}
