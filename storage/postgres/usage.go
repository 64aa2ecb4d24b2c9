package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Usage = (*Store)(nil)

// AddUsage implements storage.Usage. Of two instances that add to the same
// credentials one waits for the other; both lock them in the same order.
func (s *Store) AddUsage(ctx context.Context, b storage.UsageBatch) error {
	if err := b.Check(); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := s.inTransaction(ctx, "add usage", func(tx pgx.Tx) error { return s.addUsage(ctx, tx, b) })
		switch {
		case errors.Is(err, storage.ErrForgotten):
			return storage.ErrForgotten
		case !errors.Is(err, errErased) || attempt == attempts:
			return err
		}
	}
}

// errErased: a row that a transaction had found was gone when it locked it.
var errErased = errors.New("what usage was counted for was erased meanwhile")

func (s *Store) addUsage(ctx context.Context, tx pgx.Tx, b storage.UsageBatch) error {
	news, err := s.advanceUsage(ctx, tx, b)
	if err != nil || !news || len(b.Rows)+len(b.Seen)+len(b.Addresses)+len(b.Refusals) == 0 {
		return err
	}
	a := usageAdmission{s: s, tx: tx, now: micros(b.Now), foldedKeys: make(map[usageRef]bool), foldedNames: make(map[storage.UsageName]bool)}
	if b, err = a.attribute(ctx, b); err != nil {
		return err
	}
	if err := a.admit(ctx, b); err != nil {
		return err
	}
	b = b.Folded(a.keyAdmitted, a.nameAdmitted)
	if err := a.lock(ctx); err != nil {
		return err
	}
	return a.write(ctx, b)
}

