package grpcauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/strikeplate/strikeplate"
)

// guarded is a stream whose context knows whom it acts for, and ends with the key.
type guarded struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // it is the stream's own, as gRPC has it
}

// Context returns it.
func (s *guarded) Context() context.Context { return s.ctx }

// serve runs a handler until it returns or its key ends. Then it doesn't wait for the
// handler, which may be waiting for the client: when this returns, gRPC ends the
// stream, and with it whatever the handler receives or sends.
func (g *Guard) serve(ctx context.Context, cancel context.CancelCauseFunc, call admission, handler func() error) error {
	type end struct {
		err   error
		panic any
	}
	ended := make(chan end, 1)
	go func() {
		e := end{panic: errExited}
		defer func() {
			if problem := recover(); problem != nil {
				e.panic = problem
			}
			ended <- e
		}()
		e = end{err: handler()}
	}()
	tick := time.NewTicker(g.c.Recheck)
	defer tick.Stop()
	for {
		select {
		case e := <-ended:
			if e.panic != nil {
				panic(e.panic) // here, where a server's own interceptors recover it
			}
			return e.err
		case <-tick.C:
		}
		if err := g.over(ctx, call); err != nil {
			cancel(err)
			return Status(err).Err()
		}
	}
}

var errExited = errors.New("grpcauth: the handler's goroutine was ended")

// over returns why a stream must end. That its key could not be checked is no
// reason: new calls are refused then, running ones go on.
func (g *Guard) over(ctx context.Context, call admission) error {
	_, err := g.c.Keys.Verify(ctx, call.credential, call.client)
	var refused *strikeplate.Error
	if errors.As(err, &refused) && refused.Status < 500 && refused.Status != http.StatusTooManyRequests {
		return refused
	}
	return nil
}
