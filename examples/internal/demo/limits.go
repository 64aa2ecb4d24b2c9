package demo

import (
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/ratelimit/redis"
)

// FixedWindow is an engine that counts in Redis where there is one, else in
// memory. Take one for each limiter, so that a flood of addresses takes no room
// from organisations.
func (s *Site) FixedWindow() (ratelimit.Engine, error) {
	if s.Redis == "" {
		return ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})
	}
	options, err := goredis.ParseURL(s.Redis)
	if err != nil {
		return nil, fmt.Errorf("-redis: %w", err)
	}
	options.ContextTimeoutEnabled = true
	client := goredis.NewClient(options)
	s.later(func() { _ = client.Close() })
	return redis.NewFixedWindow(redis.Config{Client: client, Secret: s.Secret("counters"), Prefix: s.Name})
}
