package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Operator = (*Store)(nil)

// Organisations implements [storage.Operator].
func (s *Store) Organisations(ctx context.Context, after string, limit int) ([]string, error) {
	if !storage.ValidText(after) {
		return nil, errText
	}
	unlock, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var names []string
	for name, o := range s.organisations {
		if name > after && len(o.keys)+len(o.log) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return nilIfEmpty(names[:min(len(names), storage.BatchSize(limit))]), nil
}

// TrimAudit implements [storage.Operator]. It looks at every entry.
func (s *Store) TrimAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.sweep(ctx, before, limit,
		func(storage.Entry) bool { return true },
		func(o *organisation, gone map[int64]bool) {
			// A new array: the old one would keep what was removed.
			log := make([]storage.Entry, 0, len(o.log)-len(gone))
			for _, e := range o.log {
				if !gone[e.Position] {
					log = append(log, e)
				}
			}
			o.log = log
		})
}

// ForgetAddresses implements [storage.Operator]. It looks at every entry.
func (s *Store) ForgetAddresses(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.sweep(ctx, before, limit,
		func(e storage.Entry) bool { return e.Actor.Client.IsValid() },
		func(o *organisation, found map[int64]bool) {
			for i := range o.log {
				if found[o.log[i].Position] {
					o.log[i].Actor.Client = netip.Addr{}
				}
			}
		})
}

// sweep finds the oldest entries from before a moment that f is true for, and
// calls apply with the positions of each organisation's.
func (s *Store) sweep(ctx context.Context, before time.Time, limit int, f func(storage.Entry) bool,
	apply func(*organisation, map[int64]bool)) (int, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	type place struct {
		organisation string
		position     int64
		at           time.Time
	}
	var found []place
	before = before.Truncate(time.Microsecond)
	for name, o := range s.organisations {
		for _, e := range o.log {
			if e.At.Before(before) && f(e) {
				found = append(found, place{name, e.Position, e.At})
			}
		}
	}
	slices.SortFunc(found, func(a, b place) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.organisation, b.organisation), cmp.Compare(a.position, b.position))
	})
	found = found[:min(len(found), storage.BatchSize(limit))]
	positions := make(map[string]map[int64]bool)
	for _, p := range found {
		if positions[p.organisation] == nil {
			positions[p.organisation] = make(map[int64]bool)
		}
		positions[p.organisation][p.position] = true
	}
	for name, of := range positions {
		apply(s.organisations[name], of)
	}
	return len(found), nil
}

// EraseOrganisation implements [storage.Operator]. How many entries there have
// been stays.
func (s *Store) EraseOrganisation(ctx context.Context, organisation string) error {
	defer s.writes.begin()()
	gone, err := s.erase(ctx, organisation)
	if err != nil {
		return err
	}
	for _, k := range gone.keys {
		s.watchers.Changed(storage.KeyChanged, organisation, k.ID, 0)
	}
	for _, id := range gone.users {
		s.watchers.Changed(storage.UserChanged, organisation, id, 0)
	}
	for _, id := range gone.apps {
		s.watchers.Changed(storage.AppChanged, organisation, id, 0)
	}
	s.tell(gone.grants)
	s.watchers.Changed(storage.AccountChanged, organisation, organisation, 0)
	return nil
}

// erased is what an erasure removed that watchers know of. Apps include those that
// the organisation had blocked.
type erased struct {
	keys        []*storage.Key
	users, apps []string
	grants      []storage.Grant
}

func (s *Store) erase(ctx context.Context, name string) (gone erased, err error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return erased{}, err
	}
	defer unlock()
	delete(s.replays, name)
	if o := s.organisations[name]; o != nil {
		gone.keys = o.keys
		for _, k := range gone.keys {
			delete(s.keys, k.ID)
			delete(s.lookups, k.Lookup)
		}
		s.organisations[name] = &organisation{last: o.last}
	}
	s.usage.erase(name)
	delete(s.accounts, name)
	for id, u := range s.users {
		if u.Organisation == name {
			delete(s.users, id)
			gone.users = append(gone.users, id)
		}
	}
	for _, c := range s.consumers {
		delete(c.acknowledged, name)
	}
	gone.apps, gone.grants = s.eraseGrants(name)
	return gone, nil
}

// consumer is how far one is in each organisation's log. Its line holds the
// organisations in which it is behind, the next one to be served first; those
// that it has caught up with leave when their turn comes.
type consumer struct {
	acknowledged map[string]int64
	line         []string
	inLine       map[string]bool
}

// enqueue adds an organisation to the line.
func (c *consumer) enqueue(name string) {
	if !c.inLine[name] {
		c.inLine[name] = true
		c.line = append(c.line, name)
	}
}

var errConsumer = errors.New("memory: a consumer's name is empty, not UTF-8, or holds a NUL byte")

// consumer returns one, made on first use with every organisation in its line.
// The caller holds the lock for writing.
func (s *Store) consumer(name string) (*consumer, error) {
	if name == "" || !storage.ValidText(name) {
		return nil, errConsumer
	}
	if c := s.consumers[name]; c != nil {
		return c, nil
	}
	if len(s.consumers) == storage.MaxConsumers {
		return nil, fmt.Errorf("memory: there are %d consumers already", storage.MaxConsumers)
	}
	c := &consumer{acknowledged: make(map[string]int64), inLine: make(map[string]bool)}
	for name, o := range s.organisations {
		if len(o.log) > 0 {
			c.enqueue(name)
		}
	}
	s.consumers[name] = c
	return c, nil
}

// Undelivered implements [storage.Operator].
func (s *Store) Undelivered(ctx context.Context, consumer string, limit int) ([]storage.Entry, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, err := s.consumer(consumer)
	if err != nil {
		return nil, err
	}
	limit = storage.BatchSize(limit)
	var served []string
	var waiting []int64
	for len(c.line) > 0 && len(served) < limit {
		name := c.line[0]
		c.line = c.line[1:]
		if n := len(s.behind(c, name)); n > 0 {
			served = append(served, name)
			waiting = append(waiting, int64(n))
		} else {
			delete(c.inLine, name)
		}
	}
	var page []storage.Entry
	for i, share := range storage.Shares(waiting, limit) {
		for _, e := range s.behind(c, served[i])[:share] {
			page = append(page, copiedEntry(e))
		}
	}
	c.line = append(c.line, served...)
	return page, nil
}

// behind returns the entries that the consumer has not acknowledged.
func (s *Store) behind(c *consumer, name string) []storage.Entry {
	o := s.organisations[name]
	if o == nil {
		return nil
	}
	return o.after(c.acknowledged[name])
}

// Acknowledge implements [storage.Operator].
func (s *Store) Acknowledge(ctx context.Context, consumer, organisation string, position int64) error {
	unlock, err := s.writing(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := s.consumer(consumer)
	if err != nil {
		return err
	}
	if o := s.organisations[organisation]; o != nil && position > c.acknowledged[organisation] {
		c.acknowledged[organisation] = min(position, o.last)
	}
	return nil
}
