package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Operator = (*Store)(nil)

// erased is how many audit entries one transaction of an erasure deletes.
const erased = 10_000

// Organisations implements storage.Operator. It goes from one organisation to
// the next by the indexes, past what lies between them.
func (s *Store) Organisations(ctx context.Context, after string, limit int) ([]string, error) {
	if !storage.ValidText(after) {
		return nil, errText
	}
	rows, err := s.pool.Query(ctx, s.sql.organisations, after, storage.BatchSize(limit))
	if err != nil {
		return nil, failed("list organisations", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return orNil(names), failed("list organisations", err)
}

// TrimAudit implements storage.Operator. It takes no lock that a mutation waits
// for, and passes over entries that another instance is trimming.
func (s *Store) TrimAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.sweep(ctx, "trim the audit log", s.sql.trim, before, limit)
}

// ForgetAddresses implements storage.Operator.
func (s *Store) ForgetAddresses(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.sweep(ctx, "forget addresses", s.sql.forget, before, limit)
}

func (s *Store) sweep(ctx context.Context, doing, sql string, before time.Time, limit int) (n int, err error) {
	if !storable(before) {
		return 0, fmt.Errorf("postgres: %s: the time is outside the years 1 to 9999", doing)
	}
	err = s.inTransaction(ctx, doing, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, micros(before), storage.BatchSize(limit))
		n = int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// EraseOrganisation implements storage.Operator. One transaction, under the
// organisation's lock, deletes all but the audit log; the log, which may be
// long, follows in pieces. The row that counts entries stays.
func (s *Store) EraseOrganisation(ctx context.Context, organisation string) error {
	if !storage.ValidText(organisation) {
		return nil // it can't be there
	}
	var entries int64
	var keys, users []string
	var others []changed
	err := s.inTransaction(ctx, "erase an organisation", func(tx pgx.Tx) (err error) {
		if entries, keys, users, err = s.eraseRecords(ctx, tx, organisation); err == nil {
			others, err = s.eraseApps(ctx, tx, organisation)
		}
		return err
	})
	// Told in any case: a failure doesn't always say that nothing was deleted.
	for _, id := range keys {
		s.watchers.Changed(storage.KeyChanged, organisation, id, 0)
	}
	for _, id := range users {
		s.watchers.Changed(storage.UserChanged, organisation, id, 0)
	}
	s.watchers.Changed(storage.AccountChanged, organisation, organisation, 0)
	s.tell(err, others...)
	if err != nil {
		return err
	}
	if err := s.EraseUsage(ctx, organisation); err != nil {
		return err
	}
	for n := int64(erased); n == erased; {
		err := s.inTransaction(ctx, "erase an audit log", func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, s.sql.eraseAudit, organisation, entries, erased)
			n = tag.RowsAffected()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eraseRecords returns how many entries there have been, and the ids of what it
// deleted.
func (s *Store) eraseRecords(ctx context.Context, tx pgx.Tx, organisation string) (entries int64, keys, users []string, err error) {
	if _, err := tx.Exec(ctx, s.sql.patience); err != nil {
		return 0, nil, nil, err
	}
	err = tx.QueryRow(ctx, s.sql.counted, organisation).Scan(&entries)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, nil, nil, err
	}
	for sql, ids := range map[string]*[]string{s.sql.eraseKeys: &keys, s.sql.eraseUsers: &users} {
		rows, err := tx.Query(ctx, sql, organisation)
		if err != nil {
			return 0, nil, nil, err
		}
		if *ids, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return 0, nil, nil, err
		}
	}
	for _, sql := range []string{s.sql.eraseAccount, s.sql.eraseDeliveries, s.sql.replays.erase} {
		if _, err := tx.Exec(ctx, sql, organisation); err != nil {
			return 0, nil, nil, err
		}
	}
	return entries, keys, users, nil
}

// inTransaction runs f in a transaction, and again where PostgreSQL gave it up
// for the sake of another. Read committed, whatever the session's default: what
// follows a lock must see what its last holder did.
func (s *Store) inTransaction(ctx context.Context, doing string, f func(pgx.Tx) error) error {
	return s.inTransactionOpenedBy(ctx, doing, func(*pgx.Batch) {}, f)
}

// inTransactionOpenedBy sends what first queues together with BEGIN, in one round
// trip.
func (s *Store) inTransactionOpenedBy(ctx context.Context, doing string, first func(*pgx.Batch), f func(pgx.Tx) error) error {
	for attempt := 1; ; attempt++ {
		known, err := s.tryOnce(ctx, first, f)
		switch {
		case err == nil:
			return nil
		case !known:
			return failed(doing+", outcome unknown", err)
		case !givenUp(err) || attempt == attempts:
			return failed(doing, err)
		}
		if err := pause(ctx, time.Duration(attempt)*10*time.Millisecond); err != nil {
			return failed(doing, err)
		}
	}
}

// tryOnce makes one transaction. known is false where nobody can tell whether it
// was committed.
func (s *Store) tryOnce(ctx context.Context, first func(*pgx.Batch), f func(pgx.Tx) error) (known bool, err error) {
	b := &pgx.Batch{}
	b.BeginTx(pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	first(b)
	results := s.pool.SendBatch(ctx, b)
	tx, err := results.Tx(), results.Close()
	if tx != nil {
		// A round trip of its own, so that the connection survives a ctx that ended.
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
			defer cancel()
			_ = tx.Rollback(ctx)
		}()
	}
	if err != nil {
		return true, err
	}
	if err := f(tx); err != nil {
		return true, err
	}
	err = tx.Commit(ctx)
	return err == nil || rolledBack(err), err
}
