package strikeplate

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Fail answers a request with a refusal: the status, WWW-Authenticate with a
// 401, Retry-After with a 429 or 503, Cache-Control: no-store, and a body in the
// dialect of the request's [Edge]. err should be, or wrap, an *[Error];
// anything else means that the check could not be made, and is told as 503
// without its text.
//
// If the response has already begun, nothing is written, but the refusal is
// recorded in the [Exchange]. That is known of what reached the Edge: what a
// middleware in between holds back, such as http.TimeoutHandler, has not begun.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	x := ExchangeFrom(r.Context())
	if x == nil {
		failBare(w, r, err)
		return
	}
	x.enter(r)
	e := refusal(err)
	dialect, begun := x.refuse(e)
	if e.Status >= 500 && e.Err != nil && !abandoned(r, e) {
		x.edge.complaints.log(x, e)
	}
	if begun {
		return
	}
	h := w.Header()
	replaceEntity(h)
	h["X-Request-Id"] = []string{x.ID()} // a handler may have overwritten it
	for name, values := range e.Header {
		h[name] = slices.Clone(values) // e may be shared
	}
	switch e.Status {
	case http.StatusUnauthorized:
		h["Www-Authenticate"] = challenges(e)
	case http.StatusForbidden:
		if len(e.Challenge) > 0 { // insufficient_scope, RFC 6750 3.1
			h["Www-Authenticate"] = challenges(e)
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter(e.RetryAfter))
	}
	if e.Principal != nil {
		for _, f := range x.edge.Refusing {
			f(h, r, e.Principal)
		}
	}
	told := *e // e may be shared, and its cause is nobody's business
	told.Err, told.Principal = nil, nil
	body := dialect(h, &told, x.ID())
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // a client that left needs no answer
}

// abandoned says that the check ended because the client left. A cancelled check
// whose client still waits is the service's own fault.
func abandoned(r *http.Request, e *Error) bool {
	return errors.Is(e.Err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled)
}

// failBare serves callers outside of any Edge, giving the refusal an id.
func failBare(w http.ResponseWriter, r *http.Request, err error) {
	bareEdge.serve(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Fail(w, r, err)
	}))
}

// replaceEntity removes what a handler said about the body that is not sent now,
// and keeps the refusal out of caches. The length is net/http's to tell: set
// here, it would be wrong where a middleware had held back a beginning.
func replaceEntity(h http.Header) {
	for _, name := range [...]string{"Content-Type", "Content-Length", "Content-Encoding", "Content-Range",
		"Content-Disposition", "Content-Language", "Content-Location", "Accept-Ranges", "Etag", "Last-Modified", "Expires"} {
		delete(h, name)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// challenges returns the WWW-Authenticate values, each once. RFC 9110 15.5.2
// wants at least one.
func challenges(e *Error) []string {
	var distinct []string
	for _, c := range e.Challenge {
		if !slices.Contains(distinct, c) {
			distinct = append(distinct, c)
		}
	}
	if len(distinct) == 0 {
		return []string{"Bearer"}
	}
	return distinct
}

// retryAfter is whole seconds, rounded up so that a retry is never too early.
func retryAfter(d time.Duration) string {
	seconds := int64(d / time.Second)
	if d%time.Second > 0 {
		seconds++
	}
	return strconv.FormatInt(max(1, seconds), 10)
}

// complaints logs at most one failed check a second: when a store is down,
// every request has the same thing to say.
type complaints struct {
	mu         sync.Mutex
	last       time.Time
	suppressed int
}

func (c *complaints) log(x *Exchange, e *Error) {
	c.mu.Lock()
	now := time.Now()
	if now.Sub(c.last) < time.Second {
		c.suppressed++
		c.mu.Unlock()
		return
	}
	suppressed := c.suppressed
	c.last, c.suppressed = now, 0
	c.mu.Unlock()
	x.edge.logger().Error("request could not be checked",
		"code", e.Code, "error", e.Err, "request_id", x.ID(),
		"credential", e.Credential, "suppressed", suppressed)
}
