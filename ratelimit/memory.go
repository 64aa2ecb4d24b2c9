package ratelimit

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"
)

// MemoryConfig bounds an engine in memory. The zero value is ready to use.
type MemoryConfig struct {
	// Keys is how many counters are kept at once; zero means 262,144, which are 40 MB
	// of fixed windows, and 65,536 for a sliding log. It bounds the memory: see
	// [NewFixedWindow], [NewSlidingLog] and [NewGCRA] for the bytes of each.
	//
	// A counter is kept while anything is counted in it, and never evicted
	// before: evicting a spent counter grants a fresh quota, and whoever can make
	// up keys could have that done. When all are in use, keys that are new are
	// counted together, in as many shared counters as there are shards (256, and
	// fewer below 16,384 keys): no caller gets more than its limit, but strangers
	// share one until others' windows end. Callers that are counted already don't
	// notice. What is given back to a shared counter is lost. Stats tells when it
	// happens.
	//
	// Give the limiter that counts addresses an engine of its own, so that a
	// flood of addresses can't take the room of organisations.
	Keys int
}

const defaultKeys = 1 << 18

// MemoryStats are figures of an engine in memory.
type MemoryStats struct {
	// Keys is how many counters are kept, of at most Max.
	Keys, Max int
	// Shared is how many charges were counted in a shared counter because there
	// was no room, since the start. While it grows, the engine is full.
	Shared uint64
}

// Memory is an [Engine] in the memory of one process. It has no goroutine and
// needs no closing; counters that are over are dropped as new ones come.
//
// Take is exact: it locks the counters of all of its charges, looks at all of
// them, and then consumes all or none. Its windows run on the process's clock.
type Memory struct {
	engine
}

type engine interface {
	Engine
	Stats() MemoryStats
}

func newMemory[T any](r rules[T], c MemoryConfig, keys int) (*Memory, error) {
	if c.Keys < 0 {
		return nil, fmt.Errorf("ratelimit: MemoryConfig.Keys is negative: %d", c.Keys)
	}
	if c.Keys == 0 {
		c.Keys = keys
	}
	return &Memory{&memory[T]{newTable(r, c.Keys)}}, nil
}

// memory counts by some rules in a table.
type memory[T any] struct {
	*table[T]
}

// Stats implements engine.
func (m *memory[T]) Stats() MemoryStats {
	return MemoryStats{Keys: int(m.cells.Load()), Max: int(m.max), Shared: m.shared.Load()}
}

// Check implements [Engine].
func (m *memory[T]) Check(p Policy) error { return m.check(&p) }

func (m *memory[T]) check(p *Policy) error {
	if !p.valid() {
		return p.Validate()
	}
	return m.rules.check(p)
}

// accept says whether a charge can be asked for at all.
func (m *memory[T]) accept(c *Charge) error {
	if err := m.check(&c.Policy); err != nil {
		return err
	}
	if c.Cost < 0 {
		return fmt.Errorf("%w: %s: %d", ErrCost, c.Policy.Name, c.Cost)
	}
	if most := m.rules.most(&c.Policy); c.Cost > most {
		return tooCostly(&c.Policy, c.Cost, most)
	}
	return nil
}

func tooCostly(p *Policy, cost, most int64) error {
	return fmt.Errorf("%w: %s: %d of at most %d", ErrTooCostly, p.Name, cost, most)
}

// Take implements [Engine].
func (m *memory[T]) Take(_ context.Context, charges []Charge, out []Decision) error {
	for i := range charges {
		if err := m.accept(&charges[i]); err != nil {
			return err
		}
	}
	switch len(charges) {
	case 0:
		return nil
	case 1:
		out[0] = m.takeOne(&charges[0])
		return nil
	default:
		return m.takeAll(charges, out)
	}
}

func (m *memory[T]) takeOne(c *Charge) Decision {
	var name counterName
	name.set(c)
	s := &m.shards[m.shardOf(name.bytes())]
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now() // after the lock, so that a counter never sees time go back
	if c.Cost == 0 {
		return m.look(s, &name, &c.Policy, 0, now)
	}
	return m.rules.take(m.obtain(s, name.bytes(), &c.Policy, now), &c.Policy, c.Cost, now)
}

