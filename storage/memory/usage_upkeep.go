package memory

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// PruneUsage implements [storage.Usage]. It looks at all there is.
func (s *Store) PruneUsage(ctx context.Context, cut storage.UsageCutoffs, limit int) (int, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	p := pruning{cut: cut, left: storage.BatchSize(limit)}
	all := p.left
	for id, i := range s.usage.instances {
		if i.heard.Before(cut.Instances) && p.take() {
			if !i.final {
				s.usage.gap = later(s.usage.gap, micro(cut.Now))
			}
			delete(s.usage.instances, id)
		}
	}
	for at, c := range s.usage.claims {
		if !c.until.After(cut.Now) && p.take() {
			delete(s.usage.claims, at)
		}
	}
	for _, o := range s.usage.organisations {
		p.organisation(o)
	}
	return all - p.left, nil
}

// pruning is one call's cut, and how many rows it may still remove.
type pruning struct {
	cut  storage.UsageCutoffs
	left int
}

func (p *pruning) take() bool {
	if p.left == 0 {
		return false
	}
	p.left--
	return true
}

func (p *pruning) organisation(o *usageOrganisation) {
	for _, of := range o.totals {
		p.key(of)
	}
	for id, of := range o.keys {
		p.key(of)
		if of.touched.Before(p.cut.Names) && p.take() {
			delete(o.keys, id)
		}
	}
	for name, seen := range o.names {
		if seen.Before(p.cut.Names) && p.take() {
			delete(o.names, name)
		}
	}
}

func (p *pruning) key(of *usageOfKey) {
	for at := range of.series {
		if p.old(at) && p.take() {
			delete(of.series, at)
		}
	}
	p.endpoints(of)
	for at, a := range of.addresses {
		if a.Last.Before(p.cut.Addresses) && p.take() {
			delete(of.addresses, at)
		}
	}
	for at := range of.refusals {
		if p.old(at.bucket) && p.take() {
			delete(of.refusals, at)
		}
	}
	if of.seen.Origin != "" && of.seen.BrowserAt.Before(p.cut.Addresses) && p.take() {
		of.seen.Origin = ""
	}
}

func (p *pruning) endpoints(of *usageOfKey) {
	for at, patterns := range of.endpoints {
		for pattern := range patterns {
			if p.old(at) && p.take() {
				delete(patterns, pattern)
			}
		}
		if len(patterns) == 0 {
			delete(of.endpoints, at)
		}
	}
}

func (p *pruning) old(at bucket) bool {
	before := map[storage.UsageStep]time.Time{
		storage.PerMinute: p.cut.Minutes, storage.PerHour: p.cut.Hours, storage.PerDay: p.cut.Days,
	}
	return storage.UsageTime(at.start).Before(before[at.step])
}

// EraseUsage implements [storage.Usage].
func (s *Store) EraseUsage(ctx context.Context, organisation string) error {
	unlock, err := s.writing(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s.usage.erase(organisation)
	return nil
}

func (u *usage) erase(organisation string) {
	delete(u.organisations, organisation)
	for at := range u.claims {
		if at[0] == organisation {
			delete(u.claims, at)
		}
	}
}

// ClaimUsage implements [storage.Usage].
func (s *Store) ClaimUsage(ctx context.Context, c storage.UsageClaim) (bool, error) {
	if err := c.Check(); err != nil {
		return false, err
	}
	unlock, err := s.writing(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	at := [2]string{c.Organisation, c.Task}
	held, ok := s.usage.claims[at]
	if ok && held.holder != c.Holder && held.until.After(c.Now) {
		return false, nil
	}
	if s.usage.claims == nil {
		s.usage.claims = make(map[[2]string]usageClaim)
	}
	s.usage.claims[at] = usageClaim{c.Holder, micro(c.Until)}
	return true, nil
}
