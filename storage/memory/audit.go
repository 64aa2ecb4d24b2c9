package memory

import (
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
	e.Position = o.dropped + int64(len(o.log)) + 1
	o.log = append(o.log, e)
	if excess := len(o.log) - keptEntries; excess >= keptEntries/10 {
		o.log = slices.Clone(o.log[excess:])
		o.dropped += int64(excess)
	}
}

// Entries implements [storage.Audit]. A cursor into entries that were dropped
// since is ErrNotFound.
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
	seen := o.dropped
	if q.Cursor != "" {
		seen, err = strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil || seen < o.dropped || seen > o.dropped+int64(len(o.log)) {
			return nil, "", storage.ErrNotFound
		}
	}
	rest := o.log[seen-o.dropped:]
	rest = rest[:min(len(rest), q.PageSize())]
	var page []storage.Entry
	for _, e := range rest {
		page = append(page, copiedEntry(e))
	}
	return page, strconv.FormatInt(seen+int64(len(page)), 10), nil
}

func copiedEntry(e storage.Entry) storage.Entry {
	e.At = e.At.UTC().Truncate(time.Microsecond)
	e.Actor.Scopes = nilIfEmpty(e.Actor.Scopes)
	e.Before = nilIfEmpty(e.Before)
	e.After = nilIfEmpty(e.After)
	return e
}
