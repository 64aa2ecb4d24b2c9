package ratelimit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate"
)

// NewGate returns a [Gate] in the memory of one process. It keeps a counter for
// each key that has somebody inside, so it is as bounded as the requests in
// flight are.
func NewGate() Gate { return &gate{inside: map[string]int{}} }

type gate struct {
	mu     sync.Mutex
	inside map[string]int
}

// Enter implements [Gate].
func (g *gate) Enter(_ context.Context, key string, most int) (leave func(), err error) {
	if most < 1 {
		return nil, fmt.Errorf("%w: %d places", ErrPolicy, most)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside[key] >= most {
		return nil, ErrBusy
	}
	g.inside[key]++
	var left sync.Once
	return func() { left.Do(func() { g.leave(key) }) }, nil
}

func (g *gate) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside[key]--; g.inside[key] == 0 {
		delete(g.inside, key)
	}
}

// ConcurrencyConfig bounds how many requests run at once.
type ConcurrencyConfig struct {
	// Gate counts; nil means a [NewGate] of its own.
	Gate Gate
	// Name tells caps on one gate apart, and is told to refused callers: as a
	// Policy.Name. It is required.
	Name string
	// Max is how many may run at once under one key; at least 1.
	Max int
	// By says what is counted; nil means [ByOrganisation].
	By By
}

// Concurrency refuses requests while as many run as may. It is safe for
// concurrent use. Mount one on each endpoint that has a cap of its own.
type Concurrency struct {
	gate Gate
	name string
	most int
	by   By
}

// NewConcurrency makes one.
func NewConcurrency(c ConcurrencyConfig) (*Concurrency, error) {
	if !validName(c.Name) {
		return nil, fmt.Errorf("%w: ConcurrencyConfig.Name %q is not 1 to %d of [A-Za-z0-9._:/*-]", ErrPolicy, c.Name, maxName)
	}
	if c.Max < 1 {
		return nil, fmt.Errorf("%w: ConcurrencyConfig.Max is %d", ErrPolicy, c.Max)
	}
	made := &Concurrency{gate: c.Gate, name: c.Name, most: c.Max, by: c.By}
	if made.gate == nil {
		made.gate = NewGate()
	}
	if made.by == nil {
		made.by = ByOrganisation
	}
	return made, nil
}

// Handler wraps next. A request holds its place until the handler is done,
// however it ends, a panic included. When the client leaves, the request's
// context ends; the place is free when the handler has heeded that, and not
// before, as connecting and leaving would otherwise start any amount of work. A
// handler that took the connection over (http.Hijacker) holds it until the
// connection is closed.
//
// What http.TimeoutHandler inside gives up runs on uncounted: mount it outside.
func (c *Concurrency) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := strikeplate.FromContext(r.Context())
		key := c.by(r, p)
		if key == "" {
			next.ServeHTTP(w, r)
			return
		}
		leave, err := c.gate.Enter(r.Context(), Key("concurrency", c.name, key), c.most)
		if err != nil {
			strikeplate.Fail(w, r, c.refusal(err))
			return
		}
		s := &stay{leave: leave}
		panicked := true
		defer func() { s.handlerDone(panicked) }()
		next.ServeHTTP(s.watch(w), r)
		panicked = false
	})
}

func (c *Concurrency) refusal(err error) error {
	if !errors.Is(err, ErrBusy) {
		return err // told as 503
	}
	most := strconv.Itoa(c.most)
	return &strikeplate.Error{
		Status: http.StatusTooManyRequests, Code: strikeplate.CodeConcurrency, RetryAfter: time.Second,
		Message: `Limit "` + c.name + `" of ` + most + " requests at once reached. Retry when one is complete.",
		Params:  map[string]string{"policy": c.name, "limit": most},
	}
}

// A stay ends when the handler is done, or the connection it took is closed.
type stay struct {
	mu       sync.Mutex
	hijacked bool
	leave    func()
}

// handlerDone leaves a connection that was taken to who took it, but nobody is
// sure to close it after a panic.
func (s *stay) handlerDone(panicked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hijacked || panicked {
		s.leave()
	}
}

// watch returns w so that it tells when its connection is taken. A writer that
// can't be hijacked is returned as it is.
func (s *stay) watch(w http.ResponseWriter) http.ResponseWriter {
	if _, ok := w.(http.Hijacker); !ok {
		return w
	}
	if _, ok := w.(http.Flusher); !ok {
		return &hijackWriter{w, s}
	}
	return &fullWriter{hijackWriter{w, s}}
}

type hijackWriter struct {
	http.ResponseWriter
	stay *stay
}

func (h *hijackWriter) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// WriteString spares io.WriteString a copy.
func (h *hijackWriter) WriteString(text string) (int, error) {
	return io.WriteString(h.ResponseWriter, text)
}

func (h *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return conn, rw, err
	}
	h.stay.mu.Lock()
	h.stay.hijacked = true
	h.stay.mu.Unlock()
	return &leavingConn{conn, h.stay.leave}, rw, nil
}

type fullWriter struct{ hijackWriter }

func (f *fullWriter) Flush() { _ = f.FlushError() }

// FlushError is what http.ResponseController looks for.
func (f *fullWriter) FlushError() error {
	return http.NewResponseController(f.ResponseWriter).Flush()
}

// ReadFrom keeps sendfile working.
func (f *fullWriter) ReadFrom(src io.Reader) (int64, error) { return io.Copy(f.ResponseWriter, src) }

// leavingConn gives the place back when it is closed.
type leavingConn struct {
	net.Conn
	leave func()
}

func (c *leavingConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
