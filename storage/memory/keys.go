package memory

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// KeyByLookup implements [storage.Keys].
func (s *Store) KeyByLookup(ctx context.Context, lookup string) (storage.Key, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return storage.Key{}, err
	}
	defer unlock()
	k := s.lookups[lookup]
	if k == nil {
		return storage.Key{}, storage.ErrNotFound
	}
	return copied(*k), nil
}

// Key implements [storage.Keys].
func (s *Store) Key(ctx context.Context, organisation, id string) (storage.Key, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return storage.Key{}, err
	}
	defer unlock()
	k := s.keys[id]
	if k == nil || k.Organisation != organisation {
		return storage.Key{}, storage.ErrNotFound
	}
	return copied(*k), nil
}

// ListKeys implements [storage.Keys].
func (s *Store) ListKeys(ctx context.Context, q storage.Query) ([]storage.Key, string, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	o := s.organisations[q.Organisation]
	if o == nil {
		o = &organisation{}
	}
	rest := o.keys
	if q.Cursor != "" {
		last, err := readCursor(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		at, _ := slices.BinarySearchFunc(o.keys, last, older)
		rest = o.keys[:at]
	}
	var page []storage.Key
	for _, k := range slices.Backward(rest) {
		if !k.Status(q.Now).In(q.Status) || q.Lineage != "" && k.Lineage != q.Lineage {
			continue
		}
		if len(page) == q.PageSize() {
			return page, cursor(page[len(page)-1]), nil
		}
		page = append(page, copied(*k))
	}
	return page, "", nil
}

// Commit implements [storage.Keys]. Watchers are called without any lock held,
// so they may read the store.
func (s *Store) Commit(ctx context.Context, m storage.Mutation) error {
	if err := m.Check(); err != nil {
		return err
	}
	defer s.writes.begin()()
	written, err := s.apply(ctx, m)
	if err != nil {
		return err
	}
	for _, k := range written {
		s.watchers.Changed(storage.KeyChanged, k.Organisation, k.ID, k.Version)
	}
	return nil
}

// apply judges all of m before it writes any of it.
func (s *Store) apply(ctx context.Context, m storage.Mutation) ([]*storage.Key, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	next := make(map[string]*storage.Key, len(m.Put)) // by ID
	taken := make(map[string]bool, len(m.Put))
	var written []*storage.Key
	for _, k := range m.Put {
		if err := s.judge(k); err != nil {
			return nil, err
		}
		if taken[k.Lookup] {
			return nil, storage.ErrConflict
		}
		taken[k.Lookup] = true
		k = copied(k)
		k.Version++
		next[k.ID] = &k
		written = append(written, &k)
	}
	if m.Limit != nil && s.active(m.Limit.Organisation, m.Now, next) > m.Limit.Max {
		return nil, storage.ErrLimit
	}
	for _, k := range written {
		s.put(k)
	}
	for _, e := range m.Audit {
		s.in(e.Organisation).append(e)
		for _, c := range s.consumers {
			c.enqueue(e.Organisation)
		}
	}
	return written, nil
}

// judge decides whether one record may be written, by what is stored.
func (s *Store) judge(k storage.Key) error {
	stored := s.keys[k.ID]
	if stored == nil && k.Version != 0 {
		return storage.ErrNotFound
	}
	if stored != nil {
		if err := k.Replaces(*stored); err != nil {
			return err
		}
	}
	if holder := s.lookups[k.Lookup]; holder != nil && holder.ID != k.ID {
		return storage.ErrConflict
	}
	return nil
}

// active counts the organisation's active keys as they would be after next.
func (s *Store) active(name string, now time.Time, next map[string]*storage.Key) int {
	n := 0
	count := func(k *storage.Key) {
		if k.Organisation == name && k.Status(now) == storage.Active {
			n++
		}
	}
	if o := s.organisations[name]; o != nil {
		for _, k := range o.keys {
			if next[k.ID] == nil {
				count(k)
			}
		}
	}
	for _, k := range next {
		count(k)
	}
	return n
}

// put writes one record to every index.
func (s *Store) put(k *storage.Key) {
	if stored := s.keys[k.ID]; stored != nil {
		delete(s.lookups, stored.Lookup)
	}
	s.keys[k.ID] = k
	s.lookups[k.Lookup] = k
	o := s.in(k.Organisation)
	at, found := slices.BinarySearchFunc(o.keys, k, older)
	if found {
		o.keys[at] = k
	} else {
		o.keys = slices.Insert(o.keys, at, k)
	}
}

// older orders keys by creation; both fields are permanent.
func older(a, b *storage.Key) int {
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
}

// cursor names the last key of a page, by what older compares.
func cursor(k storage.Key) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%s", k.Created.UnixMicro(), k.ID))
}

func readCursor(s string) (*storage.Key, error) {
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, storage.ErrNotFound
	}
	created, id, ok := strings.Cut(string(text), ".")
	micros, err := strconv.ParseInt(created, 10, 64)
	if !ok || err != nil {
		return nil, storage.ErrNotFound
	}
	return &storage.Key{Created: time.UnixMicro(micros).UTC(), ID: id}, nil
}

// copied returns k with its own slices and map, normalised as the contract says.
func copied(k storage.Key) storage.Key {
	k.Scopes = nilIfEmpty(k.Scopes)
	k.Allow = nilIfEmpty(k.Allow)
	k.Sealed = nilIfEmpty(k.Sealed)
	k.Metadata = maps.Clone(k.Metadata)
	if len(k.Metadata) == 0 {
		k.Metadata = nil
	}
	for _, t := range []*time.Time{&k.Created, &k.Regenerated, &k.Expires, &k.Revoked} {
		*t = t.UTC().Truncate(time.Microsecond)
	}
	return k
}

func nilIfEmpty[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}
