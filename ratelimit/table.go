package ratelimit

import (
	"encoding/binary"
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
	mask   uint64
	shards []shard[T]
}

// rules are what differs among engines in memory. They are called with the
// cell's shard locked.
type rules[T any] interface {
	check(p Policy) error
	most(p Policy) int64 // what can be had at once of an unused policy
	fresh(p Policy) *T
	copy(p Policy, from *T, now time.Time) *T
	look(c *T, p Policy, cost int64, now time.Time) Decision // what can be had, and whether cost fits
	take(c *T, p Policy, cost int64, now time.Time) Decision // cost fits
	refund(c *T, p Policy, cost int64, taken, now time.Time)
	idle(c *T, now time.Time) bool // nothing is counted in it
	cells() cells[T]
}

// cells hold counters by digest. It is what ulule/limiter's cache offers.
type cells[T any] interface {
	Load(key string) (*T, bool)
	Store(key string, c *T)
	Delete(key string)
	Range(f func(key string, c *T))
}

type shard[T any] struct {
	mu     sync.Mutex
	cells  cells[T]
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
	t := &table[T]{rules: r, max: int64(keys), mask: uint64(n - 1), shards: make([]shard[T], n)}
	now := time.Now()
	for i := range t.shards {
		t.shards[i].cells, t.shards[i].swept = r.cells(), now
	}
	return t
}

func (t *table[T]) shardOf(digest [DigestSize]byte) uint64 {
	return binary.LittleEndian.Uint64(digest[:]) & t.mask
}

// find returns the cell in which a counter is, or would be, counted; nil if
// nothing is counted yet.
func (t *table[T]) find(s *shard[T], key string, p Policy) (c *T, own bool) {
	if c, ok := s.cells.Load(key); ok {
		return c, true
	}
	return s.common[p], false
}

// obtain returns a cell to count in. A counter that finds room after it may have
// been counted in the common cell begins as a copy of that: it may have spent all
// of it.
func (t *table[T]) obtain(s *shard[T], key string, p Policy, now time.Time) *T {
	c, own := t.find(s, key, p)
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
			s.common[p] = c
		}
		return c
	}
	if c == nil || t.rules.idle(c, now) {
		c = t.rules.fresh(p)
	} else {
		c = t.rules.copy(p, c, now)
	}
	s.cells.Store(key, c)
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
	s.cells.Range(func(key string, c *T) {
		if t.rules.idle(c, now) {
			s.cells.Delete(key)
			t.cells.Add(-1)
		}
	})
	for p, c := range s.common {
		if t.rules.idle(c, now) {
			delete(s.common, p)
		}
	}
}

// drop removes a cell, if there is one.
func (t *table[T]) drop(s *shard[T], key string) {
	if _, ok := s.cells.Load(key); ok {
		s.cells.Delete(key)
		t.cells.Add(-1)
	}
}

// A plainMap is cells in a map.
type plainMap[T any] map[string]*T

func (m plainMap[T]) Load(key string) (*T, bool) { c, ok := m[key]; return c, ok }
func (m plainMap[T]) Store(key string, c *T)     { m[key] = c }
func (m plainMap[T]) Delete(key string)          { delete(m, key) }
func (m plainMap[T]) Range(f func(key string, c *T)) {
	for key, c := range m {
		f(key, c)
	}
}