// A counted is a charge with its counter's name and place.
type counted struct {
	*Charge
	name  counterName
	shard uint64
	cost  int64 // with what charges before it cost the same counter
}

func (m *memory[T]) takeAll(charges []Charge, out []Decision) error {
	all := make([]counted, len(charges))
	for i := range all {
		c := &all[i]
		c.Charge, c.cost = &charges[i], charges[i].Cost
		c.name.set(c.Charge)
		c.shard = m.shardOf(c.name.bytes())
		for j := range i {
			if bytes.Equal(all[j].name.bytes(), c.name.bytes()) {
				c.cost += all[j].Cost
			}
		}
		if most := m.rules.most(&c.Policy); c.cost > most {
			return tooCostly(&c.Policy, c.cost, most)
		}
	}
	defer m.unlock(m.lock(all))
	now := time.Now()
	fits := true
	for i := range all {
		c := &all[i]
		out[i] = m.look(&m.shards[c.shard], &c.name, &c.Policy, c.cost, now)
		fits = fits && out[i].Allowed
	}
	for i := range all {
		if c := &all[i]; fits && c.Cost > 0 {
			cell := m.obtain(&m.shards[c.shard], c.name.bytes(), &c.Policy, now)
			out[i] = m.rules.take(cell, &c.Policy, c.Cost, now)
		}
	}
	return nil
}

// look tells what a counter would answer, whether it exists or not.
func (m *memory[T]) look(s *shard[T], name *counterName, p *Policy, cost int64, now time.Time) Decision {
	cell, _ := m.find(s, name.bytes(), p)
	if cell == nil {
		return Decision{Allowed: true, Limit: p.Limit, Remaining: m.rules.most(p)}
	}
	return m.rules.look(cell, p, cost, now)
}

// lock locks each shard once, in order: no two calls can wait for each other.
func (m *memory[T]) lock(all []counted) []uint64 {
	locks := make([]uint64, 0, len(all))
	for i := range all {
		locks = append(locks, all[i].shard)
	}
	slices.Sort(locks)
	locks = slices.Compact(locks)
	for _, i := range locks {
		m.shards[i].mu.Lock()
	}
	return locks
}

func (m *memory[T]) unlock(locks []uint64) {
	for _, i := range locks {
		m.shards[i].mu.Unlock()
	}
}

// at calls f with the shard of c's counter, locked.
func (m *memory[T]) at(c *Charge, f func(s *shard[T], name *counterName)) {
	var name counterName
	name.set(c)
	s := &m.shards[m.shardOf(name.bytes())]
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s, &name)
}

// Peek implements [Engine].
func (m *memory[T]) Peek(_ context.Context, c Charge) (d Decision, err error) {
	if err := m.accept(&c); err != nil {
		return Decision{}, err
	}
	m.at(&c, func(s *shard[T], name *counterName) {
		d = m.look(s, name, &c.Policy, c.Cost, time.Now())
	})
	if d.Allowed {
		d.Remaining -= c.Cost
	}
	return d, nil
}

// Refund implements [Engine].
func (m *memory[T]) Refund(_ context.Context, c Charge) error {
	if err := m.accept(&c); err != nil || c.Cost == 0 {
		return err
	}
	// Not through at, which costs two allocations: every request that a limit by
	// address let through comes by here.
	var name counterName
	name.set(&c)
	s := &m.shards[m.shardOf(name.bytes())]
	s.mu.Lock()
	defer s.mu.Unlock()
	cell, ok := s.cells[string(name.bytes())]
	if !ok {
		return nil // over, or counted together with others, who may have spent it
	}
	now := time.Now()
	taken := c.Taken
	if taken.IsZero() {
		taken = now
	}
	m.rules.refund(cell, &c.Policy, c.Cost, taken, now)
	return nil
}

// Reset implements [Engine].
func (m *memory[T]) Reset(_ context.Context, c Charge) error {
	if err := m.check(&c.Policy); err != nil {
		return err
	}
	m.at(&c, func(s *shard[T], name *counterName) { m.drop(s, name.bytes()) })
	return nil
}
