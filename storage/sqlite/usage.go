package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Usage = (*Store)(nil)

// AddUsage implements [storage.Usage].
func (s *Store) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	if err := b.Check(); err != nil {
		return err
	}
	err := s.write(ctx, func(tx *sql.Tx) error { return usageTx{s.sql.usage, ctx, tx}.addUsage(b) })
	if errors.Is(err, storage.ErrForgotten) {
		return storage.ErrForgotten
	}
	return err
}

// usageTx is a transaction of the writer.
type usageTx struct {
	usageStatements
	ctx context.Context //nolint:containedctx // it lives for one call
	tx  *sql.Tx
}

func (t usageTx) exec(stmt *sql.Stmt, args ...any) (int, error) {
	done, err := t.tx.StmtContext(t.ctx, stmt).ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	n, err := done.RowsAffected()
	return int(n), err
}

// scan reads one row, and reports whether there was one.
func (t usageTx) scan(stmt *sql.Stmt, args []any, to ...any) (bool, error) {
	err := t.tx.StmtContext(t.ctx, stmt).QueryRowContext(t.ctx, args...).Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (t usageTx) addUsage(b storage.UsageBatch) error {
	if news, err := t.advance(b); err != nil || !news {
		return err
	}
	b, err := t.attribute(b)
	if err != nil {
		return err
	}
	a := usageAdmission{
		usageTx: t, now: b.Now.UnixMicro(), keys: make(map[usageRef]int64), names: make(map[storage.UsageName]int64),
		heldKeys: make(map[string]int), heldNames: make(map[string]int),
	}
	if err := a.admit(b); err != nil {
		return err
	}
	b = b.Folded(
		func(k storage.UsageKey) bool { return a.keys[refOf(k)] != 0 },
		func(n storage.UsageName) bool { return a.names[n] != 0 })
	return a.add(b)
}

// advance notes the instance's batch and reports whether it is a new one.
func (t usageTx) advance(b storage.UsageBatch) (bool, error) {
	var last int64
	known, err := t.scan(t.instance, []any{b.Instance}, &last)
	switch {
	case err != nil:
		return false, err
	case !known && b.Sequence > 1:
		return false, storage.ErrForgotten
	case known && int64(b.Sequence) <= last:
		return false, nil
	case !known:
		// Where nobody had counted for a while, there may have been instances that
		// don't count at all.
		var heard bool
		if _, err := t.scan(t.heard, []any{b.Now.Add(-storage.UsagePause).UnixMicro()}, &heard); err != nil {
			return false, err
		}
		if !heard {
			if _, err := t.exec(t.begin, b.Now.UnixMicro()); err != nil {
				return false, err
			}
		}
	}
	_, err = t.exec(t.putInstance, b.Instance, int64(b.Sequence), b.Now.UnixMicro(), micros(b.Until), int64(b.Every), b.Final)
	if err == nil && !b.Gap.IsZero() {
		_, err = t.exec(t.gap, b.Gap.UnixMicro())
	}
	return true, err
}

// attribute completes keys that name no organisation from their records.
func (t usageTx) attribute(b storage.UsageBatch) (storage.UsageBatch, error) {
	found := make(map[string]storage.UsageKey)
	for _, k := range b.Keys() {
		if k.Organisation != "" || k.Credential == "" {
			continue
		}
		known, err := t.scan(t.record, []any{k.Credential}, &k.Organisation, &k.Lineage, &k.Environment)
		if err != nil {
			return b, err
		}
		if known {
			found[k.Credential] = k
		}
	}
	return b.Attributed(func(credential string) (storage.UsageKey, bool) {
		k, ok := found[credential]
		return k, ok
	}), nil
}

// usageAdmission finds the numbers that stand for a batch's keys and names, and
// makes those that are new, within the bounds.
type usageAdmission struct {
	usageTx
	now   int64
	keys  map[usageRef]int64
	names map[storage.UsageName]int64
	// How many the organisations hold. Nobody else writes meanwhile, so a batch
	// counts them once, not once for each that is new.
	heldKeys, heldNames map[string]int
}

// usageRef is a row of the keys: a credential, or an organisation's total of the
// environment that stands in its place.
type usageRef struct {
	organisation string
	total        bool
	credential   string
}

func refOf(k storage.UsageKey) usageRef { return usageRef{k.Organisation, false, k.Credential} }

func (a *usageAdmission) admit(b storage.UsageBatch) error {
	for _, k := range b.Keys() {
		if err := a.admitKey(refOf(k), k); err != nil {
			return err
		}
	}
	for _, r := range b.Rows {
		ref := usageRef{r.Organisation, true, string(r.Environment)}
		if a.keys[ref] != 0 {
			continue
		}
		if err := a.admitKey(ref, storage.UsageKey{Environment: r.Environment}); err != nil {
			return err
		}
	}
	for _, n := range b.Names() {
		if err := a.admitName(n); err != nil {
			return err
		}
	}
	return nil
}

// admitKey finds or makes a row. Beyond the bound it makes the one of UsageOther
// instead.
func (a *usageAdmission) admitKey(ref usageRef, k storage.UsageKey) error {
	var id int64
	known, err := a.scan(a.key, []any{ref.organisation, ref.total, ref.credential}, &id)
	if err != nil {
		return err
	}
	if known {
		a.keys[ref] = id
		_, err := a.exec(a.touch, id, a.now)
		return err
	}
	if !ref.total && ref.credential != storage.UsageOther {
		held, err := a.held(a.heldKeys, a.countKeys, ref.organisation)
		if err != nil {
			return err
		}
		if held >= storage.MaxUsageKeys {
			if _, err := a.exec(a.folded, ref.organisation, a.now); err != nil {
				return err
			}
			other := storage.UsageKey{Organisation: ref.organisation, Credential: storage.UsageOther, Lineage: storage.UsageOther}
			return a.admitKey(refOf(other), other)
		}
	}
	if _, err := a.scan(a.insertKey, []any{ref.organisation, ref.total, ref.credential, k.Lineage, string(k.Environment), a.now}, &id); err != nil {
		return err
	}
	a.keys[ref] = id
	if _, counted := a.heldKeys[ref.organisation]; counted && !ref.total {
		a.heldKeys[ref.organisation]++
	}
	return nil
}

func (a *usageAdmission) admitName(n storage.UsageName) error {
	var id int64
	known, err := a.scan(a.name, []any{n.Organisation, n.Name}, &id)
	if err != nil {
		return err
	}
	if known {
		a.names[n] = id
		_, err := a.exec(a.touchName, id, a.now)
		return err
	}
	if n.Name != storage.UsageOther {
		held, err := a.held(a.heldNames, a.countNames, n.Organisation)
		if err != nil {
			return err
		}
		if held >= storage.MaxUsagePatterns {
			return a.admitName(storage.UsageName{Organisation: n.Organisation, Name: storage.UsageOther})
		}
	}
	if _, err := a.scan(a.insertName, []any{n.Organisation, n.Name, a.now}, &id); err != nil {
		return err
	}
	a.names[n] = id
	if _, counted := a.heldNames[n.Organisation]; counted {
		a.heldNames[n.Organisation]++
	}
	return nil
}

// held is how many an organisation holds, counted where it isn't known yet.
func (a *usageAdmission) held(known map[string]int, count *sql.Stmt, organisation string) (int, error) {
	if n, ok := known[organisation]; ok {
		return n, nil
	}
	var n int
	if _, err := a.scan(count, []any{organisation}, &n); err != nil {
		return 0, err
	}
	known[organisation] = n
	return n, nil
}
