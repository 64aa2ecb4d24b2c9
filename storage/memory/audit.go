package memory

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// keptEntries bounds an organisation's audit log.
const keptEntries = 10_000

// append adds e to the log. Entries leave in batches, so that appending to a
// full log doesn't move all of it each time.
func (o *organisation) append(e storage.Entry) {
	e = copiedEntry(e)
	o.last++
	e.Position = o.last
	o.log = append(o.log, e)
	if excess := len(o.log) - keptEntries; excess >= keptEntries/10 {
		o.log = slices.Clone(o.log[excess:])
	}
}

// log appends to the logs. The caller holds the lock for writing.
func (s *Store) log(audit []storage.Entry) {
	for _, e := range audit {
		s.in(e.Organisation).append(e)
		for _, c := range s.consumers {
			c.enqueue(e.Organisation)
		}
	}
}

// after returns the entries behind a position.
func (o *organisation) after(position int64) []storage.Entry {
	at, _ := slices.BinarySearchFunc(o.log, position+1, func(e storage.Entry, p int64) int { return cmp.Compare(e.Position, p) })
	return o.log[at:]
}

// newest returns up to limit entries from before a position, the newest first, and
// the cursor that continues with older ones. 0 is behind the last.
func (o *organisation) newest(before int64, limit int) (page []storage.Entry, next string) {
	older := o.log
	if before > 0 {
		older = o.log[:len(o.log)-len(o.after(before-1))]
	}
	first := max(0, len(older)-limit)
	for _, e := range slices.Backward(older[first:]) {
		page = append(page, copiedEntry(e))
	}
	if first > 0 {
		next = strconv.FormatInt(older[first].Position, 10)
	}
	return page, next
}

// Entries implements [storage.Audit].
func (s *Store) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	o := s.organisations[q.Organisation]
	if o == nil {
		o = &organisation{}
	}
	var seen int64
	if q.Cursor != "" {
		seen, err = strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil || seen < 0 || seen > o.last {
			return nil, "", storage.ErrNotFound
		}
	}
	if q.Newest {
		page, next := o.newest(seen, q.PageSize())
		return page, next, nil
	}
	rest := o.after(seen)
	var page []storage.Entry
	for _, e := range rest[:min(len(rest), q.PageSize())] {
		page = append(page, copiedEntry(e))
		seen = e.Position
	}
	return page, strconv.FormatInt(seen, 10), nil
}

func copiedEntry(e storage.Entry) storage.Entry {
	e.At = e.At.UTC().Truncate(time.Microsecond)
	e.Actor.Scopes = nilIfEmpty(e.Actor.Scopes)
	e.Before = nilIfEmpty(e.Before)
	e.After = nilIfEmpty(e.After)
	return e
}
