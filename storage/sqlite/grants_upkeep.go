package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Push implements [storage.Grants].
func (s *Store) Push(ctx context.Context, p storage.Pushed) error {
	if err := p.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.StmtContext(ctx, s.sql.grants.push).ExecContext(ctx, p.Hash[:], p.ClientID, p.Form, p.Expires.UnixMicro()))
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	})
}

func affected(done sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// TakePushed implements [storage.Grants].
func (s *Store) TakePushed(ctx context.Context, hash [32]byte, now time.Time) (storage.Pushed, error) {
	p := storage.Pushed{Hash: hash}
	err := s.write(ctx, func(tx *sql.Tx) error {
		var expires int64
		err := tx.StmtContext(ctx, s.sql.grants.take).QueryRowContext(ctx, hash[:]).Scan(&p.ClientID, &p.Form, &expires)
		if errors.Is(err, sql.ErrNoRows) {
			return storage.ErrNotFound
		}
		p.Expires = time.UnixMicro(expires).UTC()
		return err
	})
	switch {
	case err != nil:
		return storage.Pushed{}, err
	case !now.Before(p.Expires):
		return storage.Pushed{}, storage.ErrExpired
	}
	return p, nil
}

// UseOnce implements [storage.Grants].
func (s *Store) UseOnce(ctx context.Context, hash [32]byte, now, expires time.Time) (first bool, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.StmtContext(ctx, s.sql.grants.useOnce).ExecContext(ctx, hash[:], expires.UnixMicro(), now.UnixMicro()))
		first = n == 1
		return err
	})
	if err != nil {
		return false, err
	}
	return first, nil
}

// PruneGrants implements [storage.Grants].
func (s *Store) PruneGrants(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	of := &s.sql.grants
	for _, each := range [][]*sql.Stmt{
		{of.pruneCodes, of.pruneCodesOver}, {of.pruneTokens, of.pruneTokensOver}, {of.prunePushed}, {of.pruneOnce}, {of.pruneGrants},
	} {
		left := storage.BatchSize(limit)
		for _, stmt := range each {
			if left == 0 {
				break
			}
			n, err := s.inPieces(ctx, stmt, left, before.UnixMicro())
			removed += n
			left -= n
			if err != nil {
				return removed, err
			}
		}
	}
	return removed, nil
}

// eraseApps removes an organisation's apps with their grants everywhere, its
// grants, consents and blocks. It returns what watchers are told of, which
// includes the apps that the organisation had blocked.
func (s *Store) eraseApps(ctx context.Context, tx *sql.Tx, organisation string) ([]changed, error) {
	if organisation == "" {
		return nil, nil // apps that nobody registered are nobody's to erase
	}
	of := &s.sql.grants
	gone, err := grantsOf(tx.StmtContext(ctx, of.eraseGrants).QueryContext(ctx, organisation))
	if err != nil {
		return nil, err
	}
	for _, stmt := range []*sql.Stmt{of.eraseConsents, of.erasePushed} {
		if _, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, organisation); err != nil {
			return nil, err
		}
	}
	for _, stmt := range []*sql.Stmt{of.eraseBlocks, of.eraseApps} {
		rows, err := tx.StmtContext(ctx, stmt).QueryContext(ctx, organisation)
		if err != nil {
			return nil, err
		}
		ids, err := texts(rows)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			gone = append(gone, changed{storage.AppChanged, organisation, id, 0})
		}
	}
	return gone, nil
}
