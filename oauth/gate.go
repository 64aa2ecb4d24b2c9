package oauth

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/strikeplate/strikeplate"
)

// gate bounds the questions that tokens cause which aren't remembered: anybody can
// make up as many as they like.
type gate struct {
	places  chan struct{}
	waiting atomic.Int64
	most    int64
	shed    *atomic.Uint64
}

func newGate(places, waiting int, shed *atomic.Uint64) *gate {
	return &gate{places: make(chan struct{}, places), most: int64(waiting), shed: shed}
}

var errCrowded = errors.New("too many tokens are being checked")

// enter waits for a place. leave must be called if it succeeds.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-g.places }
	select {
	case g.places <- struct{}{}:
		return leave, nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.most {
		g.shed.Add(1)
		return nil, &strikeplate.Error{Status: http.StatusServiceUnavailable, Code: strikeplate.CodeUnavailable,
			Message: "Too many new access tokens are being checked right now. Try again shortly.", RetryAfter: time.Second, Err: errCrowded}
	}
	select {
	case g.places <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
