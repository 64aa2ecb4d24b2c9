package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
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
		created, id, err := readCursor(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		at, _ := slices.BinarySearchFunc(o.keys, &storage.Key{Created: created, ID: id}, older)
		rest = o.keys[:at]
	}
	var page []storage.Key
	for _, k := range slices.Backward(rest) {
		if !k.Status(q.Now).In(q.Status) || q.Lineage != "" && k.Lineage != q.Lineage {
			continue
		}
		if len(page) == q.PageSize() {
			last := page[len(page)-1]
			return page, cursor(last.Created, last.ID), nil
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
	s.log(m.Audit)
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
		*t = micros(*t)
	}
	return k
}

func nilIfEmpty[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}
