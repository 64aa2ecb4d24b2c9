package strikeplate

import (
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
// An Edge inside another one, or inside Require, shares the Exchange that was
// begun outside: its Dialect applies from there inwards and its Done is called
// after the outer one's. Its other fields have no effect there.
type Edge struct {
	// Dialect writes refusals; nil means [ProblemJSON].
	Dialect Dialect
	// TrustedProxies are the peers whose X-Forwarded-For is believed, from right
	// to left up to the first address that isn't one of them. Empty: the client
	// is the socket's peer, whatever the header says. A proxy on a Unix socket has
	// no address to name.
	TrustedProxies []netip.Prefix
	// TrustRequestID takes the request id from X-Request-Id if it has the form
	// [A-Za-z0-9_-]{1,64} and there is one, from a trusted proxy if some are named.
	// False: always made here.
	TrustRequestID bool
	// Done are called when the response is complete, in order, on the request's
	// goroutine, also if the handler panicked.
	Done []func(*Exchange)
	// Refusing are called before a refusal is written whose credential was proven
	// ([Error.Principal]), with the response's header: a limit by plan, which such
	// a request never reaches, sets its fields here.
	Refusing []func(h http.Header, r *http.Request, p *Principal)
	// Logger receives refusals that are the service's own fault, at most one a
	// second, and a warning if a proxy seems to stand in front unnamed; nil means
	// [slog.Default], as it is when there is something to log.
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
	e.TrustedProxies = plainPrefixes(e.TrustedProxies)
	return &edge{Edge: e}
}

// logger isn't settled earlier: main may set the default after an Edge was made.
func (e *edge) logger() *slog.Logger {
	if e.Logger == nil {
		return slog.Default()
	}
	return e.Logger
}

// Handler wraps next.
func (e Edge) Handler(next http.Handler) http.Handler {
	in := newEdge(e)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x := ExchangeFrom(r.Context()); x != nil {
			in.nest(x, w, r, next)
			return
		}
		in.serve(w, r, next)
	})
}

func (e *edge) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	c := &exchangeContext{Context: r.Context()}
	x := &c.exchange
	x.edge, x.start, x.dialect, x.done = e, time.Now(), ProblemJSON, e.Done
	x.speak(e.Dialect)
	peer := peerAddr(r)
	x.client = e.client(peer, r)
	x.id[0] = e.requestID(peer, r)
	w.Header()["X-Request-Id"] = x.id[:]

	r = r.WithContext(c)
	outside := x.enter(r)
	panicked := true
	defer func() {
		for _, done := range x.finish(r, outside, panicked) {
			done(x)
		}
	}()
	next.ServeHTTP(c.writer.wrap(w, x), r)
	panicked = false
}

// nest serves inside an outer Edge's Exchange.
func (e *edge) nest(x *Exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
	before := x.speak(e.Dialect)
	defer func() { x.speak(before) }()
	x.call(e.Done)
	outside := x.enter(r)
	defer x.leave(r, outside)
	next.ServeHTTP(w, r)
}

// requestID returns the caller's id where it may be believed, else a new one
// of at least 128 random bits.
func (e *edge) requestID(peer netip.Addr, r *http.Request) string {
	if e.TrustRequestID && (len(e.TrustedProxies) == 0 || e.trusted(peer)) {
		// Of several, nobody can tell which one the others go by.
		if ids := r.Header["X-Request-Id"]; len(ids) == 1 && validRequestID(ids[0]) {
			return ids[0]
		}
	}
	return newRequestID()
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
