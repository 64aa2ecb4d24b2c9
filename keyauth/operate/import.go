package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// Migration is one run of an import.
type Migration struct {
	// ID names where the keys come from; required, at most 100 bytes. Use one for
	// each source, for ever: rows that were imported under it before have no
	// effect, whatever became of their keys.
	ID string
	// Refused is told of each row that is not imported, in order. Nil: only the
	// report tells, and only of the first.
	Refused func(Refusal)
	// Batch is the number of keys in one transaction; zero: 1,000, which is the most.
	Batch int
}

// Refusal is a row that was not imported. It never tells the hash.
type Refusal struct {
	// Row counts from 0.
	Row int
	// Organisation and Lookup as in the row; each cut to 100 bytes.
	Organisation, Lookup string
	Reason               string
}

// ImportReport tells what became of the rows.
type ImportReport struct {
	// Rows that are dealt with, from the first on. After a failure an import may
	// go on behind them; beginning anew comes to the same.
	Rows int
	// Imported are keys that are new. Unchanged were imported by this migration
	// before; nothing was done about them.
	Imported, Unchanged int
	// Refused rows, and the first 1,000 of them.
	Refused  int
	Refusals []Refusal
}

const (
	maxBatch    = 1000
	maxRefusals = 1000
	lookers     = 8 // questions to the store at a time
)

// Import takes over keys that another system issued; their holders notice
// nothing. A row's failure refuses that row. A failure of the store, an error
// that rows yields, or the end of ctx ends the import: the report is then of
// what was done until then, and the same rows may be imported again.
//
// Limits of keys are not kept: keys that exist are taken over even if the
// organisation could create none. No mutation waits for more than one batch.
func (s *Service) Import(ctx context.Context, m Migration, rows iter.Seq2[Row, error]) (ImportReport, error) {
	if m.ID == "" || len(m.ID) > 100 || !storage.ValidText(m.ID) {
		return ImportReport{}, errors.New("operate: import: a Migration needs an ID of at most 100 bytes")
	}
	if m.Batch <= 0 || m.Batch > maxBatch {
		m.Batch = maxBatch
	}
	run := &importing{Service: s, migration: m}
	for row, err := range rows {
		if err != nil {
			// What was read before it is good.
			return run.report, errors.Join(fmt.Errorf("operate: import: reading row %d: %w", run.read, err), run.flush(ctx))
		}
		run.add(row)
		if len(run.batch)+len(run.refused) >= m.Batch {
			if err := run.flush(ctx); err != nil {
				return run.report, err
			}
		}
	}
	err := run.flush(ctx)
	return run.report, err
}

// importing is the state of one import.
type importing struct {
	*Service
	migration Migration
	report    ImportReport
	read      int // rows
	batch     []imported
	refused   []Refusal // of the batch: they are told when it is dealt with
	unchanged int       // of the batch
}

type imported struct {
	row int
	key storage.Key
}

// add judges a row by itself and by those of its batch.
func (i *importing) add(r Row) {
	row := i.read
	i.read++
	k, err := i.key(i.migration.ID, r, i.now())
	if err != nil {
		i.refuse(row, r.Organisation, r.Lookup, err.Error())
		return
	}
	i.batch = append(i.batch, imported{row, k})
}

func (i *importing) refuse(row int, organisation, lookup, reason string) {
	i.refused = append(i.refused, Refusal{Row: row, Organisation: fmt.Sprintf("%.100s", organisation),
		Lookup: fmt.Sprintf("%.100s", lookup), Reason: reason})
}

// flush commits the batch and brings the report up to date.
func (i *importing) flush(ctx context.Context) error {
	i.once()
	written, err := i.commit(ctx)
	if err != nil {
		return fmt.Errorf("operate: import: %w", err)
	}
	i.report.Rows = i.read
	i.report.Imported += written
	i.report.Unchanged += i.unchanged
	i.report.Refused += len(i.refused)
	slices.SortStableFunc(i.refused, func(a, b Refusal) int { return a.Row - b.Row })
	for _, r := range i.refused {
		if len(i.report.Refusals) < maxRefusals {
			i.report.Refusals = append(i.report.Refusals, r)
		}
		if i.migration.Refused != nil {
			i.migration.Refused(r)
		}
	}
	i.batch, i.refused, i.unchanged = i.batch[:0], nil, 0
	return nil
}

