package demo

import (
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/ratelimit/redis"
	proofs "github.com/strikeplate/strikeplate/storage/redis"
)

// Hashing are the parameters for the secrets of keys: the library's own, unless a
// test asks for cheap ones.
func (s *Site) Hashing() keyauth.Hashing {
	if s.InsecureCheapHashes {
		return keyauth.Hashing{MemoryKiB: 64, Passes: 1, InsecureCheap: true}
	}
	return keyauth.Hashing{}
}

// FixedWindow is an engine that counts in Redis where there is one, else in
// memory. Take one for each limiter, so that a flood of addresses takes no room
// from organisations.
func (s *Site) FixedWindow() (ratelimit.Engine, error) {
	if s.Redis == "" {
		return ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})
	}
	c, err := s.redis()
	if err != nil {
		return nil, err
	}
	return redis.NewFixedWindow(c)
}

// SlidingLog is FixedWindow's like whose windows slide.
func (s *Site) SlidingLog() (ratelimit.Engine, error) {
	if s.Redis == "" {
		return ratelimit.NewSlidingLog(ratelimit.MemoryConfig{})
	}
	c, err := s.redis()
	if err != nil {
		return nil, err
	}
	return redis.NewSlidingLog(c)
}

// Gate counts requests in flight, over all instances where there is Redis.
func (s *Site) Gate() (ratelimit.Gate, error) {
	if s.Redis == "" {
		return ratelimit.NewGate(), nil
	}
	c, err := s.redis()
	if err != nil {
		return nil, err
	}
	return redis.NewGate(redis.GateConfig{Config: c})
}

// Proofs are what instances tell each other of secrets that they proved, where
// there is Redis; nil where there is none.
func (s *Site) Proofs() (*keyauth.Shared, error) {
	if s.Redis == "" {
		return nil, nil //nolint:nilnil // as keyauth.Cache wants it
	}
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	store, err := proofs.NewProofs(proofs.Config{Client: client, Prefix: s.Name})
	if err != nil {
		return nil, err
	}
	return &keyauth.Shared{Store: store, Secret: s.Secret("proofs")}, nil
}

func (s *Site) redis() (redis.Config, error) {
	client, err := s.client()
	return redis.Config{Client: client, Secret: s.Secret("counters"), Prefix: s.Name}, err
}

func (s *Site) client() (*goredis.Client, error) {
	options, err := goredis.ParseURL(s.Redis)
	if err != nil {
		return nil, fmt.Errorf("-redis: %w", err)
	}
	options.ContextTimeoutEnabled = true
	client := goredis.NewClient(options)
	s.later(func() { _ = client.Close() })
	return client, nil
}
