package strikeplate

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Exchange is what is known about one request, filled on its way: [Edge] begins
// it, [Require] adds the Principal, [Fail] the refusal. The callbacks in
// Edge.Done read it when the response is complete.
//
// Its methods are safe for concurrent use: under http.TimeoutHandler the
// handler may still run while the response is already written. An Exchange is
// never reused, so it may be kept, but it holds on to the request's context and
// response: copy what is needed for longer.
type Exchange struct {
	edge      *edge
	id        [1]string // an array, so that the header field needs no slice of its own
	client    netip.Addr
	start     time.Time
	principal atomic.Pointer[Principal]

	mu      sync.Mutex
	dialect Dialect
	done    []func(*Exchange)
	refusal *Error
	pattern string
	told    bool // SetPattern knew the pattern
	status  int
	elapsed time.Duration
}

type exchangeKey struct{}

// ExchangeFrom returns the request's Exchange, or nil where neither [Edge] nor
// [Require] stands in front.
func ExchangeFrom(ctx context.Context) *Exchange {
	x, _ := ctx.Value(exchangeKey{}).(*Exchange)
	return x
}

// ID is the request id: the one in the response's X-Request-Id.
func (x *Exchange) ID() string { return x.id[0] }

// Client is the caller's address as far as it is known: the socket's, or the
// one that trusted proxies tell. It is the zero Addr where there is none, as on
// a Unix socket.
func (x *Exchange) Client() netip.Addr { return x.client }

// Start is when the request arrived.
func (x *Exchange) Start() time.Time { return x.start }

// Principal is who the request acts for, nil before or without authentication.
func (x *Exchange) Principal() *Principal { return x.principal.Load() }

// Refusal is what the request was refused with, nil if it was not.
func (x *Exchange) Refusal() *Error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.refusal
}

// Pattern is the route that matched, as in [http.Request.Pattern]; empty while
// unknown.
func (x *Exchange) Pattern() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.pattern
}

// SetPattern tells the route, where another router than http.ServeMux matched
// it, or a middleware outside of Require copied the request. It stands over what
// http.ServeMux notes in the request. An empty pattern changes nothing.
func (x *Exchange) SetPattern(pattern string) {
	if pattern == "" {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pattern, x.told = pattern, true
}

// matched is r.Pattern, but for what http.ServeMux says of a CONNECT that it
// redirects to a trailing slash: that is the client's own path, and would let
// clients make up the names that usage and metrics count by.
func matched(r *http.Request) string {
	if r.Method == http.MethodConnect && r.Pattern == r.URL.Path+"/" {
		return ""
	}
	return r.Pattern
}

// enter notes the route that r has matched so far, and returns what is known.
func (x *Exchange) enter(r *http.Request) (outside string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := matched(r); p != "" && !x.told {
		x.pattern = p
	}
	return x.pattern
}

// leave notes the route that r matched since enter. Where that changed already,
// it was further in, which knows better.
func (x *Exchange) leave(r *http.Request, outside string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := matched(r); p != "" && !x.told && x.pattern == outside {
		x.pattern = p
	}
}

// Status is the response's status, 0 while none was written.
func (x *Exchange) Status() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.status
}

// Elapsed is how long the request took, 0 until it is complete.
func (x *Exchange) Elapsed() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.elapsed
}

// setStatus keeps the first final status. 1xx announce one and don't count,
// save 101, after which the connection speaks another protocol.
func (x *Exchange) setStatus(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols || status > 999 {
		return // net/http panics above 999
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.status == 0 {
		x.status = status
	}
}

// refuse records e and returns the dialect to tell it in, and whether the
// response has already begun. What the client was told stands.
func (x *Exchange) refuse(e *Error) (Dialect, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	begun := x.status != 0
	if !begun || x.refusal == nil {
		x.refusal = e
	}
	return x.dialect, begun
}

// speak changes the dialect, save for nil, and returns the one before.
func (x *Exchange) speak(d Dialect) (before Dialect) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before = x.dialect
	if d != nil {
		x.dialect = d
	}
	return before
}

// call adds callbacks. The slice so far may be the Edge's, so it isn't appended
// to in place.
func (x *Exchange) call(done []func(*Exchange)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done = append(x.done[:len(x.done):len(x.done)], done...)
}

// finish closes the Exchange and returns the callbacks to run.
func (x *Exchange) finish(r *http.Request, outside string, panicked bool) []func(*Exchange) {
	x.leave(r, outside)
	if panicked {
		x.setStatus(http.StatusInternalServerError)
	} else {
		x.setStatus(http.StatusOK) // what net/http sends for a handler that writes nothing
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.elapsed = time.Since(x.start)
	return x.done
}

// exchangeContext puts an Exchange into a request's context. It is one
// allocation together with the Exchange and the response writer, where
// context.WithValue and a wrapper would be three.
type exchangeContext struct {
	context.Context
	exchange Exchange
	writer   fullWriter
}

// Value implements [context.Context].
func (c *exchangeContext) Value(key any) any {
	switch key.(type) {
	case exchangeKey:
		return &c.exchange
	case principalKey:
		if p := c.exchange.principal.Load(); p != nil {
			return p
		}
	}
	return c.Context.Value(key)
}
