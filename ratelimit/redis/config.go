package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/ratelimit"
)

// Config says which Redis counts, and under which keys.
type Config struct {
	// Client is required: a *Client, *ClusterClient or *Ring of go-redis with
	// ContextTimeoutEnabled, without which a call outlives its context by seconds.
	// Closing it is the caller's business.
	Client goredis.UniversalClient
	// Secret makes the keys in Redis: at least 16 random bytes from your secrets
	// manager, the same on every instance. Another secret counts from nothing.
	Secret []byte
	// InsecureNoSecret allows an empty Secret. Whoever reads Redis finds out which
	// addresses and organisations are counted by trying.
	InsecureNoSecret bool
	// Prefix stands before the keys, so that others can use the same Redis; empty
	// means "strikeplate". Keys of [NewGCRA] begin with "rate:" before it.
	Prefix string
	// Timeout bounds every call, beside its context; zero means 100 ms.
	Timeout time.Duration
}

const (
	defaultPrefix  = "strikeplate"
	defaultTimeout = 100 * time.Millisecond
	minSecret      = 16
)

// A server is where counters are, and how to ask.
type server struct {
	client  goredis.UniversalClient
	secret  []byte
	prefix  string
	timeout time.Duration
}

func newServer(c Config, kind string) (*server, error) {
	if err := checkClient(c.Client); err != nil {
		return nil, err
	}
	switch {
	case len(c.Secret) == 0 && !c.InsecureNoSecret:
		return nil, errors.New("ratelimit/redis: Config.Secret is missing")
	case len(c.Secret) != 0 && len(c.Secret) < minSecret:
		return nil, fmt.Errorf("ratelimit/redis: Config.Secret has %d bytes, and needs %d", len(c.Secret), minSecret)
	case c.Timeout < 0:
		return nil, fmt.Errorf("ratelimit/redis: Config.Timeout is negative: %v", c.Timeout)
	}
	s := &server{client: c.Client, secret: append([]byte(nil), c.Secret...), prefix: c.Prefix, timeout: c.Timeout}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	s.prefix += ":" + kind
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	return s, nil
}

func checkClient(client goredis.UniversalClient) error {
	var heeds bool
	switch c := client.(type) {
	case nil:
		return errors.New("ratelimit/redis: Config.Client is missing")
	case *goredis.Client:
		heeds = c.Options().ContextTimeoutEnabled
	case *goredis.ClusterClient:
		heeds = c.Options().ContextTimeoutEnabled
	case *goredis.Ring:
		heeds = c.Options().ContextTimeoutEnabled
	default:
		return fmt.Errorf("ratelimit/redis: Config.Client is a %T, which doesn't tell whether it heeds a context's deadline", client)
	}
	if !heeds {
		return errors.New("ratelimit/redis: Config.Client needs ContextTimeoutEnabled: true, or calls outlive their context")
	}
	return nil
}

// bound ends a call in time. It makes no context where the given one ends sooner.
func (s *server) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= s.timeout {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.timeout)
}

// digest is the part of a counter's key that tells it from others, as text.
func (s *server) digest(c *ratelimit.Charge) string {
	sum := c.Digest(s.secret)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
