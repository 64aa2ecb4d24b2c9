package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Replays = (*Store)(nil)

type replayStatements struct {
	lock, known, clear, held, begin, settle, forget, prune, erase string
}

func renderedReplays(sql func(string) string) replayStatements {
	return replayStatements{
		// Of the organisation, until the transaction ends: its requests begin one
		// after the other, so that the bound holds and one of many is the first.
		lock: `SELECT pg_advisory_xact_lock(hashtextextended('strikeplate replays ' || $1, 0))`,
		known: sql(`SELECT body, target, begun, expires FROM strikeplate_replays
			WHERE organisation = $1 AND request = $2 AND expires > $3`),
		clear: sql(`DELETE FROM strikeplate_replays WHERE organisation = $1 AND expires <= $2`),
		held:  sql(`SELECT count(*) FROM strikeplate_replays WHERE organisation = $1`),
		begin: sql(`INSERT INTO strikeplate_replays (organisation, request, body, target, begun, expires)
			VALUES ($1, $2, $3, '', $4, $5)`),
		settle: sql(`UPDATE strikeplate_replays SET target = $3 WHERE organisation = $1 AND request = $2 AND target = ''`),
		forget: sql(`DELETE FROM strikeplate_replays WHERE organisation = $1 AND request = $2 AND target = ''`),
		prune: sql(`DELETE FROM strikeplate_replays WHERE (organisation, request) IN (
			SELECT organisation, request FROM strikeplate_replays WHERE expires <= $1 ORDER BY expires LIMIT $2::bigint
			FOR UPDATE SKIP LOCKED)`),
		erase: sql(`DELETE FROM strikeplate_replays WHERE organisation = $1`),
	}
}

// BeginReplay implements storage.Replays.
func (s *Store) BeginReplay(ctx context.Context, r storage.Replay) (known storage.Replay, begun bool, err error) {
	if err := r.Check(); err != nil {
		return storage.Replay{}, false, err
	}
	if !storable(r.Begun) || !storable(r.Expires) {
		return storage.Replay{}, false, errors.New("postgres: begin a replay: the time is outside the years 1 to 9999")
	}
	r.Begun, r.Expires = micros(r.Begun), micros(r.Expires)
	// Mostly it is known, or it isn't and nobody else is about to begin it.
	known, err = knownReplay(ctx, s.pool, s.sql.replays.known, r)
	if !errors.Is(err, pgx.ErrNoRows) {
		return known, false, failed("begin a replay", err)
	}
	full := false
	err = s.inTransaction(ctx, "begin a replay", func(tx pgx.Tx) error {
		var err error
		known, begun, full, err = s.beginReplay(ctx, tx, r)
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

func (s *Store) beginReplay(ctx context.Context, tx pgx.Tx, r storage.Replay) (known storage.Replay, begun, full bool, err error) {
	if _, err := tx.Exec(ctx, s.sql.patience); err != nil {
		return known, false, false, err
	}
	if _, err := tx.Exec(ctx, s.sql.replays.lock, r.Organisation); err != nil {
		return known, false, false, err
	}
	known, err = knownReplay(ctx, tx, s.sql.replays.known, r)
	if !errors.Is(err, pgx.ErrNoRows) {
		return known, false, false, err
	}
	if _, err := tx.Exec(ctx, s.sql.replays.clear, r.Organisation, r.Begun); err != nil {
		return known, false, false, err
	}
	var held int
	if err := tx.QueryRow(ctx, s.sql.replays.held, r.Organisation).Scan(&held); err != nil {
		return known, false, false, err
	}
	if held >= storage.MaxReplays {
		return known, false, true, nil
	}
	_, err = tx.Exec(ctx, s.sql.replays.begin, r.Organisation, r.Request, r.Body, r.Begun, r.Expires)
	return r, true, false, err
}

func knownReplay(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, sql string, r storage.Replay) (storage.Replay, error) {
	known := storage.Replay{Organisation: r.Organisation, Request: r.Request}
	err := db.QueryRow(ctx, sql, r.Organisation, r.Request, r.Begun).Scan(&known.Body, &known.Target, &known.Begun, &known.Expires)
	if err != nil {
		return storage.Replay{}, err
	}
	known.Begun, known.Expires = known.Begun.UTC(), known.Expires.UTC()
	return known, nil
}

// SettleReplay implements storage.Replays.
func (s *Store) SettleReplay(ctx context.Context, organisation, request, target string) error {
	if !storage.ValidText(organisation + request + target) {
		return storage.ErrNotFound
	}
	sql, args := s.sql.replays.settle, []any{organisation, request, target}
	if target == "" {
		sql, args = s.sql.replays.forget, args[:2]
	}
	tag, err := s.pool.Exec(ctx, sql, args...)
	if err != nil {
		return failed("settle a replay", err)
	}
	if tag.RowsAffected() == 0 {
		return storage.ErrNotFound
	}
	return nil
}

// PruneReplays implements storage.Replays. It passes over what another instance
// is pruning.
func (s *Store) PruneReplays(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, "prune replays", s.sql.replays.prune, now, limit)
}
