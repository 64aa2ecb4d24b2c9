package ratelimit

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/strikeplate/strikeplate"
)

// Handler wraps next. It may be mounted more than once: before authentication
// with limits by address, and behind it with plans. Each sets the header fields;
// what is further in replaces what is further out.
//
// A request that has a Principal is charged for good. One that hasn't any yet is
// charged, and gets its cost back as soon as it turns out to have one: when it
// reaches another Limiter behind [strikeplate.Require], else when its response is
// complete. Charging first means that however many arrive at once, no more go on
// to authentication than the limit says; checking first and charging later would
// let all of them through. The price is that requests being authenticated count
// meanwhile.
//
// Refused requests consume nothing. Where no [strikeplate.Edge] stands outside,
// Handler begins an Exchange as the zero Edge would.
func (l *Limiter) Handler(next http.Handler) http.Handler {
	h := &handler{limiter: l, next: next}
	h.bare = strikeplate.Edge{}.Handler(h)
	return h
}

type handler struct {
	limiter    *Limiter
	next, bare http.Handler
}

// scratch is what one decision needs, reused.
type scratch struct {
	charges   []Charge
	known     []*told // of their policies
	decisions []Decision
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := strikeplate.ExchangeFrom(r.Context())
	if x == nil {
		h.bare.ServeHTTP(w, r)
		return
	}
	p, _ := strikeplate.FromContext(r.Context())
	if p != nil {
		settle(r.Context())
	}
	held, err := h.limiter.admit(w.Header(), r, p)
	switch {
	case err != nil:
		strikeplate.Fail(w, r, err)
	case held == nil:
		h.next.ServeHTTP(w, r)
	default:
		defer func() {
			if held.pending && proven(x) {
				_ = held.refund() // it stays charged: a little less for this address
			}
		}()
		h.next.ServeHTTP(w, r.WithContext(held))
	}
}

// proven says that it turned out who asks, even if the request was refused.
func proven(x *strikeplate.Exchange) bool {
	if x.Principal() != nil {
		return true
	}
	e := x.Refusal()
	return e != nil && e.Principal != nil
}

// Refusing charges a request that is refused before it reaches the Limiter although
// its credential is good, because the subscription lapsed, for example, and sets the
// header fields. It belongs into [strikeplate.Edge].Refusing. The request is
// refused anyway, so a limit that is spent changes only what the fields say.
func (l *Limiter) Refusing(h http.Header, r *http.Request, p *strikeplate.Principal) {
	_, _ = l.admit(h, r, p) // an engine that fails has nothing to tell either
}

// admit takes what the request costs, and sets the header fields. It returns a
// receipt where the cost may be given back.
func (l *Limiter) admit(h http.Header, r *http.Request, p *strikeplate.Principal) (*receipt, error) {
	s := l.scratch.Get().(*scratch)
	defer l.release(s)
	l.charges(r, p, s)
	if len(s.charges) == 0 {
		return nil, nil
	}
	s.decisions = slices.Grow(s.decisions[:0], len(s.charges))[:len(s.charges)]
	clear(s.decisions) // an engine sets what it knows
	if err := l.engine.Take(r.Context(), s.charges, s.decisions); err != nil {
		return nil, l.failed(h, s, err)
	}
	now := l.decided(s)
	setFields(h, s.charges, s.known, s.decisions, now)
	if i := refusedBy(s.decisions); i >= 0 {
		return nil, refusal(&s.charges[i], &s.decisions[i], now)
	}
	if p != nil && !l.refundable {
		return nil, nil
	}
	return newReceipt(r.Context(), l, s, now, p == nil), nil
}

// decided is when the engine decided: what it said to wait for is counted from
// then, or later. Only an engine in memory is sure to have read this clock just now;
// what others call Taken is for Refund.
func (l *Limiter) decided(s *scratch) time.Time {
	if taken := s.decisions[0].Taken; l.inMemory && !taken.IsZero() {
		return taken
	}
	return time.Now()
}

// maxKept bounds what a scratch holds on to: the last request's keys among it.
const maxKept = 64

func (l *Limiter) release(s *scratch) {
	if cap(s.charges) <= maxKept {
		l.scratch.Put(s)
	}
}

// refusedBy returns the charge that has to wait longest of those that don't fit,
// or -1 if all do.
func refusedBy(decisions []Decision) int {
	longest := -1
	for i := range decisions {
		if d := &decisions[i]; !d.Allowed && (longest < 0 || d.RetryAfter > decisions[longest].RetryAfter) {
			longest = i
		}
	}
	return longest
}

