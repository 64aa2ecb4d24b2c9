package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// NewTimeout returns an engine that gives e at most limit for each call. An engine
// that outlives its context's deadline outlives this one too; those of
// ratelimit/redis don't.
func NewTimeout(e Engine, limit time.Duration) (Engine, error) {
	if e == nil {
		return nil, errors.New("ratelimit: NewTimeout without an engine")
	}
	if limit <= 0 {
		return nil, fmt.Errorf("ratelimit: NewTimeout with %v", limit)
	}
	return &timeout{decorated: e, limit: limit}, nil
}

// usual is how many charges a request has, mostly; more are counted as well.
const usual = 4

// decorated is what a decorator leaves as it is.
type decorated = Engine

type timeout struct {
	decorated
	limit time.Duration
}

// Take implements [Engine].
func (t *timeout) Take(ctx context.Context, charges []Charge, out []Decision) error {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	return t.decorated.Take(ctx, charges, out)
}

// Peek implements [Engine].
func (t *timeout) Peek(ctx context.Context, c Charge) (Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	return t.decorated.Peek(ctx, c)
}

// Refund implements [Engine].
func (t *timeout) Refund(ctx context.Context, c Charge) error {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	return t.decorated.Refund(ctx, c)
}

// Reset implements [Engine].
func (t *timeout) Reset(ctx context.Context, c Charge) error {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	return t.decorated.Reset(ctx, c)
}
