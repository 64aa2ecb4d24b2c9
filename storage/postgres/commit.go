package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strikeplate/strikeplate/storage"
)

// attempts is how often Commit tries a transaction that PostgreSQL gave up for
// the sake of another (a deadlock, a serialization failure).
const attempts = 5

// Commit implements storage.Keys.
//
// Mutations of one organisation follow one another: each first locks the
// organisation's row. Under that lock the limit holds however many create at
// once, two mutations of the same keys can't deadlock, and the audit log is
// numbered in the order of commits, so that its readers need no other rule. (A
// rule on transaction ids, "show what no running transaction can precede",
// would let one long transaction anywhere in the database hide the log.) The
// wait is short: a mutation is three round trips, and people make them.
func (s *Store) Commit(ctx context.Context, m storage.Mutation) error {
	if err := m.Check(); err != nil {
		return err
	}
	p, err := plan(m)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		known, err := s.try(ctx, p)
		switch {
		case err == nil:
			s.told(m, func(k storage.Key) int64 { return k.Version + 1 })
			return nil
		case !known:
			// Perhaps it was committed: what caches remember must go.
			s.told(m, func(storage.Key) int64 { return 0 })
			return failed("commit, outcome unknown", err)
		case !givenUp(err) || attempt == attempts:
			return verdict(err)
		}
		if err := pause(ctx, time.Duration(attempt)*10*time.Millisecond); err != nil {
			return failed("commit", err)
		}
	}
}

func (s *Store) told(m storage.Mutation, version func(storage.Key) int64) {
	for _, k := range m.Put {
		s.watchers.Changed(storage.KeyChanged, k.Organisation, k.ID, version(k))
	}
}

// planned is a mutation in the types of its columns.
type planned struct {
	storage.Mutation
	rows          []keyRow
	entries       []entryRow
	ids, lookups  []string
	organisations []string // sorted, so that two mutations lock in one order
}

func plan(m storage.Mutation) (planned, error) {
	p := planned{Mutation: m}
	for _, k := range m.Put {
		row, err := newKeyRow(k)
		if err != nil {
			return planned{}, err
		}
		p.rows = append(p.rows, row)
		p.ids = append(p.ids, k.ID)
		p.lookups = append(p.lookups, k.Lookup)
		p.organisations = append(p.organisations, k.Organisation)
	}
	for _, e := range m.Audit {
		row, err := newEntryRow(e)
		if err != nil {
			return planned{}, err
		}
		p.entries = append(p.entries, row)
		p.organisations = append(p.organisations, e.Organisation)
	}
	if m.Limit != nil {
		p.organisations = append(p.organisations, m.Limit.Organisation)
	}
	slices.Sort(p.organisations)
	p.organisations = slices.Compact(p.organisations)
	return p, nil
}

// state is what a mutation is judged by.
type state struct {
	keys    map[string]storage.Key // by ID, those of the mutation's organisations
	holders map[string]string      // Lookup to ID, across organisations
	taken   map[string]bool        // IDs, across organisations
	entries map[string]int64       // audit entries of an organisation, the mutation's included
}

// try makes one transaction. known is false where nobody can tell whether it
// was committed.
func (s *Store) try(ctx context.Context, p planned) (known bool, err error) {
	tx, st, err := s.begin(ctx, p)
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
	for _, k := range p.Put {
		if err := st.judge(k); err != nil {
			return true, err
		}
	}
	if err := s.write(ctx, tx, p, st); err != nil {
		return true, err
	}
	err = tx.Commit(ctx)
	return err == nil || rolledBack(err), err
}

// begin starts the transaction, locks the organisations, and reads what is
// there, all in one round trip.
func (s *Store) begin(ctx context.Context, p planned) (pgx.Tx, *state, error) {
	st := &state{
		keys:    make(map[string]storage.Key),
		holders: make(map[string]string),
		taken:   make(map[string]bool),
		entries: make(map[string]int64),
	}
	b := &pgx.Batch{}
	// Read committed: each statement sees what was committed before it began, so
	// those after the lock see the mutation that held it before.
	b.BeginTx(pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	// An instance that vanishes must not hold the lock until TCP notices.
	b.Queue(s.sql.patience)
	for _, organisation := range p.organisations {
		b.Queue(s.sql.lock, organisation, p.entriesOf(organisation)).QueryRow(func(row pgx.Row) error {
			var n int64
			err := row.Scan(&n)
			st.entries[organisation] = n
			return err
		})
	}
	b.Queue(s.sql.stored, p.ids, p.organisations).Query(st.readKeys)
	b.Queue(s.sql.taken, p.ids, p.lookups).Query(st.readTaken)
	results := s.pool.SendBatch(ctx, b)
	return results.Tx(), st, results.Close()
}

func (p planned) entriesOf(organisation string) int64 {
	n := int64(0)
	for _, e := range p.Audit {
		if e.Organisation == organisation {
			n++
		}
	}
	return n
}

func (st *state) readKeys(rows pgx.Rows) error {
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return err
		}
		st.keys[k.ID] = k
	}
	return rows.Err()
}

