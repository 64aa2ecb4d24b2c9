package strikeplate

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Edge is the outermost middleware. It gives each request its [Exchange]: a
// request id, the client's address, the dialect for refusals, and callbacks
// when the response is complete. The zero value is ready to use. Where no Edge
// stands, [Require] begins an Exchange as the zero Edge would.
//
// An Edge inside another one shares the outer one's Exchange; its Dialect
// applies from there inwards and its Done is called after the outer one's.
type Edge struct {
	// Dialect writes refusals; nil means [ProblemJSON].
	Dialect Dialect
	// TrustedProxies are the peers whose X-Forwarded-For is believed, from right
	// to left up to the first address that isn't one of them. Empty: the client
	// is the socket's peer, whatever the header says.
	TrustedProxies []netip.Prefix
	// TrustRequestID takes the request id from X-Request-Id if it has the form
	// [A-Za-z0-9_-]{1,64}, from a trusted proxy if some are named. False: always
	// made here.
	TrustRequestID bool
	// Done are called when the response is complete, in order, on the request's
	// goroutine, also if the handler panicked.
	Done []func(*Exchange)
	// Logger receives refusals that are the service's own fault, at most one a
	// second; nil means [slog.Default].
	Logger *slog.Logger
}

// edge is an Edge in service.
type edge struct {
	Edge
	warnForwarded sync.Once
	complaints    complaints
}

var bareEdge = newEdge(Edge{})

func newEdge(e Edge) *edge {
	if e.Dialect == nil {
		e.Dialect = ProblemJSON
	}
	if e.Logger == nil {
		e.Logger = slog.Default()
	}
	return &edge{Edge: e}
}

// Handler wraps next.
func (e Edge) Handler(next http.Handler) http.Handler {
	in := newEdge(e)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x := ExchangeFrom(r.Context()); x != nil {
			x.nest(&e)
			next.ServeHTTP(w, r)
			return
		}
		in.serve(w, r, next)
	})
}

func (e *edge) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	c := &exchangeContext{Context: r.Context()}
	x := &c.exchange
	x.edge, x.start, x.dialect, x.done = e, time.Now(), e.Dialect, e.Done
	peer := peerAddr(r)
	x.client = e.client(peer, r)
	x.id[0] = e.requestID(peer, r)
	w.Header()["X-Request-Id"] = x.id[:]

	r = r.WithContext(c)
	panicked := true
	defer func() {
		for _, done := range x.finish(r.Pattern, panicked) {
			done(x)
		}
	}()
	next.ServeHTTP(c.writer.wrap(w, x), r)
	panicked = false
}

// requestID returns the caller's id where it may be believed, else a new one
// of 128 random bits.
func (e *edge) requestID(peer netip.Addr, r *http.Request) string {
	if e.TrustRequestID && (len(e.TrustedProxies) == 0 || e.trusted(peer)) {
		if id := r.Header.Get("X-Request-Id"); validRequestID(id) {
			return id
		}
	}
	return rand.Text()
}

// validRequestID keeps log injection and oversized ids out.
func validRequestID(id string) bool {
	if len(id) < 1 || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
