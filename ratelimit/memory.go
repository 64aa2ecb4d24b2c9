package ratelimit

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// MemoryConfig bounds an engine in memory. The zero value is ready to use.
type MemoryConfig struct {
	// Keys is how many counters are kept at once; zero means 262,144. It bounds the
	// memory: see [NewFixedWindow], [NewSlidingLog] and [NewGCRA] for bytes.
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
	e := &memory[T]{table: newTable(r, c.Keys)}
	if _, err := rand.Read(e.secret[:]); err != nil {
		return nil, err
	}
	return &Memory{e}, nil
}

// memory counts by some rules in a table.
type memory[T any] struct {
	*table[T]
	secret [32]byte // so that nobody can aim at a shard
}

// Stats implements engine.
func (m *memory[T]) Stats() MemoryStats {
	return MemoryStats{Keys: int(m.cells.Load()), Max: int(m.max), Shared: m.shared.Load()}
}

// Check implements [Engine].
func (m *memory[T]) Check(p Policy) error {
	if err := p.Validate(); err != nil {
		return err
	}
	return m.rules.check(p)
}

// accept says whether a charge can be asked for at all.
func (m *memory[T]) accept(c *Charge) error {
	if err := m.Check(c.Policy); err != nil {
		return err
	}
	if c.Cost < 0 {
		return fmt.Errorf("%w: %s: %d", ErrCost, c.Policy.Name, c.Cost)
	}
	if most := m.rules.most(c.Policy); c.Cost > most {
		return fmt.Errorf("%w: %s: %d of at most %d", ErrTooCostly, c.Policy.Name, c.Cost, most)
	}
	return nil
}

// few is how many charges a request has, mostly; more are counted as well.
const few = 4

// Take implements [Engine].
func (m *memory[T]) Take(_ context.Context, charges []Charge, out []Decision) error {
	var digestRoom [few][DigestSize]byte
	digests := digestRoom[:0]
	for i := range charges {
		if err := m.accept(&charges[i]); err != nil {
			return err
		}
		digests = append(digests, charges[i].Digest(m.secret[:]))
	}
	if err := m.acceptTogether(charges, digests); err != nil {
		return err
	}
	var lockRoom [few]uint64
	locks := m.lock(digests, lockRoom[:0])
	defer m.unlock(locks)

	now := time.Now() // after the locks, so that a counter never sees time go back
	all := true
	for i := range charges {
		out[i] = m.look(&charges[i], digests[i], charges[i].Cost+earlier(charges, digests, i), now)
		all = all && out[i].Allowed
	}
	if !all {
		return nil
	}
	for i := range charges {
		if c := &charges[i]; c.Cost > 0 {
			s := &m.shards[m.shardOf(digests[i])]
			cell := m.obtain(s, string(digests[i][:]), c.Policy, now)
			out[i] = m.rules.take(cell, c.Policy, c.Cost, now)
		}
	}
	return nil
}

// earlier is what charges before i cost the same counter.
func earlier(charges []Charge, digests [][DigestSize]byte, i int) (cost int64) {
	for j := range i {
		if digests[j] == digests[i] {
			cost += charges[j].Cost
		}
	}
	return cost
}

func (m *memory[T]) acceptTogether(charges []Charge, digests [][DigestSize]byte) error {
	for i := range charges {
		p := charges[i].Policy
		if cost := charges[i].Cost + earlier(charges, digests, i); cost > m.rules.most(p) {
			return fmt.Errorf("%w: %s: %d together of at most %d", ErrTooCostly, p.Name, cost, m.rules.most(p))
		}
	}
	return nil
}

// look tells what a counter would answer, whether it exists or not.
func (m *memory[T]) look(c *Charge, digest [DigestSize]byte, cost int64, now time.Time) Decision {
	cell, _ := m.find(&m.shards[m.shardOf(digest)], string(digest[:]), c.Policy)
	if cell == nil {
		return Decision{Allowed: true, Limit: c.Policy.Limit, Remaining: m.rules.most(c.Policy)}
	}
	return m.rules.look(cell, c.Policy, cost, now)
}

// lock locks each shard once, in order: no two calls can wait for each other.
func (m *memory[T]) lock(digests [][DigestSize]byte, locks []uint64) []uint64 {
	for _, d := range digests {
		locks = append(locks, m.shardOf(d))
	}
	if len(locks) > 1 {
		slices.Sort(locks)
		locks = slices.Compact(locks)
	}
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

// Peek implements [Engine].
func (m *memory[T]) Peek(_ context.Context, c Charge) (Decision, error) {
	if err := m.accept(&c); err != nil {
		return Decision{}, err
	}
	digest := c.Digest(m.secret[:])
	s := &m.shards[m.shardOf(digest)]
	s.mu.Lock()
	defer s.mu.Unlock()
	d := m.look(&c, digest, c.Cost, time.Now())
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
	digest := c.Digest(m.secret[:])
	s := &m.shards[m.shardOf(digest)]
	s.mu.Lock()
	defer s.mu.Unlock()
	cell, ok := s.cells.Load(string(digest[:]))
	if !ok {
		return nil // over, or counted together with others, who may have spent it
	}
	now := time.Now()
	taken := c.Taken
	if taken.IsZero() {
		taken = now
	}
	m.rules.refund(cell, c.Policy, c.Cost, taken, now)
	return nil
}

// Reset implements [Engine].
func (m *memory[T]) Reset(_ context.Context, c Charge) error {
	if err := m.Check(c.Policy); err != nil {
		return err
	}
	digest := c.Digest(m.secret[:])
	s := &m.shards[m.shardOf(digest)]
	s.mu.Lock()
	defer s.mu.Unlock()
	m.drop(s, string(digest[:]))
	return nil
}