// unknownAfter is when to ask again if the engine failed.
const unknownAfter = time.Second

// failed answers for an engine that did not. Nothing is known, so the fields say
// that nothing is left for now.
func (l *Limiter) failed(h http.Header, s *scratch, err error) error {
	if errors.Is(err, ErrTooCostly) {
		return &strikeplate.Error{
			Status: http.StatusForbidden, Code: strikeplate.CodeTooCostly, Err: err,
			Message: "The request costs more than its limit ever allows. Ask for less at once.",
		}
	}
	ours := errors.Is(err, ErrPolicy) || errors.Is(err, ErrCost)
	if l.failOpen != nil && !ours {
		l.failOpen.log(err)
		return nil
	}
	if !ours {
		for i := range s.decisions {
			s.decisions[i] = Decision{Limit: s.charges[i].Policy.Limit, RetryAfter: unknownAfter}
		}
		setFields(h, s.charges, s.known, s.decisions, time.Now())
	}
	return err // told as 503
}

// refusal names the limit and when to come back.
func refusal(c *Charge, d *Decision, now time.Time) *strikeplate.Error {
	limit := strconv.FormatInt(d.Limit, 10)
	wait := strconv.FormatInt(max(1, seconds(d.RetryAfter)), 10)
	unit := " seconds."
	if wait == "1" {
		unit = " second."
	}
	return &strikeplate.Error{
		Status: http.StatusTooManyRequests, Code: strikeplate.CodeLimited, RetryAfter: d.RetryAfter,
		Message: `Rate limit "` + c.Policy.Name + `" of ` + limit + " per " + every(c.Policy.Period) + " exceeded. Retry after " + wait + unit,
		Params: map[string]string{
			"policy":      c.Policy.Name,
			"limit":       limit,
			"period":      strconv.FormatInt(seconds(c.Policy.Period), 10),
			"retry_after": wait,
			"reset":       strconv.FormatInt(unix(now.Add(d.RetryAfter)), 10),
		},
	}
}

// every tells a period as one says it.
func every(period time.Duration) string {
	switch period {
	case time.Second:
		return "second"
	case time.Minute:
		return "minute"
	case time.Hour:
		return "hour"
	case 24 * time.Hour:
		return "day"
	}
	return period.String()
}

// A receipt is what a request was charged, carried in its context. It is one
// allocation with the context.
type receipt struct {
	context.Context
	limiter *Limiter
	outer   *receipt
	pending bool // to be given back if a Principal appears
	once    once
	charges []Charge
	room    [2]Charge
}

type receiptKey struct{}

// Value implements [context.Context].
func (h *receipt) Value(key any) any {
	if _, ok := key.(receiptKey); ok {
		return h
	}
	return h.Context.Value(key)
}

func receiptFrom(ctx context.Context) *receipt {
	h, _ := ctx.Value(receiptKey{}).(*receipt)
	return h
}

func newReceipt(ctx context.Context, l *Limiter, s *scratch, now time.Time, pending bool) *receipt {
	h := &receipt{Context: ctx, limiter: l, outer: receiptFrom(ctx), pending: pending}
	h.charges = append(h.room[:0], s.charges...)
	for i := range h.charges {
		h.charges[i].Taken = s.decisions[i].Taken
		if h.charges[i].Taken.IsZero() {
			h.charges[i].Taken = now
		}
	}
	return h
}

// refund gives back what was charged, once. The client may have left, which is
// no reason to keep it.
func (h *receipt) refund() error {
	if !h.once.first() {
		return nil
	}
	ctx := h.Context
	if !h.limiter.inMemory { // those look at no context
		ctx = context.WithoutCancel(ctx)
	}
	return h.limiter.Refund(ctx, h.charges...)
}

// settle gives back what was charged before it was known who asks.
func settle(ctx context.Context) {
	for h := receiptFrom(ctx); h != nil; h = h.outer {
		if h.pending {
			_ = h.refund() // it stays charged: a little less for this address
		}
	}
}

// Refund gives a request's cost back, in a handler behind limiters with
// Config.Refundable: when the upstream it was meant for failed, for example. It may
// be called again without effect. Elsewhere it does nothing.
func Refund(ctx context.Context) error {
	var all []error
	for h := receiptFrom(ctx); h != nil; h = h.outer {
		if h.limiter.refundable {
			all = append(all, h.refund())
		}
	}
	return errors.Join(all...)
}
