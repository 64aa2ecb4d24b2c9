package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// PruneUsage implements [storage.Usage].
func (s *Store) PruneUsage(ctx context.Context, cut storage.UsageCutoffs, limit int) (int, error) {
	p := usagePruning{s: s, left: storage.BatchSize(limit)}
	all := p.left
	u := s.sql.usage
	p.instances(ctx, cut)
	for _, of := range []struct {
		step   storage.UsageStep
		before time.Time
	}{{storage.PerMinute, cut.Minutes}, {storage.PerHour, cut.Hours}, {storage.PerDay, cut.Days}} {
		if !of.before.IsZero() {
			p.run(ctx, u.pruneSeries, int(of.step), minutesBefore(of.before))
			p.run(ctx, u.pruneEndpoints, int(of.step), minutesBefore(of.before))
			p.run(ctx, u.pruneRefusals, int(of.step), minutesBefore(of.before))
		}
	}
	p.old(ctx, u.pruneClaims, cut.Now)
	p.old(ctx, u.pruneAddresses, cut.Addresses)
	p.old(ctx, u.forgetOrigins, cut.Addresses)
	if !cut.Names.IsZero() {
		p.keys(ctx, u.oldKeys, func(left int) []any { return []any{left, cut.Names.UnixMicro()} })
	}
	p.old(ctx, u.pruneNames, cut.Names)
	return all - p.left, p.err
}

// minutesBefore is the bound of buckets that begin before t.
func minutesBefore(t time.Time) int64 { return storage.UsageMinute(t.Add(time.Minute - 1)) }

// usagePruning is one call: how many rows it may still remove, and what went
// wrong.
type usagePruning struct {
	s    *Store
	left int
	err  error
}

// in runs f in transactions of a piece each, until it removes no more.
func (p *usagePruning) in(ctx context.Context, f func(t usageTx, limit int) (int, error)) {
	for p.err == nil && p.left > 0 {
		want, got := min(p.left, piece), 0
		p.err = p.s.write(ctx, func(tx *sql.Tx) (err error) {
			got, err = f(usageTx{p.s.sql.usage, ctx, tx}, want)
			return err
		})
		if p.err == nil {
			p.left -= got
		}
		if got < want {
			return
		}
	}
}

// run executes a statement whose first argument is a limit.
func (p *usagePruning) run(ctx context.Context, stmt *sql.Stmt, args ...any) {
	p.in(ctx, func(t usageTx, limit int) (int, error) { return t.exec(stmt, append([]any{limit}, args...)...) })
}

func (p *usagePruning) old(ctx context.Context, stmt *sql.Stmt, before time.Time) {
	if !before.IsZero() {
		p.run(ctx, stmt, before.UnixMicro())
	}
}

// instances gives up those that were silent for too long.
func (p *usagePruning) instances(ctx context.Context, cut storage.UsageCutoffs) {
	if cut.Instances.IsZero() {
		return
	}
	p.in(ctx, func(t usageTx, limit int) (int, error) {
		var silent bool
		if _, err := t.scan(t.silent, []any{cut.Instances.UnixMicro()}, &silent); err != nil {
			return 0, err
		}
		if silent {
			if _, err := t.exec(t.gap, cut.Now.UnixMicro()); err != nil {
				return 0, err
			}
		}
		return t.exec(t.pruneInstances, limit, cut.Instances.UnixMicro())
	})
}

// keys removes the keys that stmt finds, with all that is left of them.
func (p *usagePruning) keys(ctx context.Context, stmt *sql.Stmt, args func(left int) []any) {
	p.in(ctx, func(t usageTx, limit int) (int, error) {
		rows, err := t.tx.StmtContext(t.ctx, stmt).QueryContext(t.ctx, args(limit)...)
		if err != nil {
			return 0, err
		}
		ids, err := idsOf(rows)
		for _, id := range ids {
			for _, table := range t.deleteRows {
				if _, err := t.exec(table, id); err != nil {
					return 0, err
				}
			}
			if _, err := t.exec(t.deleteKey, id); err != nil {
				return 0, err
			}
		}
		return len(ids), err
	})
}

func idsOf(rows *sql.Rows) ([]int64, error) {
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// EraseUsage implements [storage.Usage]. A transaction removes one credential
// with all that was counted for it; the last one, which finds none left, the
// names.
func (s *Store) EraseUsage(ctx context.Context, organisation string) error {
	if !storage.ValidText(organisation) {
		return nil // it can't be there
	}
	for gone := false; !gone; {
		p := usagePruning{s: s, left: 1}
		p.keys(ctx, s.sql.usage.someKeys, func(int) []any { return []any{organisation, 1} })
		if p.err != nil {
			return p.err
		}
		err := s.write(ctx, func(tx *sql.Tx) (err error) {
			gone, err = usageTx{s.sql.usage, ctx, tx}.eraseRest(organisation)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eraseRest reports whether the organisation has no credentials any more, and
// removes the rest if so.
func (t usageTx) eraseRest(organisation string) (bool, error) {
	var id int64
	if some, err := t.scan(t.someKeys, []any{organisation, 1}, &id); err != nil || some {
		return false, err
	}
	for _, stmt := range []*sql.Stmt{t.eraseNames, t.eraseGap, t.eraseClaims} {
		if _, err := t.exec(stmt, organisation); err != nil {
			return false, err
		}
	}
	return true, nil
}

// ClaimUsage implements [storage.Usage].
func (s *Store) ClaimUsage(ctx context.Context, c storage.UsageClaim) (claimed bool, err error) {
	if err := c.Check(); err != nil {
		return false, err
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		t := usageTx{s.sql.usage, ctx, tx}
		n, err := t.exec(t.claim, c.Organisation, c.Task, c.Holder, c.Now.UnixMicro(), c.Until.UnixMicro())
		claimed = n > 0
		return err
	})
	return claimed && err == nil, err
}
