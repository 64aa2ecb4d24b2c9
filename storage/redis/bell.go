package redis

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Bell is a postgres.Bell: it carries the news that something changed, and not a
// word of what. It is safe for concurrent use, and needs no closing. Make one with
// [NewBell].
type Bell struct {
	client  goredis.UniversalClient
	channel string
}

// NewBell checks c. It does not ask Redis for anything.
func NewBell(c Config) (*Bell, error) {
	if err := c.settle(); err != nil {
		return nil, err
	}
	return &Bell{client: c.Client, channel: c.Prefix + ":bell"}, nil
}

// Ring tells whoever hears the bell that something changed.
func (b *Bell) Ring(ctx context.Context) error {
	if err := b.client.Publish(ctx, b.channel, "").Err(); err != nil {
		return fmt.Errorf("storage/redis: %w", err)
	}
	return nil
}

// Hear calls heard whenever somebody rang, and when it begins to listen anew: what
// was rung before wasn't heard. It connects again by itself while Redis is down, and
// returns when ctx ends, or if the client was closed.
func (b *Bell) Hear(ctx context.Context, heard func()) error {
	subscribed := b.client.Subscribe(ctx, b.channel)
	defer func() { _ = subscribed.Close() }()
	// What a message says is not looked at: whoever reaches Redis can have written it.
	messages := subscribed.ChannelWithSubscriptions(goredis.WithChannelSendTimeout(time.Second))
	for {
		select {
		case _, ok := <-messages:
			if !ok {
				return fmt.Errorf("storage/redis: %w", goredis.ErrClosed)
			}
			heard()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