// advanceUsage notes the instance's batch and reports whether it is a new one.
func (s *Store) advanceUsage(ctx context.Context, tx pgx.Tx, b storage.UsageBatch) (bool, error) {
	var inserted bool
	err := tx.QueryRow(ctx, s.sql.usage.advance, b.Instance, int64(b.Sequence), micros(b.Now), orNull(b.Until), int64(b.Every), b.Final).Scan(&inserted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		var sequence int64
		err := tx.QueryRow(ctx, s.sql.usage.sequence, b.Instance).Scan(&sequence)
		if errors.Is(err, pgx.ErrNoRows) {
			err = storage.ErrForgotten
		}
		return false, err
	case err != nil:
		return false, err
	}
	if inserted {
		// Where nobody had counted for a while, there may have been instances that
		// don't count at all.
		if _, err := tx.Exec(ctx, s.sql.usage.begin, b.Instance, micros(b.Now), micros(b.Now.Add(-storage.UsagePause))); err != nil {
			return false, err
		}
	}
	if !b.Gap.IsZero() {
		if _, err := tx.Exec(ctx, s.sql.usage.gap, micros(b.Gap)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// usageAdmission finds the numbers that stand for a batch's keys and names, and
// makes those that are new, within the bounds.
type usageAdmission struct {
	s     *Store
	tx    pgx.Tx
	now   time.Time
	keys  map[usageRef]int64
	names map[storage.UsageName]int64
	// beyond the bound, so UsageOther stands for them
	foldedKeys  map[usageRef]bool
	foldedNames map[storage.UsageName]bool
}

// usageRef is a row of the keys: a credential, or an organisation's total of the
// environment that stands in its place.
type usageRef struct {
	organisation string
	total        bool
	credential   string
}

func refOf(k storage.UsageKey) usageRef { return usageRef{k.Organisation, false, k.Credential} }

func tallyRef(t storage.UsageTally) usageRef {
	if t.Total {
		return usageRef{t.Organisation, true, string(t.Environment)}
	}
	return refOf(t.UsageKey)
}

func (a *usageAdmission) keyAdmitted(k storage.UsageKey) bool { return a.keys[refOf(k)] != 0 }

func (a *usageAdmission) nameAdmitted(n storage.UsageName) bool { return a.names[n] != 0 }

// attribute completes keys that name no organisation from their records.
func (a *usageAdmission) attribute(ctx context.Context, b storage.UsageBatch) (storage.UsageBatch, error) {
	var unknown []string
	for _, k := range b.Keys() {
		if k.Organisation == "" && k.Credential != "" {
			unknown = append(unknown, k.Credential)
		}
	}
	found := make(map[string]storage.UsageKey)
	if len(unknown) > 0 {
		rows, err := a.tx.Query(ctx, a.s.sql.usage.records, unknown)
		if err != nil {
			return b, err
		}
		var k storage.UsageKey
		_, err = pgx.ForEachRow(rows, []any{&k.Credential, &k.Organisation, &k.Lineage, &k.Environment}, func() error {
			found[k.Credential] = k
			return nil
		})
		if err != nil {
			return b, err
		}
	}
	return b.Attributed(func(credential string) (storage.UsageKey, bool) {
		k, ok := found[credential]
		return k, ok
	}), nil
}

// admit fills keys and names. Mostly all are known; new ones are made under
// their organisation's lock, so that the bounds hold however many add.
func (a *usageAdmission) admit(ctx context.Context, b storage.UsageBatch) error {
	wanted := make(map[usageRef]storage.UsageKey)
	for _, k := range b.Keys() {
		wanted[refOf(k)] = k
	}
	for _, r := range b.Rows {
		total := storage.UsageKey{Organisation: r.Organisation, Credential: string(r.Environment), Environment: r.Environment}
		wanted[usageRef{r.Organisation, true, string(r.Environment)}] = total
	}
	names := b.Names()
	if err := a.find(ctx, wanted, names); err != nil {
		return err
	}
	crowds := make(map[string]*usageCrowd)
	for ref, k := range wanted {
		if a.keys[ref] == 0 {
			crowdOf(crowds, ref.organisation).keys = append(crowdOf(crowds, ref.organisation).keys, usageNewcomer{ref, k})
		}
	}
	for _, n := range names {
		if a.names[n] == 0 {
			crowdOf(crowds, n.Organisation).names = append(crowdOf(crowds, n.Organisation).names, n)
		}
	}
	if len(crowds) == 0 {
		return nil
	}
	if err := a.admitCrowds(ctx, crowds); err != nil {
		return err
	}
	if err := a.find(ctx, wanted, names); err != nil {
		return err
	}
	return a.whole(wanted, names)
}

// whole fails if what was there when this began was erased while it waited for
// the organisation's lock.
func (a *usageAdmission) whole(wanted map[usageRef]storage.UsageKey, names []storage.UsageName) error {
	for ref := range wanted {
		if a.foldedKeys[ref] {
			ref.credential = storage.UsageOther
		}
		if a.keys[ref] == 0 {
			return errErased
		}
	}
	for _, n := range names {
		if a.foldedNames[n] {
			n.Name = storage.UsageOther
		}
		if a.names[n] == 0 {
			return errErased
		}
	}
	return nil
}

// usageCrowd is what is new in one organisation.
type usageCrowd struct {
	keys  []usageNewcomer
	names []storage.UsageName
}

type usageNewcomer struct {
	ref usageRef
	key storage.UsageKey
}

func crowdOf(all map[string]*usageCrowd, organisation string) *usageCrowd {
	if all[organisation] == nil {
		all[organisation] = &usageCrowd{}
	}
	return all[organisation]
}

func (a *usageAdmission) admitCrowds(ctx context.Context, crowds map[string]*usageCrowd) error {
	organisations := make([]string, 0, len(crowds))
	for name := range crowds {
		organisations = append(organisations, name)
	}
	slices.Sort(organisations)
	for _, name := range organisations {
		if _, err := a.tx.Exec(ctx, a.s.sql.usage.lockOrganisation, name); err != nil {
			return err
		}
	}
	for _, name := range organisations {
		if err := a.admitKeys(ctx, name, crowds[name].keys); err != nil {
			return err
		}
		if err := a.admitNames(ctx, name, crowds[name].names); err != nil {
			return err
		}
	}
	return nil
}

func (a *usageAdmission) admitKeys(ctx context.Context, organisation string, newcomers []usageNewcomer) error {
	// Others may have made some of them before this had the lock.
	known := make(map[usageRef]storage.UsageKey, len(newcomers))
	for _, n := range newcomers {
		known[n.ref] = n.key
	}
	if err := a.findKeys(ctx, known); err != nil {
		return err
	}
	var held int
	if err := a.tx.QueryRow(ctx, a.s.sql.usage.countKeys, organisation).Scan(&held); err != nil {
		return err
	}
	var columns struct {
		organisation, credential, lineage, environment []string
		total                                          []bool
	}
	insert := func(ref usageRef, k storage.UsageKey) {
		columns.organisation = append(columns.organisation, organisation)
		columns.total = append(columns.total, ref.total)
		columns.credential = append(columns.credential, ref.credential)
		columns.lineage = append(columns.lineage, k.Lineage)
		columns.environment = append(columns.environment, string(k.Environment))
	}
	folded := false
	for _, n := range newcomers {
		switch {
		case a.keys[n.ref] != 0:
		case n.ref.total || n.ref.credential == storage.UsageOther:
			insert(n.ref, n.key)
		case held < storage.MaxUsageKeys:
			held++
			insert(n.ref, n.key)
		default:
			a.foldedKeys[n.ref], folded = true, true
		}
	}
	if folded {
		other := storage.UsageKey{Organisation: organisation, Credential: storage.UsageOther, Lineage: storage.UsageOther}
		insert(refOf(other), other)
		if _, err := a.tx.Exec(ctx, a.s.sql.usage.foldedKeys, organisation, a.now); err != nil {
			return err
		}
	}
	_, err := a.tx.Exec(ctx, a.s.sql.usage.insertKeys, columns.organisation, columns.total, columns.credential, columns.lineage, columns.environment, a.now)
	return err
}

func (a *usageAdmission) admitNames(ctx context.Context, organisation string, newcomers []storage.UsageName) error {
	if len(newcomers) == 0 {
		return nil
	}
	if err := a.findNames(ctx, newcomers); err != nil {
		return err
	}
	var held int
	if err := a.tx.QueryRow(ctx, a.s.sql.usage.countNames, organisation).Scan(&held); err != nil {
		return err
	}
	var organisations, names []string
	for _, n := range newcomers {
		if a.names[n] != 0 {
			continue
		}
		if held >= storage.MaxUsagePatterns && n.Name != storage.UsageOther {
			a.foldedNames[n] = true
			n.Name = storage.UsageOther
		} else if n.Name != storage.UsageOther {
			held++
		}
		organisations, names = append(organisations, organisation), append(names, n.Name)
	}
	_, err := a.tx.Exec(ctx, a.s.sql.usage.insertNames, organisations, names, a.now)
	return err
}

// find looks up the numbers of all that is wanted, and of UsageOther, which what
// isn't found becomes.
func (a *usageAdmission) find(ctx context.Context, wanted map[usageRef]storage.UsageKey, names []storage.UsageName) error {
	a.keys, a.names = make(map[usageRef]int64), make(map[storage.UsageName]int64)
	others := make(map[usageRef]storage.UsageKey, len(wanted))
	for ref, k := range wanted {
		others[ref] = k
		others[usageRef{ref.organisation, false, storage.UsageOther}] = storage.UsageKey{}
	}
	if err := a.findKeys(ctx, others); err != nil {
		return err
	}
	all := slices.Clone(names)
	for _, n := range names {
		all = append(all, storage.UsageName{Organisation: n.Organisation, Name: storage.UsageOther})
	}
	return a.findNames(ctx, all)
}

func (a *usageAdmission) findKeys(ctx context.Context, wanted map[usageRef]storage.UsageKey) error {
	var refs []usageRef
	var organisations, credentials []string
	var totals []bool
	for ref := range wanted {
		refs = append(refs, ref)
		organisations, totals, credentials = append(organisations, ref.organisation), append(totals, ref.total), append(credentials, ref.credential)
	}
	rows, err := a.tx.Query(ctx, a.s.sql.usage.keys, organisations, totals, credentials)
	if err != nil {
		return err
	}
	var id, n int64
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		a.keys[refs[n-1]] = id
		return nil
	})
	return err
}

func (a *usageAdmission) findNames(ctx context.Context, wanted []storage.UsageName) error {
	var organisations, names []string
	for _, n := range wanted {
		organisations, names = append(organisations, n.Organisation), append(names, n.Name)
	}
	rows, err := a.tx.Query(ctx, a.s.sql.usage.names, organisations, names)
	if err != nil {
		return err
	}
	var id, n int64
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		a.names[wanted[n-1]] = id
		return nil
	})
	return err
}

// lock takes the rows of all keys and names, and fails if one of them is gone.
func (a *usageAdmission) lock(ctx context.Context) error {
	keys, names := numbers(a.keys), numbers(a.names)
	tag, err := a.tx.Exec(ctx, a.s.sql.usage.lockKeys, keys, a.now)
	if err != nil {
		return err
	}
	var locked int
	if err := a.tx.QueryRow(ctx, a.s.sql.usage.lockNames, names).Scan(&locked); err != nil {
		return err
	}
	if int(tag.RowsAffected()) < len(keys) || locked < len(names) {
		return errErased
	}
	return nil
}

// numbers are the values of m, in order and each once.
func numbers[K comparable](m map[K]int64) []int64 {
	return slices.Compact(slices.Sorted(maps.Values(m)))
}