func (st *state) readTaken(rows pgx.Rows) error {
	for rows.Next() {
		var id, lookup string
		if err := rows.Scan(&id, &lookup); err != nil {
			return err
		}
		st.taken[id] = true
		st.holders[lookup] = id
	}
	return rows.Err()
}

// judge decides whether one record may be written. It marks the Lookup as
// taken for the records after it.
func (st *state) judge(k storage.Key) error {
	stored, ok := st.keys[k.ID]
	switch {
	case k.Version == 0 && st.taken[k.ID]:
		return storage.ErrConflict
	case k.Version != 0 && !ok:
		return storage.ErrNotFound
	case k.Version != 0:
		if err := k.Replaces(stored); err != nil {
			return err
		}
	}
	if holder, held := st.holders[k.Lookup]; held && holder != k.ID {
		return storage.ErrConflict
	}
	st.holders[k.Lookup] = k.ID
	return nil
}

// write puts the records, counts, and records who did it, in one round trip.
func (s *Store) write(ctx context.Context, tx pgx.Tx, p planned, st *state) error {
	b := &pgx.Batch{}
	for _, k := range p.rows {
		s.put(b, k)
	}
	if p.Limit != nil {
		// Counting stops where the answer is known.
		b.Queue(s.sql.count, p.Limit.Organisation, micros(p.Now), max(int64(p.Limit.Max), 0)+1).QueryRow(p.within)
	}
	next := make(map[string]int64)
	for _, e := range p.entries {
		if _, ok := next[e.Organisation]; !ok {
			next[e.Organisation] = st.entries[e.Organisation] - p.entriesOf(e.Organisation)
		}
		next[e.Organisation]++
		s.record(b, e, next[e.Organisation])
	}
	return tx.SendBatch(ctx, b).Close()
}

func (s *Store) put(b *pgx.Batch, k keyRow) {
	if k.Version == 0 {
		b.Queue(s.sql.insert, k.ID, k.Lookup, k.Lineage, k.Organisation, k.Name, k.Last4, k.Format,
			string(k.Environment), string(k.Access), k.Scopes, k.Owner, k.Creator, k.allow, k.metadata, k.Hash,
			k.Sealed, k.SecretVersion, k.Created, k.regenerated, k.expires, k.revoked, k.RevokedBecause)
		return
	}
	b.Queue(s.sql.update, k.ID, k.Version, k.Lookup, k.Name, k.Last4, k.allow, k.metadata, k.Hash, k.Sealed,
		k.SecretVersion, k.expires, k.revoked, k.RevokedBecause, k.regenerated)
}

func (p planned) within(row pgx.Row) error {
	var active int64
	if err := row.Scan(&active); err != nil {
		return err
	}
	if active > int64(p.Limit.Max) {
		return storage.ErrLimit
	}
	return nil
}

// verdict turns what a transaction ended with into what the contract promises.
func verdict(err error) error {
	for _, sentinel := range []error{storage.ErrNotFound, storage.ErrRevoked, storage.ErrConflict,
		storage.ErrPermanent, storage.ErrLimit} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch {
		// Another organisation's mutation took an ID or Lookup meanwhile. Any
		// other table's violation is a fault of ours: reading again won't help.
		case pe.Code == "23505" && strings.HasSuffix(pe.TableName, "keys"):
			return storage.ErrConflict
		case pe.Code == "SP001":
			return storage.ErrRevoked
		case pe.Code == "SP002":
			return storage.ErrPermanent
		}
	}
	return failed("commit", err)
}

// givenUp reports, of an error that came before COMMIT was sent, whether trying
// again may help: PostgreSQL rolled back for the sake of another transaction, or
// the pool's connection was dead.
func givenUp(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code == "40001" || pe.Code == "40P01"
	}
	return pgconn.SafeToRetry(err)
}

// rolledBack reports whether a failed COMMIT surely committed nothing. A lost
// connection doesn't say, nor does a server that was shut down meanwhile: it may
// have ended the session after the commit. Nor does pgconn.SafeToRetry: it says
// so of a connection that was lost while COMMIT waited for its answer (pgx 5.12).
func rolledBack(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return true
	}
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.SeverityUnlocalized == "ERROR" && pe.Code != "40003" && pe.Code != "08007"
}

// pause waits for about d.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failed says what was being done when err came. PostgreSQL's details quote
// rows, hashes included, so only its message and code are kept.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		err = &pgconn.PgError{
			Severity: pe.Severity, SeverityUnlocalized: pe.SeverityUnlocalized, Code: pe.Code, Message: pe.Message,
			SchemaName: pe.SchemaName, TableName: pe.TableName, ColumnName: pe.ColumnName, ConstraintName: pe.ConstraintName,
		}
	}
	return fmt.Errorf("postgres: %s: %w", doing, err)
}
