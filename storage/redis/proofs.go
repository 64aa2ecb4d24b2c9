package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Config says which Redis is shared.
type Config struct {
	// Client is required: a *Client, *ClusterClient or *Ring of go-redis with
	// ContextTimeoutEnabled, without which a call outlives its context by seconds.
	// Closing it is the caller's business.
	Client goredis.UniversalClient
	// Prefix stands before the keys, so that others can use the same Redis; empty
	// means "strikeplate".
	Prefix string
}

func (c *Config) settle() error {
	var heeds bool
	switch client := c.Client.(type) {
	case nil:
		return errors.New("storage/redis: Config.Client is missing")
	case *goredis.Client:
		heeds = client.Options().ContextTimeoutEnabled
	case *goredis.ClusterClient:
		heeds = client.Options().ContextTimeoutEnabled
	case *goredis.Ring:
		heeds = client.Options().ContextTimeoutEnabled
	default:
		return fmt.Errorf("storage/redis: Config.Client is a %T, which doesn't tell whether it heeds a context's deadline", client)
	}
	if !heeds {
		return errors.New("storage/redis: Config.Client needs ContextTimeoutEnabled: true, or calls outlive their context")
	}
	if c.Prefix == "" {
		c.Prefix = "strikeplate"
	}
	return nil
}

// Proofs is a keyauth.ProofStore. It is safe for concurrent use, has no goroutine,
// and needs no closing. Make one with [NewProofs].
type Proofs struct {
	client goredis.UniversalClient
	prefix string
}

// NewProofs checks c. It does not ask Redis for anything.
func NewProofs(c Config) (*Proofs, error) {
	if err := c.settle(); err != nil {
		return nil, err
	}
	return &Proofs{client: c.Client, prefix: c.Prefix + ":proof:"}, nil
}

// mostValue is more than keyauth ever stores. Whoever writes to Redis doesn't make
// instances read more than this.
const mostValue = 1 << 10

func (p *Proofs) key(name []byte) string {
	return p.prefix + base64.RawURLEncoding.EncodeToString(name)
}

// Get returns the value of a name, or nil without an error if there is none. Of a
// value that is longer than any proof only the beginning comes.
func (p *Proofs) Get(ctx context.Context, name []byte) ([]byte, error) {
	// GETRANGE doesn't tell an empty value from none, and neither proves anything.
	value, err := p.client.GetRange(ctx, p.key(name), 0, mostValue-1).Bytes()
	switch {
	case errors.Is(err, goredis.Nil) || err == nil && len(value) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("storage/redis: %w", err)
	}
	return value, nil
}

// Put keeps the value for at most ttl, which is rounded up to a millisecond.
func (p *Proofs) Put(ctx context.Context, name, value []byte, ttl time.Duration) error {
	if ttl <= 0 {
		return fmt.Errorf("storage/redis: a time to live of %v", ttl)
	}
	if err := p.client.Set(ctx, p.key(name), value, max(ttl, time.Millisecond)).Err(); err != nil {
		return fmt.Errorf("storage/redis: %w", err)
	}
	return nil
}
