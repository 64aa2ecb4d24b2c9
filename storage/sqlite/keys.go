package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// KeyByLookup implements [storage.Keys].
func (s *Store) KeyByLookup(ctx context.Context, lookup string) (storage.Key, error) {
	return s.key(ctx, "key by lookup", s.sql.byLookup, lookup)
}

// Key implements [storage.Keys].
func (s *Store) Key(ctx context.Context, organisation, id string) (storage.Key, error) {
	return s.key(ctx, "key", s.sql.byID, id, organisation)
}

// key reads the one key that stmt finds.
func (s *Store) key(ctx context.Context, what string, stmt *sql.Stmt, args ...any) (storage.Key, error) {
	k, err := scanKey(stmt.QueryRowContext(ctx, args...))
	switch {
	case err == nil:
		return k, nil
	case errors.Is(err, sql.ErrNoRows):
		return storage.Key{}, storage.ErrNotFound
	default:
		return storage.Key{}, s.failed(what, err)
	}
}

// ListKeys implements [storage.Keys].
func (s *Store) ListKeys(ctx context.Context, q storage.Query) ([]storage.Key, string, error) {
	created, id, err := readCursor(q.Cursor)
	if err != nil {
		return nil, "", err
	}
	args := []any{q.Organisation, created, id, q.Now.UnixMicro(),
		storage.Active.In(q.Status), storage.Expired.In(q.Status), storage.Revoked.In(q.Status), q.PageSize() + 1}
	stmt := s.sql.list
	if q.Lineage != "" {
		stmt, args = s.sql.listLineage, append(args, q.Lineage)
	}
	return list(q, func(k storage.Key) (time.Time, string) { return k.Created, k.ID }, func(int) ([]storage.Key, error) {
		rows, err := stmt.QueryContext(ctx, args...)
		if err != nil {
			return nil, s.failed("list keys", err)
		}
		page, err := collect(rows, scanKey)
		if err != nil {
			return nil, s.failed("list keys", err)
		}
		return page, nil
	})
}

// Commit implements [storage.Keys].
func (s *Store) Commit(ctx context.Context, m storage.Mutation) error {
	if err := m.Check(); err != nil {
		return err
	}
	err := s.write(ctx, func(tx *sql.Tx) error { return s.apply(ctx, tx, m) })
	if err == nil || errors.Is(err, errUnknown) {
		for _, k := range m.Put {
			version := k.Version + 1
			if err != nil {
				version = 0
			}
			s.watchers.Changed(storage.KeyChanged, k.Organisation, k.ID, version)
		}
	}
	return err
}

// errUnknown: COMMIT failed, so it may or may not have happened.
var errUnknown = errors.New("the outcome is unknown")

// write runs f in a transaction that holds the file's write lock from its
// beginning. An error of f that is a sentinel is returned as it is.
func (s *Store) write(ctx context.Context, f func(*sql.Tx) error) error {
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return s.failed("begin", err)
	}
	defer conn.Close()
	tx, err := begin(ctx, conn)
	if err != nil {
		return s.failed("begin", err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		for _, sentinel := range []error{
			storage.ErrNotFound, storage.ErrRevoked, storage.ErrConflict, storage.ErrPermanent, storage.ErrLimit,
			storage.ErrExpired, storage.ErrBlocked,
		} {
			if errors.Is(err, sentinel) {
				return err
			}
		}
		return s.failed("write", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlite: commit: %w: %w", errUnknown, err)
	}
	return nil
}

// begin waits for the file's write lock. SQLite itself would ask for it ever more
// seldom, and beside a process that writes all the time hardly ever in the moment
// between two of its transactions; so this asks again and again (shortWait).
func begin(ctx context.Context, conn *sql.Conn) (*sql.Tx, error) {
	for began := time.Now(); ; {
		tx, err := conn.BeginTx(ctx, nil)
		if !isBusy(err) || time.Since(began) > busyTimeout {
			return tx, err
		}
	}
}

// apply writes all of m, or fails and leaves the transaction to be rolled back.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, m storage.Mutation) error {
	for _, k := range m.Put {
		if err := s.put(ctx, tx, k); err != nil {
			return err
		}
	}
	if m.Limit != nil {
		var active int
		row := tx.StmtContext(ctx, s.sql.active).QueryRowContext(ctx, m.Limit.Organisation, m.Now.UnixMicro())
		if err := row.Scan(&active); err != nil {
			return err
		}
		if active > m.Limit.Max {
			return storage.ErrLimit
		}
	}
	return s.recordAll(ctx, tx, m.Audit)
}

// put judges one record by what is stored, then writes it.
func (s *Store) put(ctx context.Context, tx *sql.Tx, k storage.Key) error {
	stored, err := scanKey(tx.StmtContext(ctx, s.sql.current).QueryRowContext(ctx, k.ID))
	exists := err == nil
	switch {
	case exists:
		err = k.Replaces(stored)
	case errors.Is(err, sql.ErrNoRows) && k.Version == 0:
		err = nil
	case errors.Is(err, sql.ErrNoRows):
		err = storage.ErrNotFound
	}
	if err != nil {
		return err
	}
	if !exists || k.Lookup != stored.Lookup {
		var holder string
		err := tx.StmtContext(ctx, s.sql.holder).QueryRowContext(ctx, k.Lookup).Scan(&holder)
		if err == nil {
			return storage.ErrConflict
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	scopes, allow, metadata, err := encodeLists(k)
	if err != nil {
		return err
	}
	k.Version++
	if exists {
		_, err = tx.StmtContext(ctx, s.sql.update).ExecContext(ctx, k.ID, k.Lookup, k.Name, k.Last4, allow, metadata,
			k.Hash, blob(k.Sealed), k.SecretVersion, k.Version, micros(k.Expires), micros(k.Revoked), k.RevokedBecause,
			micros(k.Regenerated))
		return err
	}
	_, err = tx.StmtContext(ctx, s.sql.insert).ExecContext(ctx, k.ID, k.Lookup, k.Lineage, k.Organisation, k.Name, k.Last4,
		k.Format, string(k.Environment), string(k.Access), scopes, k.Owner, k.Creator, allow, metadata, k.Hash, blob(k.Sealed),
		k.SecretVersion, k.Version, k.Created.UnixMicro(), micros(k.Regenerated), micros(k.Expires), micros(k.Revoked), k.RevokedBecause)
	return err
}

// scanner is a row of a result.
type scanner interface{ Scan(to ...any) error }

// scanKey reads the columns that keyColumns names.
func scanKey(row scanner) (storage.Key, error) {
	var (
		k                       storage.Key
		scopes, allow, metadata string
		created                 int64
		expires, revoked, again sql.NullInt64
	)
	err := row.Scan(&k.ID, &k.Lookup, &k.Lineage, &k.Organisation, &k.Name, &k.Last4, &k.Format, &k.Environment, &k.Access,
		&scopes, &k.Owner, &k.Creator, &allow, &metadata, &k.Hash, &k.Sealed, &k.SecretVersion, &k.Version,
		&created, &again, &expires, &revoked, &k.RevokedBecause)
	if err != nil {
		return storage.Key{}, err
	}
	k.Created, k.Regenerated = time.UnixMicro(created).UTC(), moment(again)
	k.Expires, k.Revoked = moment(expires), moment(revoked)
	if err := decodeLists(&k, scopes, allow, metadata); err != nil {
		return storage.Key{}, err
	}
	return k, nil
}
