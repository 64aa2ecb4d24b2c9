package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Policy is one limit: at most Limit units in Period. A unit is a request, or
// whatever the cost of a [Charge] measures. Policies are values: two with equal
// fields are the same limit, and a change of any field makes another one, which
// counts from nothing.
type Policy struct {
	// Name tells limits apart in counters, header fields, metrics and refusals:
	// 1 to 64 of [A-Za-z0-9._:/*-]. Clients see it.
	Name string
	// Limit is how many units a Period allows, 1 to 999,999,999,999.
	Limit int64
	// Burst is how many of them may come at once, for engines that spread the
	// rest over the Period ([NewGCRA]). Such an engine refills at
	// (Limit - Burst) / Period, so that Burst + rate x Period = Limit and no
	// window of any phase exceeds Limit. Zero: the engine's default. Engines that
	// do not spread refuse a Burst other than zero: give them two policies, a
	// short one and a long one, instead.
	Burst int64
	// Period is at least a millisecond and at most 366 days. It is real time, by
	// the clock of whoever keeps the counter: this process's for engines in
	// memory, the server's for one on a server. No [time.Time] of the embedder
	// moves a window.
	Period time.Duration
}

// The bounds of a [Policy]. Limits fit a structured field's integer, which has 15
// digits at most (RFC 9651 3.3.1).
const (
	minPeriod = time.Millisecond
	maxPeriod = 366 * 24 * time.Hour
	maxLimit  = 999_999_999_999
	maxName   = 64
)

// Validate returns an error wrapping [ErrPolicy] that names what is wrong with
// the policy, whatever the engine. Engines call it first in Check.
func (p Policy) Validate() error {
	switch {
	case !validName(p.Name):
		return fmt.Errorf("%w: Name %q is not 1 to %d of [A-Za-z0-9._:/*-]", ErrPolicy, p.Name, maxName)
	case p.Limit < 1 || p.Limit > maxLimit:
		return fmt.Errorf("%w: %s: Limit %d is not within 1 and %d", ErrPolicy, p.Name, p.Limit, maxLimit)
	case p.Burst < 0 || p.Burst > p.Limit:
		return fmt.Errorf("%w: %s: Burst %d is not within 0 and the Limit", ErrPolicy, p.Name, p.Burst)
	case p.Period < minPeriod || p.Period > maxPeriod:
		return fmt.Errorf("%w: %s: Period %v is not within %v and %v", ErrPolicy, p.Name, p.Period, minPeriod, maxPeriod)
	}
	return nil
}

// valid is Validate where nobody asks why.
func (p *Policy) valid() bool {
	return p.Limit >= 1 && p.Limit <= maxLimit && p.Burst >= 0 && p.Burst <= p.Limit &&
		p.Period >= minPeriod && p.Period <= maxPeriod && validName(p.Name)
}

func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		if !inName[name[i]] {
			return false
		}
	}
	return true
}

// inName are the bytes of a name: none of them needs escaping in a structured
// field's string (RFC 9651 3.3.3).
var inName = func() (in [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/*-") {
		in[c] = true
	}
	return in
}()

// Charge is what one request costs under one policy.
type Charge struct {
	Policy Policy
	// Key says what is counted: an organisation, an address. Make it with
	// [ByOrganisation] and its like, which keep different kinds of things apart.
	// Any bytes will do; engines store its digest only (see [Charge.Digest]).
	Key string
	// Cost is in units of the policy. Zero looks without consuming, and passes.
	// A negative cost is an error ([ErrCost]): taking must not give. More than can
	// ever be had at once is one too ([ErrTooCostly]).
	Cost int64
	// Taken is when the charge was taken: Decision.Taken of the Take, or a reading of
	// the real clock after it. Refund alone reads it: what was taken in a window
	// that is over is not given back to the one that runs. Zero means just now.
	Taken time.Time
}

// Decision is an engine's answer to one [Charge].
type Decision struct {
	// Allowed says that this charge fits. A request passes if all of its charges
	// do; if one doesn't, none is consumed.
	Allowed bool
	// Limit is the policy's. Remaining is how many units are left after this
	// call, counting what it consumed and nothing that it didn't: never negative.
	// An engine with bursts tells what can be had at once.
	Limit, Remaining int64
	// RetryAfter is how long to wait until the same charge fits, if nobody else
	// takes anything meanwhile: exactly that long is enough. Zero if it fits now.
	RetryAfter time.Duration
	// ResetAfter is how long until everything may be had again, if nobody takes
	// anything meanwhile. For a fixed window it is the window's end. Zero if
	// everything can be had now.
	ResetAfter time.Duration
	// Taken is when the engine consumed the charge, by this process's clock; for
	// Charge.Taken when it is to be refunded. Zero if nothing was consumed, or the
	// engine doesn't know: then read the clock after Take.
	Taken time.Time
}

// Engine counts. It is safe for concurrent use. Each implementation says how
// exact it is, what bounds its memory, and what happens at that bound.
//
// Every method returns an error wrapping [ErrCost] for a negative cost. Any other
// error than the sentinels of this package means that the engine could not be
// asked: nothing is known, and nothing may be assumed to be consumed or not.
type Engine interface {
	// Check says whether the engine can honour the policy, when a limiter is
	// made rather than when a request comes: nil, or an error wrapping
	// [ErrPolicy]. It does no input or output.
	Check(p Policy) error
	// Take consumes all of the charges, or none: none if a single one doesn't fit.
	// It fills out, which is as long as charges, in their order, whether they
	// passed or not; when it returns an error, what is in out means nothing.
	// Charges may name the same counter twice; their costs add up. The error wraps
	// [ErrTooCostly] if a cost can never fit, whoever else takes what, [ErrCost]
	// if one is negative, [ErrPolicy] if Check would have refused the policy;
	// nothing is consumed then. Take keeps neither slice.
	Take(ctx context.Context, charges []Charge, out []Decision) error
	// Peek tells what Take would answer to c, and consumes nothing.
	Peek(ctx context.Context, c Charge) (Decision, error)
	// Refund gives c.Cost back, at most what is counted now: a counter never falls
	// below nothing, the window's end stays what it was, and a window that began
	// after c.Taken is left alone.
	Refund(ctx context.Context, c Charge) error
	// Reset forgets what was counted under c's policy and key; its cost is ignored.
	Reset(ctx context.Context, c Charge) error
}

// Gate bounds how many requests run at once. It is safe for concurrent use.
type Gate interface {
	// Enter takes one of the places under key, without waiting. The error wraps
	// [ErrBusy] if all are taken; any other means that the gate could not be asked.
	// ctx bounds the call, not the stay. leave gives the place back. It never
	// fails, waits briefly at most, and may be called again without effect, from
	// any goroutine. A place that was taken from another process may end by itself
	// when that process dies; each implementation says when. places below 1 are an
	// error wrapping [ErrPolicy].
	Enter(ctx context.Context, key string, places int) (leave func(), err error)
}

// What the methods of [Engine] and [Gate] return, wrapped or bare.
var (
	// ErrPolicy: the policy is invalid, or this engine cannot honour it.
	ErrPolicy = errors.New("ratelimit: policy cannot be honoured")
	// ErrCost: a cost is negative.
	ErrCost = errors.New("ratelimit: negative cost")
	// ErrTooCostly: the cost is more than the policy can ever allow at once, so a
	// retry cannot pass either.
	ErrTooCostly = errors.New("ratelimit: cost above the limit")
	// ErrBusy: all places of a gate are taken.
	ErrBusy = errors.New("ratelimit: too many at once")
)
