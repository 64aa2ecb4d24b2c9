package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

// PruneUsage implements storage.Usage. It passes over rows that another instance
// is pruning or adding to.
func (s *Store) PruneUsage(ctx context.Context, cut storage.UsageCutoffs, limit int) (int, error) {
	p := usagePruning{s: s, left: storage.BatchSize(limit)}
	all := p.left
	p.instances(ctx, cut)
	for _, of := range []struct {
		step   storage.UsageStep
		before time.Time
	}{{storage.PerMinute, cut.Minutes}, {storage.PerHour, cut.Hours}, {storage.PerDay, cut.Days}} {
		if !of.before.IsZero() {
			p.run(ctx, s.sql.usage.pruneSeries, int16(of.step), minutesBefore(of.before))
			p.run(ctx, s.sql.usage.pruneEndpoints, int16(of.step), minutesBefore(of.before))
			p.run(ctx, s.sql.usage.pruneRefusals, int16(of.step), minutesBefore(of.before))
		}
	}
	p.old(ctx, s.sql.usage.pruneClaims, cut.Now)
	p.old(ctx, s.sql.usage.pruneAddresses, cut.Addresses)
	p.old(ctx, s.sql.usage.forgetOrigins, cut.Addresses)
	p.keys(ctx, cut.Names)
	p.old(ctx, s.sql.usage.pruneNames, cut.Names)
	return all - p.left, p.err
}

// minutesBefore is the bound of buckets that begin before t.
func minutesBefore(t time.Time) int32 {
	return int32(storage.UsageMinute(t.Add(time.Minute - 1)))
}

// usagePruning is one call: how many rows it may still remove, and what went
// wrong.
type usagePruning struct {
	s    *Store
	left int
	err  error
}

// run executes a statement whose first argument is a limit, in a transaction of
// its own.
func (p *usagePruning) run(ctx context.Context, sql string, args ...any) {
	p.in(ctx, func(tx pgx.Tx) (int, error) {
		tag, err := tx.Exec(ctx, sql, append([]any{p.left}, args...)...)
		return int(tag.RowsAffected()), err
	})
}

func (p *usagePruning) in(ctx context.Context, f func(pgx.Tx) (int, error)) {
	if p.err != nil || p.left == 0 {
		return
	}
	removed := 0
	p.err = p.s.inTransaction(ctx, "prune usage", func(tx pgx.Tx) (err error) {
		removed, err = f(tx)
		return err
	})
	if p.err == nil {
		p.left -= min(removed, p.left)
	}
}

func (p *usagePruning) old(ctx context.Context, sql string, before time.Time) {
	if !before.IsZero() {
		p.run(ctx, sql, micros(before))
	}
}

// instances gives up those that were silent for too long.
func (p *usagePruning) instances(ctx context.Context, cut storage.UsageCutoffs) {
	if cut.Instances.IsZero() {
		return
	}
	p.in(ctx, func(tx pgx.Tx) (int, error) {
		rows, err := tx.Query(ctx, p.s.sql.usage.pruneInstances, p.left, micros(cut.Instances))
		if err != nil {
			return 0, err
		}
		finals, err := pgx.CollectRows(rows, pgx.RowTo[bool])
		if err == nil && slices.Contains(finals, false) {
			_, err = tx.Exec(ctx, p.s.sql.usage.gap, micros(cut.Now))
		}
		return len(finals), err
	})
}

// keys removes credentials with what is left of them.
func (p *usagePruning) keys(ctx context.Context, before time.Time) {
	if before.IsZero() {
		return
	}
	p.in(ctx, func(tx pgx.Tx) (int, error) {
		rows, err := tx.Query(ctx, p.s.sql.usage.oldKeys, p.left, micros(before))
		if err != nil {
			return 0, err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(ids) == 0 {
			return 0, err
		}
		return len(ids), p.s.deleteUsageKeys(ctx, tx, ids)
	})
}

func (s *Store) deleteUsageKeys(ctx context.Context, tx pgx.Tx, ids []int64) error {
	for _, table := range usageTables {
		if _, err := tx.Exec(ctx, s.sql.usage.deleteRows[table], ids); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, s.sql.usage.deleteKeys, ids)
	return err
}

// EraseUsage implements storage.Usage. Counts, which may be many, go first and in
// pieces; then, under the locks that adding takes, all that is left.
func (s *Store) EraseUsage(ctx context.Context, organisation string) error {
	if !storage.ValidText(organisation) {
		return nil // it can't be there
	}
	rows, err := s.pool.Query(ctx, s.sql.usage.keysOf, organisation)
	if err != nil {
		return failed("erase usage", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return failed("erase usage", err)
	}
	for _, table := range usageTables {
		for n := int64(erased); n == erased && len(ids) > 0; {
			err := s.inTransaction(ctx, "erase usage", func(tx pgx.Tx) error {
				tag, err := tx.Exec(ctx, s.sql.usage.deleteSomeRows[table], ids, erased)
				n = tag.RowsAffected()
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return s.inTransaction(ctx, "erase usage", func(tx pgx.Tx) error { return s.eraseUsage(ctx, tx, organisation) })
}

func (s *Store) eraseUsage(ctx context.Context, tx pgx.Tx, organisation string) error {
	if _, err := tx.Exec(ctx, s.sql.usage.lockOrganisation, organisation); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, s.sql.usage.lockKeysOf, organisation)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	if err := s.deleteUsageKeys(ctx, tx, ids); err != nil {
		return err
	}
	for _, sql := range []string{s.sql.usage.eraseNames, s.sql.usage.eraseClaims, s.sql.usage.eraseOrganisation} {
		if _, err := tx.Exec(ctx, sql, organisation); err != nil {
			return err
		}
	}
	return nil
}

// ClaimUsage implements storage.Usage.
func (s *Store) ClaimUsage(ctx context.Context, c storage.UsageClaim) (bool, error) {
	if err := c.Check(); err != nil {
		return false, err
	}
	tag, err := s.pool.Exec(ctx, s.sql.usage.claim, c.Organisation, c.Task, c.Holder, micros(c.Now), micros(c.Until))
	if err != nil {
		return false, failed("claim a task", err)
	}
	return tag.RowsAffected() > 0, nil
}
