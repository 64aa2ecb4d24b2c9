package ratelimit

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strikeplate/strikeplate"
)

// Override replaces a plan's policies for an organisation, a key or a route: a
// custom limit, or an expected spike. What it allows is a quota of its own, apart
// from the plan's; a key's override counts that key (its lineage) alone, a
// route's that route.
type Override struct {
	// Organisation it is for; empty means all, and needs a Route.
	Organisation string
	// Environment it is for; empty means live and test, counted apart.
	Environment strikeplate.Environment
	// Lineage is the key, together with those that it was rotated from, or the OAuth grant; it needs
	// the Organisation. Empty means all.
	Lineage string
	// Route is a pattern as [http.ServeMux] takes it, such as
	// "POST /v1/meetings/{id}/summary"; empty means all.
	Route string
	// Policies replace the plan's; at least one.
	Policies []Policy
	// Reason is why; it is required. It is for people and shown to no client.
	Reason string
	// Until is when it ends; zero means never.
	Until time.Time
}

// place is what an override is for; there is one at each.
type place struct {
	organisation, lineage string
	environment           strikeplate.Environment
}

func (o *Override) place() place { return place{o.Organisation, o.Lineage, o.Environment} }

func (o *Override) ended(now time.Time) bool { return !o.Until.IsZero() && !now.Before(o.Until) }

// Overrides finds the override that binds a request by p, if there is one. It is
// asked with every request, so it has to answer from memory, and is safe for
// concurrent use. r is nil if there is no request in particular. Callers don't
// write to what it returns.
type Overrides interface {
	Override(r *http.Request, p *strikeplate.Principal) (Override, bool)
}

// OverrideTable is [Overrides] in memory, for a service to fill at its start and
// whenever an administrator changes one. It is safe for concurrent use.
//
// Of several that match, the one that says more about the caller binds: one for
// the key before one for the organisation, before one for all; of those, one for
// the route; of those, one for the environment. At most 100,000 are
// kept, and those that have ended make room for others.
type OverrideTable struct {
	engine Engine
	now    func() time.Time
	n      atomic.Int64 // also tells readers of an empty table that it is
	mu     sync.RWMutex
	index  map[place]*overridden
}

const maxOverrides = 100_000

// ErrOverrides means that an [OverrideTable] is full.
var ErrOverrides = errors.New("ratelimit: too many overrides")

// overridden is what is overridden at one place. It is never written after it
// was made.
type overridden struct {
	routes map[string]Override // "" for all
	mux    *http.ServeMux      // knows the other routes; nil if there is none
}

// NewOverrideTable returns an empty table. It refuses policies that engine can't
// honour; now tells which overrides have ended, and nil means [time.Now].
func NewOverrideTable(engine Engine, now func() time.Time) (*OverrideTable, error) {
	if engine == nil {
		return nil, errors.New("ratelimit: NewOverrideTable needs the engine that is to honour the policies")
	}
	if now == nil {
		now = time.Now
	}
	return &OverrideTable{engine: engine, now: now, index: map[place]*overridden{}}, nil
}

// Put adds an override, or replaces the one for the same organisation,
// environment, key and route. The error says what is wrong with it, wrapping [ErrPolicy]
// if that is a policy, or wraps [ErrOverrides].
func (t *OverrideTable) Put(o Override) error {
	if err := t.check(&o); err != nil {
		return err
	}
	o.Policies = slices.Clone(o.Policies)
	t.mu.Lock()
	defer t.mu.Unlock()
	routes := map[string]Override{}
	if there := t.index[o.place()]; there != nil {
		routes = maps.Clone(there.routes)
	}
	before := len(routes)
	routes[o.Route] = o
	if len(routes) > before && t.n.Load() >= maxOverrides && !t.dropEnded() {
		return fmt.Errorf("%w: %d", ErrOverrides, maxOverrides)
	}
	made, err := newOverridden(routes)
	if err != nil {
		return err
	}
	t.put(o.place(), made)
	return nil
}

// Remove ends the override for o's organisation, environment, key and route, and
// reports whether there was one.
func (t *OverrideTable) Remove(o Override) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.drop(o.place(), func(route string, _ Override) bool { return route == o.Route })
}

