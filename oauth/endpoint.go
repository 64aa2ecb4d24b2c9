package oauth

import (
	"context"
	"errors"
	"sync"
	"time"
)

// endpoint is an introspection endpoint's URL, found once. While it can't be
// found, that is tried once a second.
type endpoint struct {
	mu    sync.Mutex
	url   string
	tried time.Time
	err   error
}

func (e *endpoint) find(ctx context.Context, c *IntrospectionConfig) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	switch {
	case e.url != "":
		return e.url, nil
	case e.err != nil && now.Sub(e.tried) < fetchPause:
		return "", e.err
	}
	e.tried = now
	m, err := c.Fetch.discover(ctx, c.Issuer, c.InsecureHTTP)
	if err == nil && m.Introspection == "" {
		err = errors.New("the issuer's metadata has no introspection_endpoint")
	}
	e.url, e.err = m.Introspection, err
	return e.url, err
}
