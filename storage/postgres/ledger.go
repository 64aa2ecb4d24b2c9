package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strikeplate/strikeplate/storage"
)

// ledger is the part of a transaction that writes to audit logs. See
// [Store.Commit] for what its locks are for.
type ledger struct {
	rows   []entryRow
	counts map[string]int64 // an organisation's entries of this transaction
	next   map[string]int64 // the position of its next one
}

// newLedger takes what audit says, and an organisation to lock besides unless it
// is empty.
func newLedger(audit []storage.Entry, also string) (*ledger, error) {
	l := &ledger{counts: make(map[string]int64), next: make(map[string]int64)}
	if also != "" {
		l.counts[also] = 0
	}
	for _, e := range audit {
		row, err := newEntryRow(e)
		if err != nil {
			return nil, err
		}
		l.rows = append(l.rows, row)
		l.counts[e.Organisation]++
	}
	return l, nil
}

// openLog queues what locks the organisations, in the order in which all lock, and
// counts the entries. A transaction that then writes none must be rolled back.
func (s *Store) openLog(b *pgx.Batch, l *ledger) {
	b.Queue(s.sql.patience)
	for _, name := range slices.Sorted(maps.Keys(l.counts)) {
		b.Queue(s.sql.lock, name, l.counts[name]).QueryRow(func(row pgx.Row) error {
			var entries int64
			err := row.Scan(&entries)
			l.next[name] = entries - l.counts[name] + 1
			return err
		})
	}
}

// writeLog queues the entries.
func (s *Store) writeLog(b *pgx.Batch, l *ledger) {
	for _, e := range l.rows {
		s.record(b, e, l.next[e.Organisation])
		l.next[e.Organisation]++
	}
}

// errNothing ends a transaction that has nothing to write. It is no failure.
var errNothing = errors.New("nothing to write")

// mutate runs first and f in a transaction, see [Store.inTransactionOpenedBy], and
// returns a sentinel as it is.
func (s *Store) mutate(ctx context.Context, doing string, first func(*pgx.Batch), f func(pgx.Tx) error) error {
	err := s.inTransactionOpenedBy(ctx, doing, first, f)
	if errors.Is(err, errNothing) {
		return nil
	}
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "23505" {
		return storage.ErrConflict // an ID or a hash, of those that the caller brought
	}
	return err
}

// sentinels are what transactions of apps and grants end with.
var sentinels = []error{
	storage.ErrNotFound, storage.ErrRevoked, storage.ErrConflict, storage.ErrPermanent, storage.ErrLimit,
	storage.ErrReused, storage.ErrExpired, storage.ErrBlocked,
}

// changed is a record that watchers are told of.
type changed struct {
	subject          storage.Subject
	organisation, id string
	version          int64
}

// tell tells watchers what a transaction that ended with err did, or may have.
func (s *Store) tell(err error, all ...changed) {
	if slices.ContainsFunc(sentinels, func(sentinel error) bool { return errors.Is(err, sentinel) }) {
		return
	}
	for _, c := range all {
		if err != nil {
			c.version = 0
		}
		s.watchers.Changed(c.subject, c.organisation, c.id, c.version)
	}
}

// grantsOf reads the grants that a statement changed.
func grantsOf(rows pgx.Rows, err error) ([]changed, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (changed, error) {
		c := changed{subject: storage.GrantChanged}
		err := row.Scan(&c.organisation, &c.id, &c.version)
		return c, err
	})
}

// orNone is a failure of a look-up, where nothing was found: the sentinel.
func orNone(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return storage.ErrNotFound
	}
	return err
}

// allStorable refuses times that can't be written.
func allStorable(doing string, times ...time.Time) error {
	for _, t := range times {
		if !storable(t) {
			return fmt.Errorf("postgres: %s: a time is outside the years 1 to 9999", doing)
		}
	}
	return nil
}
