package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

// Push implements storage.Grants.
func (s *Store) Push(ctx context.Context, p storage.Pushed) error {
	if err := errors.Join(p.Check(), allStorable("push a request", p.Expires)); err != nil {
		return err
	}
	tag, err := s.pool.Exec(ctx, s.sql.grants.push, p.Hash[:], p.ClientID, p.Form, micros(p.Expires))
	if err == nil && tag.RowsAffected() == 0 {
		return storage.ErrConflict
	}
	return failed("push a request", err)
}

// TakePushed implements storage.Grants.
func (s *Store) TakePushed(ctx context.Context, hash [32]byte, now time.Time) (storage.Pushed, error) {
	p := storage.Pushed{Hash: hash}
	err := s.pool.QueryRow(ctx, s.sql.grants.take, hash[:]).Scan(&p.ClientID, &p.Form, &p.Expires)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return storage.Pushed{}, storage.ErrNotFound
	case err != nil:
		return storage.Pushed{}, failed("take a pushed request", err)
	case !now.Before(p.Expires):
		return storage.Pushed{}, storage.ErrExpired
	}
	p.Expires = p.Expires.UTC()
	return p, nil
}

// UseOnce implements storage.Grants.
func (s *Store) UseOnce(ctx context.Context, hash [32]byte, now, expires time.Time) (first bool, err error) {
	if err := allStorable("use once", now, expires); err != nil {
		return false, err
	}
	tag, err := s.pool.Exec(ctx, s.sql.grants.useOnce, hash[:], micros(expires), micros(now))
	return tag.RowsAffected() == 1, failed("use once", err)
}

// PruneGrants implements storage.Grants.
func (s *Store) PruneGrants(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	of := &s.sql.grants
	for _, each := range [][]string{
		{of.pruneCodes, of.pruneCodesOver}, {of.pruneTokens, of.pruneTokensOver}, {of.prunePushed}, {of.pruneOnce}, {of.pruneGrants},
	} {
		left := storage.BatchSize(limit)
		for _, sql := range each {
			if left == 0 {
				break
			}
			n, err := s.sweep(ctx, "prune grants", sql, before, left)
			if err != nil {
				return removed, err
			}
			removed += n
			left -= n
		}
	}
	return removed, nil
}

// eraseApps removes an organisation's apps with their grants everywhere, its
// grants, consents and blocks. It returns what watchers are told of, which
// includes the apps that the organisation had blocked.
func (s *Store) eraseApps(ctx context.Context, tx pgx.Tx, organisation string) ([]changed, error) {
	if organisation == "" {
		return nil, nil // apps that nobody registered are nobody's to erase
	}
	of := &s.sql.grants
	// Once they are locked, no grant begins.
	rows, err := tx.Query(ctx, of.lockApps, organisation)
	if err != nil {
		return nil, err
	}
	apps, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	gone, err := grantsOf(tx.Query(ctx, of.eraseGrants, organisation, orEmpty(apps)))
	if err != nil {
		return nil, err
	}
	if rows, err = tx.Query(ctx, of.eraseBlocks, organisation); err != nil {
		return nil, err
	}
	blocked, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	for _, id := range append(blocked, apps...) {
		gone = append(gone, changed{storage.AppChanged, organisation, id, 0})
	}
	b := &pgx.Batch{}
	b.Queue(of.eraseConsents, organisation)
	b.Queue(of.erasePushed, orEmpty(apps))
	b.Queue(of.eraseApps, organisation)
	return gone, tx.SendBatch(ctx, b).Close()
}
