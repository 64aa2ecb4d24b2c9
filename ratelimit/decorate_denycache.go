package ratelimit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// DenyCacheConfig says how long refusals are remembered.
type DenyCacheConfig struct {
	// Engine is who decides. It is required.
	Engine Engine
	// For is how long a refusal is repeated without asking; at most, and if zero,
	// 100 ms. It is never repeated for longer than its own RetryAfter.
	For time.Duration
	// Entries is how many refusals are remembered at once; zero means 16,384, which
	// is some 4 MB. When there is no room, the engine is asked.
	Entries int
}

const (
	longestDenial  = 100 * time.Millisecond
	defaultDenials = 1 << 14
	denialShards   = 16
)

// NewDenyCache returns an engine that repeats a refusal to the same request for a
// moment, instead of asking again: who floods a limit asks a shared engine ten
// times a second, and not with each request. The same request is one with the same
// charges, costs included. What comes free meanwhile, by a refund or from another
// instance, is noticed when the moment is over; a Reset at once.
func NewDenyCache(c DenyCacheConfig) (*DenyCache, error) {
	switch {
	case c.Engine == nil:
		return nil, errors.New("ratelimit: DenyCacheConfig.Engine is missing")
	case c.For < 0 || c.For > longestDenial:
		return nil, fmt.Errorf("ratelimit: DenyCacheConfig.For is %v, not within 0 and %v", c.For, longestDenial)
	case c.Entries < 0:
		return nil, fmt.Errorf("ratelimit: DenyCacheConfig.Entries is negative: %d", c.Entries)
	}
	if c.For == 0 {
		c.For = longestDenial
	}
	if c.Entries == 0 {
		c.Entries = defaultDenials
	}
	d := &DenyCache{decorated: c.Engine, most: c.For, perShard: (c.Entries + denialShards - 1) / denialShards}
	for i := range d.shards {
		d.shards[i].denials = map[denialKey]denial{}
	}
	if _, err := rand.Read(d.secret[:]); err != nil {
		return nil, err
	}
	return d, nil
}

// DenyCache is an [Engine] that remembers refusals. It is safe for concurrent use,
// and has no goroutine.
type DenyCache struct {
	decorated
	most     time.Duration
	perShard int
	secret   [32]byte
	repeated atomic.Uint64
	shards   [denialShards]denialShard
}

type denialShard struct {
	mu      sync.Mutex
	denials map[denialKey]denial
}

type denialKey struct {
	digest [DigestSize]byte // of all charges
	cost   int64            // of a single one
}

type denial struct {
	at, until time.Time
	decisions []Decision
}

// Repeated is how many requests were refused without asking, since the start.
func (d *DenyCache) Repeated() uint64 { return d.repeated.Load() }

// Take implements [Engine].
func (d *DenyCache) Take(ctx context.Context, charges []Charge, out []Decision) error {
	if len(charges) == 0 {
		return d.decorated.Take(ctx, charges, out)
	}
	key := d.key(charges)
	shard := &d.shards[key.digest[0]%denialShards]
	if shard.repeat(key, out) {
		d.repeated.Add(1)
		return nil
	}
	if err := d.decorated.Take(ctx, charges, out); err != nil {
		return err
	}
	if refused := refusedBy(out); refused >= 0 {
		shard.remember(key, out, min(out[refused].RetryAfter, d.most), d.perShard)
	}
	return nil
}

func (d *DenyCache) key(charges []Charge) denialKey {
	if len(charges) == 1 {
		return denialKey{charges[0].Digest(d.secret[:]), charges[0].Cost}
	}
	var room [usual * (DigestSize + 8)]byte
	b := room[:0]
	for i := range charges {
		digest := charges[i].Digest(d.secret[:])
		b = append(b, digest[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(charges[i].Cost))
	}
	sum := sha256.Sum256(b)
	return denialKey{[DigestSize]byte(sum[:DigestSize]), -1}
}

// repeat answers as the engine did, less the time that has gone by.
func (s *denialShard) repeat(key denialKey, out []Decision) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	denial, ok := s.denials[key]
	if !ok {
		return false
	}
	now := time.Now()
	if !now.Before(denial.until) {
		delete(s.denials, key)
		return false
	}
	copy(out, denial.decisions)
	for i := range out {
		out[i].RetryAfter = max(0, out[i].RetryAfter-now.Sub(denial.at))
		out[i].ResetAfter = max(0, out[i].ResetAfter-now.Sub(denial.at))
	}
	return true
}

func (s *denialShard) remember(key denialKey, decisions []Decision, most time.Duration, room int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.denials) >= room {
		for k, denial := range s.denials {
			if !now.Before(denial.until) {
				delete(s.denials, k)
			}
		}
	}
	if len(s.denials) < room {
		s.denials[key] = denial{now, now.Add(most), append([]Decision(nil), decisions...)}
	}
}

// Reset implements [Engine]. It forgets all refusals: whose they are isn't known.
func (d *DenyCache) Reset(ctx context.Context, c Charge) error {
	err := d.decorated.Reset(ctx, c)
	for i := range d.shards {
		d.shards[i].mu.Lock()
		clear(d.shards[i].denials)
		d.shards[i].mu.Unlock()
	}
	return err
}