// put replaces what is at a place, nil for nothing.
func (t *OverrideTable) put(at place, made *overridden) {
	if there := t.index[at]; there != nil {
		t.n.Add(-int64(len(there.routes)))
	}
	if made == nil || len(made.routes) == 0 {
		delete(t.index, at)
		return
	}
	t.index[at] = made
	t.n.Add(int64(len(made.routes)))
}

// drop removes those at a place that are meant, and reports whether there were any.
func (t *OverrideTable) drop(at place, meant func(string, Override) bool) bool {
	there := t.index[at]
	if there == nil {
		return false
	}
	routes := maps.Clone(there.routes)
	maps.DeleteFunc(routes, meant)
	if len(routes) == len(there.routes) {
		return false
	}
	rest, _ := newOverridden(routes) // they were together before
	t.put(at, rest)
	return true
}

// dropEnded makes room, and reports whether there is some.
func (t *OverrideTable) dropEnded() bool {
	now := t.now()
	for at := range t.index {
		t.drop(at, func(_ string, o Override) bool { return o.ended(now) })
	}
	return t.n.Load() < maxOverrides
}

// List returns the overrides in force, by organisation, key, route and environment.
func (t *OverrideTable) List() []Override {
	var all []Override
	now := t.now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, there := range t.index {
		for _, o := range there.routes {
			if !o.ended(now) {
				o.Policies = slices.Clone(o.Policies)
				all = append(all, o)
			}
		}
	}
	slices.SortFunc(all, func(a, b Override) int {
		return cmp.Or(cmp.Compare(a.Organisation, b.Organisation), cmp.Compare(a.Lineage, b.Lineage),
			cmp.Compare(a.Route, b.Route), cmp.Compare(a.Environment, b.Environment))
	})
	return all
}

// Override implements [Overrides].
func (t *OverrideTable) Override(r *http.Request, p *strikeplate.Principal) (Override, bool) {
	if p == nil || t.n.Load() == 0 {
		return Override{}, false
	}
	now := t.now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, who := range [...]place{
		{organisation: p.Organisation, lineage: p.Lineage}, {organisation: p.Organisation}, {},
	} {
		if o, ok := at(t.index, who, p.Environment, r, now); ok {
			return o, true
		}
	}
	return Override{}, false
}

// at looks at one place, with the environment and without.
func at(index map[place]*overridden, who place, env strikeplate.Environment, r *http.Request, now time.Time) (Override, bool) {
	sets := [2]*overridden{nil, index[who]}
	if env != "" {
		who.environment = env
		sets[0] = index[who]
	}
	for _, set := range sets {
		if o, ok := set.route(r); ok && !o.ended(now) {
			return o, true
		}
	}
	for _, set := range sets {
		if o, ok := set.all(); ok && !o.ended(now) {
			return o, true
		}
	}
	return Override{}, false
}

func (s *overridden) route(r *http.Request) (Override, bool) {
	if s == nil || s.mux == nil || r == nil {
		return Override{}, false
	}
	_, pattern := s.mux.Handler(r)
	if pattern == "" {
		return Override{}, false
	}
	o, ok := s.routes[pattern]
	return o, ok
}

func (s *overridden) all() (Override, bool) {
	if s == nil {
		return Override{}, false
	}
	o, ok := s.routes[""]
	return o, ok
}

func (t *OverrideTable) check(o *Override) error {
	switch {
	case o.Reason == "":
		return errors.New("ratelimit: Override.Reason is missing")
	case o.Organisation == "" && o.Lineage != "":
		return errors.New("ratelimit: Override.Lineage needs the Organisation")
	case o.Organisation == "" && o.Route == "":
		return errors.New("ratelimit: Override of no organisation and no route would replace every plan")
	case o.ended(t.now()):
		return fmt.Errorf("ratelimit: Override.Until %v is over", o.Until)
	}
	if err := checkPolicies(o.Policies); err != nil {
		return err
	}
	for _, p := range o.Policies {
		if err := t.engine.Check(p); err != nil {
			return err
		}
	}
	return nil
}

func newOverridden(routes map[string]Override) (*overridden, error) {
	made := &overridden{routes: routes}
	patterns := slices.Sorted(maps.Keys(routes))
	patterns = slices.DeleteFunc(patterns, func(p string) bool { return p == "" })
	if len(patterns) == 0 {
		return made, nil
	}
	mux, err := newMux(patterns)
	made.mux = mux
	return made, err
}