// once drops rows of the batch whose look-up id an earlier one has.
func (i *importing) once() {
	first := make(map[string]storage.Key, len(i.batch))
	kept := i.batch[:0]
	for _, n := range i.batch {
		had, twice := first[n.key.Lookup]
		switch {
		case !twice:
			first[n.key.Lookup] = n.key
			kept = append(kept, n)
		case had.Lineage == n.key.Lineage:
			i.unchanged++
		default:
			i.refuse(n.row, n.key.Organisation, n.key.Lookup, reasonTaken)
		}
	}
	i.batch = kept
}

const (
	reasonTaken    = "lookup: another key has it"
	reasonMigrated = "lookup: a key that was imported with it exists, by another migration"
)

// commit writes the batch's keys that are new, and returns how many. It first
// assumes that all are, which is so in all but a repeated import.
func (i *importing) commit(ctx context.Context) (int, error) {
	fresh := i.batch
	err := i.put(ctx, fresh)
	if !errors.Is(err, storage.ErrConflict) {
		return len(fresh), err
	}
	if fresh, err = i.sort(ctx, fresh); err != nil {
		return 0, err
	}
	err = i.put(ctx, fresh)
	if !errors.Is(err, storage.ErrConflict) {
		return len(fresh), err
	}
	return i.oneByOne(ctx, fresh)
}

// oneByOne finds the rows that conflict with what sort can't see: another
// organisation's record, or somebody who writes at the same time.
func (i *importing) oneByOne(ctx context.Context, fresh []imported) (int, error) {
	written := 0
	for j := range fresh {
		one := fresh[j : j+1]
		err := i.put(ctx, one)
		if errors.Is(err, storage.ErrConflict) {
			if one, err = i.sort(ctx, one); err == nil && len(one) > 0 {
				i.refuse(one[0].row, one[0].key.Organisation, one[0].key.Lookup, reasonTaken)
			}
		} else if err == nil {
			written++
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (i *importing) put(ctx context.Context, keys []imported) error {
	if len(keys) == 0 {
		return ctx.Err()
	}
	m := storage.Mutation{Now: i.now(), Put: make([]storage.Key, 0, len(keys)), Audit: make([]storage.Entry, 0, len(keys))}
	for _, n := range keys {
		e, err := i.taken(n.key, m.Now)
		if err != nil {
			return err
		}
		m.Put, m.Audit = append(m.Put, n.key), append(m.Audit, e)
	}
	return i.c.Keys.Commit(ctx, m)
}

// taken is the audit entry of an imported key, which also names the migration.
func (i *importing) taken(k storage.Key, now time.Time) (storage.Entry, error) {
	e, err := i.entry(ActionImport, nil, k, now)
	if err != nil {
		return e, err
	}
	k.Version++
	e.After, err = json.Marshal(struct {
		manage.Key
		Migration string `json:"migration"`
	}{manage.KeyOf(k, now), i.migration.ID})
	return e, err
}

// sort asks the store about each row, several at a time, and returns those that
// are new, in order.
func (i *importing) sort(ctx context.Context, rows []imported) ([]imported, error) {
	reasons := make([]string, len(rows))
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(lookers)
	for j, n := range rows {
		group.Go(func() (err error) {
			reasons[j], err = i.standing(asking, n.key)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var fresh []imported
	for j, n := range rows {
		switch reasons[j] {
		case "":
			fresh = append(fresh, n)
		case reasonUnchanged:
			i.unchanged++
		default:
			i.refuse(n.row, n.key.Organisation, n.key.Lookup, reasons[j])
		}
	}
	return fresh, nil
}

const reasonUnchanged = "unchanged"

// standing tells why a key is not new; "" if it seems to be.
func (i *importing) standing(ctx context.Context, k storage.Key) (string, error) {
	stored, err := i.c.Keys.Key(ctx, k.Organisation, k.ID)
	switch {
	case err == nil && stored.Lineage == k.Lineage:
		return reasonUnchanged, nil
	case err == nil:
		return reasonMigrated, nil
	case !errors.Is(err, storage.ErrNotFound):
		return "", err
	}
	_, err = i.c.Keys.KeyByLookup(ctx, k.Lookup)
	switch {
	case err == nil:
		return reasonTaken, nil
	case errors.Is(err, storage.ErrNotFound):
		return "", nil
	}
	return "", err
}
