package ratelimit

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// A table is the bounded memory of an engine: a cell for each counter, in
// shards with a lock each. A cell leaves when nothing is counted in it any more,
// and never before: to evict a spent counter would be to grant a fresh quota, and
// a stranger who can make up keys could have it done at will. When there is no
// room, counters that are new share one cell per shard and policy.
type table[T any] struct {
	rules  rules[T]
	max    int64
	cells  atomic.Int64
	shared atomic.Uint64 // charges counted in shared cells
	seed   maphash.Seed  // of this table alone, so that nobody can aim at a shard
	mask   uint64
	shards []shard[T]
}

// rules are what differs among engines in memory. They are called with the
// cell's shard locked.
type rules[T any] interface {
	check(p *Policy) error
	most(p *Policy) int64 // what can be had at once of an unused policy
	fresh(p *Policy) *T
	copy(p *Policy, from *T, now time.Time) *T
	look(c *T, p *Policy, cost int64, now time.Time) Decision // what can be had, and whether cost fits
	take(c *T, p *Policy, cost int64, now time.Time) Decision // look, and consume cost if it fits
	refund(c *T, p *Policy, cost int64, taken, now time.Time)
	idle(c *T, now time.Time) bool // nothing is counted in it
}

type shard[T any] struct {
	mu     sync.Mutex
	cells  map[string]*T
	common map[Policy]*T // shared by the counters for which there was no room
	swept  time.Time
	_      [64]byte // keeps neighbours' locks off this one's cache line
}

const (
	maxShards     = 256
	cellsPerShard = 64               // fewer keys have fewer shards
	sweepFull     = time.Second      // how often a shard without room looks for cells to drop
	sweepIdle     = 30 * time.Second // and one with room
)

func newTable[T any](r rules[T], keys int) *table[T] {
	n := 1
	for n < maxShards && n*cellsPerShard < keys {
		n *= 2
	}
	t := &table[T]{rules: r, max: int64(keys), seed: maphash.MakeSeed(), mask: uint64(n - 1), shards: make([]shard[T], n)}
	now := time.Now()
	for i := range t.shards {
		t.shards[i].cells, t.shards[i].swept = map[string]*T{}, now
	}
	return t
}

func (t *table[T]) shardOf(name []byte) uint64 { return maphash.Bytes(t.seed, name) & t.mask }

// find returns the cell in which a counter is, or would be, counted; nil if
// nothing is counted yet.
func (t *table[T]) find(s *shard[T], name []byte, p *Policy) (c *T, own bool) {
	if c, ok := s.cells[string(name)]; ok {
		return c, true
	}
	return s.common[*p], false
}

// obtain returns a cell to count in. A counter that finds room after it may have
// been counted in the common cell begins as a copy of that: it may have spent all
// of it.
func (t *table[T]) obtain(s *shard[T], name []byte, p *Policy, now time.Time) *T {
	c, own := t.find(s, name, p)
	if own {
		return c
	}
	if !t.room(s, now) {
		t.shared.Add(1)
		if c == nil {
			c = t.rules.fresh(p)
			if s.common == nil {
				s.common = map[Policy]*T{}
			}
			s.common[*p] = c
		}
		return c
	}
	if c == nil || t.rules.idle(c, now) {
		c = t.rules.fresh(p)
	} else {
		c = t.rules.copy(p, c, now)
	}
	s.cells[string(name)] = c
	return c
}

// room reserves a place for one more cell. Sweeping is paid for by new counters
// alone, and a shard does it at most once a second.
func (t *table[T]) room(s *shard[T], now time.Time) bool {
	since := now.Sub(s.swept)
	if since >= sweepIdle || since >= sweepFull && t.cells.Load() >= t.max {
		t.sweep(s, now)
	}
	if t.cells.Add(1) <= t.max {
		return true
	}
	t.cells.Add(-1)
	return false
}

func (t *table[T]) sweep(s *shard[T], now time.Time) {
	s.swept = now
	for name, c := range s.cells {
		if t.rules.idle(c, now) {
			delete(s.cells, name)
			t.cells.Add(-1)
		}
	}
	for p, c := range s.common {
		if t.rules.idle(c, now) {
			delete(s.common, p)
		}
	}
}

// drop removes a cell, if there is one.
func (t *table[T]) drop(s *shard[T], name []byte) {
	if _, ok := s.cells[string(name)]; ok {
		delete(s.cells, string(name))
		t.cells.Add(-1)
	}
}
