package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// FallbackConfig says what happens when a shared engine fails.
type FallbackConfig struct {
	// Shared is the engine that decides while it answers. It is required, and
	// should be bounded in time: [NewTimeout], or the Timeout of ratelimit/redis.
	Shared Engine
	// Local decides meanwhile, and counts always; nil means a [NewFixedWindow] of
	// its own. No other may charge it.
	Local Engine
	// Instances is how many processes share the limits: each lets its part of them
	// through while the shared engine fails, rounded down, and one unit at least.
	// It is required.
	Instances int
	// FailClosed names the policies whose requests are refused with an error (503)
	// while the shared engine fails: guards against guessing, where the part of an
	// instance is too much. They are better counted in memory in the first place.
	// None if empty.
	FailClosed []string
	// Failures is after how many failed calls in a row the shared engine is given up
	// for Pause; zero means 5. Until then every request tries. It is also given up
	// when half of the calls of ten seconds fail, of four times as many at least.
	Failures uint32
	// Pause is how long the shared engine is not asked before one request tries
	// again; zero means a second.
	Pause time.Duration
	// OnChange hears when the shared engine is given up (failing, and the last
	// error) and when it is back (nil), once each, one call at a time and outside of
	// any lock; nil means nobody. It delays the request that noticed.
	OnChange func(failing bool, cause error)
	// Logger hears the same; nil means [slog.Default].
	Logger *slog.Logger
}

// NewFallback returns an engine that asks a shared one, and decides by itself when
// that fails: each instance lets Limit / Instances of a policy through, or nothing
// at all, as FailClosed says.
//
// What passes is always counted here too, so that a shared engine that comes and
// goes grants nobody a fresh quota: what an instance let through before is part of
// what it may let through alone. An engine that comes back may have lost its
// counters, as Redis does without persistence. So for one Period of each policy
// after it is back, a charge has to fit both there and in the instance's part.
// However often it fails, no more passes in a window than Limit as long as it
// answered, and Limit / Instances at each instance from then on.
//
// It is not asked for Pause after Failures in a row (github.com/sony/gobreaker), so
// no request waits for it meanwhile, and nothing changes from one request to the
// next. A client that leaves is no failure.
//
// A charge that was decided here is not refunded there. While the engine fails, a
// cost above an instance's part counts as all of it.
func NewFallback(c FallbackConfig) (*Fallback, error) {
	switch {
	case c.Shared == nil:
		return nil, errors.New("ratelimit: FallbackConfig.Shared is missing")
	case c.Instances < 1:
		return nil, fmt.Errorf("ratelimit: FallbackConfig.Instances is %d", c.Instances)
	case c.Pause < 0:
		return nil, fmt.Errorf("ratelimit: FallbackConfig.Pause is negative: %v", c.Pause)
	}
	f := &Fallback{
		shared: c.Shared, local: c.Local, instances: int64(c.Instances),
		closed: slices.Clone(c.FailClosed), onChange: c.OnChange, logger: c.Logger,
	}
	if f.local == nil {
		local, err := NewFixedWindow(MemoryConfig{})
		if err != nil {
			return nil, err
		}
		f.local = local
	}
	if f.logger == nil {
		f.logger = slog.Default()
	}
	f.scratch.New = func() any { return new(scratch) }
	f.start = time.Now()
	f.breaker = newBreaker(f, c)
	return f, nil
}

// interval is how long the breaker counts calls together.
const interval = 10 * time.Second

func newBreaker(f *Fallback, c FallbackConfig) *gobreaker.CircuitBreaker[struct{}] {
	failures := c.Failures
	if failures == 0 {
		failures = 5
	}
	pause := c.Pause
	if pause == 0 {
		pause = time.Second
	}
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        "ratelimit",
		MaxRequests: 1,
		Interval:    interval,
		Timeout:     pause,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			return n.ConsecutiveFailures >= failures || n.Requests >= 4*failures && 2*n.TotalFailures >= n.Requests
		},
		IsSuccessful:  answered,
		IsExcluded:    func(err error) bool { return errors.Is(err, errLeft) },
		OnStateChange: func(_ string, _, to gobreaker.State) { f.turned(to) },
	})
}

// answered says whether the engine could be asked.
func answered(err error) bool {
	return err == nil || errors.Is(err, ErrPolicy) || errors.Is(err, ErrCost) || errors.Is(err, ErrTooCostly)
}

// errLeft marks calls whose caller did not wait for the answer.
var errLeft = errors.New("ratelimit: the caller left")

// Fallback is an [Engine] that outlives the one that it shares. It is safe for
// concurrent use, and has no goroutine.
type Fallback struct {
	shared, local Engine
	instances     int64
	closed        []string
	onChange      func(bool, error)
	logger        *slog.Logger
	breaker       *gobreaker.CircuitBreaker[struct{}]
	scratch       sync.Pool
	start         time.Time

	alone, failures      atomic.Uint64
	lastAlone, recovered atomic.Int64 // nanoseconds since start; 0: never

	mu      sync.Mutex // of what follows
	failing bool
	cause   error
	untold  []change
	telling bool
}

type change struct {
	failing bool
	cause   error
}

// FallbackStats are figures of a [Fallback] since its start.
type FallbackStats struct {
	// Failing says that the shared engine is given up for now.
	Failing bool
	// Failures is how many calls to the shared engine failed, Alone how many
	// requests were decided, or refused with an error, without it.
	Failures, Alone uint64
}

// Stats tells how the shared engine does, for metrics.
func (f *Fallback) Stats() FallbackStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return FallbackStats{Failing: f.failing, Failures: f.failures.Load(), Alone: f.alone.Load()}
}

// Check implements [Engine]. Both engines have to agree.
func (f *Fallback) Check(p Policy) error {
	if err := f.shared.Check(p); err != nil {
		return err
	}
	if err := f.local.Check(f.part(p)); err != nil {
		return fmt.Errorf("the local part of a limit: %w", err)
	}
	return nil
}

// part is an instance's own limit. Who changes between policies of one name whose
// parts are equal goes on with the same part.
func (f *Fallback) part(p Policy) Policy {
	return Policy{Name: p.Name, Limit: max(1, p.Limit/f.instances), Period: p.Period}
}

func (f *Fallback) partOf(c Charge) Charge {
	c.Policy = f.part(c.Policy)
	c.Cost = min(c.Cost, c.Policy.Limit)
	return c
}

// ask calls the shared engine, unless it is given up.
func (f *Fallback) ask(ctx context.Context, call func() error) error {
	_, err := f.breaker.Execute(func() (struct{}, error) {
		err := call()
		if err == nil || answered(err) {
			return struct{}{}, err
		}
		if ctx.Err() != nil {
			return struct{}{}, fmt.Errorf("%w: %w", errLeft, err)
		}
		f.failures.Add(1)
		f.mu.Lock()
		f.cause = err
		f.mu.Unlock()
		return struct{}{}, err
	})
	f.tell()
	return err
}

// turned notes a change of the breaker, whose lock is held. Half open is failing:
// one request tries, the others go on alone.
func (f *Fallback) turned(to gobreaker.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failing := to != gobreaker.StateClosed
	if failing == f.failing {
		return
	}
	f.failing = failing
	next := change{failing: failing}
	if failing {
		next.cause = f.cause
	} else {
		f.recovered.Store(f.now())
	}
	f.untold = append(f.untold, next)
}

// tell passes changes on, in order.
func (f *Fallback) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.telling {
		return // who tells goes on with what came in between
	}
	for len(f.untold) > 0 {
		next := f.untold[0]
		f.untold, f.telling = f.untold[1:], true
		f.mu.Unlock()
		if next.failing {
			f.logger.Error("limits: the shared engine fails; this instance decides alone", "error", next.cause)
		} else {
			f.logger.Warn("limits: the shared engine is back")
		}
		if f.onChange != nil {
			f.onChange(next.failing, next.cause)
		}
		f.mu.Lock()
	}
	f.telling = false
}

func (f *Fallback) now() int64 { return max(1, int64(time.Since(f.start))) }

// Take implements [Engine].
func (f *Fallback) Take(ctx context.Context, charges []Charge, out []Decision) error {
	err := f.ask(ctx, func() error { return f.shared.Take(ctx, charges, out) })
	switch {
	case err == nil:
		if refusedBy(out) >= 0 {
			return nil
		}
		return f.shadow(ctx, charges, out)
	case answered(err):
		return err
	case ctx.Err() != nil:
		return err // nobody waits for a decision
	}
	return f.takeAlone(ctx, charges, out, err)
}

// takeAlone decides by this instance's part.
func (f *Fallback) takeAlone(ctx context.Context, charges []Charge, out []Decision, cause error) error {
	f.alone.Add(1)
	for i := range charges {
		if err := f.accept(&charges[i], cause); err != nil {
			return err
		}
	}
	s := f.parts(charges)
	defer f.release(s)
	if err := f.local.Take(ctx, s.charges, out); err != nil {
		return f.sumTooHigh(err, charges, out)
	}
	for i := range charges {
		out[i].Limit = charges[i].Policy.Limit
		if out[i].Allowed && out[i].Taken.IsZero() {
			out[i].Taken = time.Now()
		}
	}
	f.lastAlone.Store(f.now()) // not before what was taken
	return nil
}

// sumTooHigh refuses a request whose charges together cost more than the part.
func (f *Fallback) sumTooHigh(err error, charges []Charge, out []Decision) error {
	if !errors.Is(err, ErrTooCostly) {
		return err
	}
	for i := range charges {
		p := charges[i].Policy
		out[i] = Decision{Limit: p.Limit, RetryAfter: min(p.Period, time.Second)}
	}
	return nil
}

// accept says whether a charge may be decided here.
func (f *Fallback) accept(c *Charge, cause error) error {
	switch {
	case slices.Contains(f.closed, c.Policy.Name):
		return fmt.Errorf("ratelimit: %s: the shared engine fails: %w", c.Policy.Name, cause)
	case c.Cost > c.Policy.Limit: // a part is not more than the whole
		return fmt.Errorf("%w: %s: %d of at most %d", ErrTooCostly, c.Policy.Name, c.Cost, c.Policy.Limit)
	}
	return nil
}

func (f *Fallback) parts(charges []Charge) *scratch {
	s := f.scratch.Get().(*scratch)
	s.charges = s.charges[:0]
	for i := range charges {
		s.charges = append(s.charges, f.partOf(charges[i]))
	}
	s.decisions = slices.Grow(s.decisions[:0], len(charges))[:len(charges)]
	clear(s.decisions)
	return s
}

func (f *Fallback) release(s *scratch) {
	clear(s.charges) // keys are somebody's
	if cap(s.charges) <= maxKept {
		f.scratch.Put(s)
	}
}

// shadow counts what the shared engine let through. While that may have lost
// counters, it has to fit here too.
func (f *Fallback) shadow(ctx context.Context, charges []Charge, out []Decision) error {
	s := f.parts(charges)
	defer f.release(s)
	err := f.local.Take(ctx, s.charges, s.decisions)
	if err == nil && refusedBy(s.decisions) < 0 {
		return nil
	}
	for i := range charges {
		if err == nil && !s.decisions[i].Allowed && f.probation(charges[i].Policy) {
			f.takeBack(ctx, charges, out, s.decisions)
			return nil
		}
	}
	for i := range s.charges { // as much as there is room for
		one, d := s.charges[i:i+1], s.decisions[i:i+1]
		if err := f.local.Take(ctx, one, d); err == nil && !d[0].Allowed && d[0].Remaining > 0 {
			one[0].Cost = d[0].Remaining
			_ = f.local.Take(ctx, one, d) // another may have been faster: then it is full
		}
	}
	return nil
}

// probation says whether windows that the shared engine may have forgotten are
// still running.
func (f *Fallback) probation(p Policy) bool {
	recovered := f.recovered.Load()
	return recovered != 0 && time.Duration(f.now()-recovered) < p.Period
}

// takeBack refuses what the shared engine let through.
func (f *Fallback) takeBack(ctx context.Context, charges []Charge, out, local []Decision) {
	for i := range charges {
		c := charges[i]
		c.Taken = out[i].Taken
		if c.Cost > 0 { // if it fails, the caller is refused all the same
			_ = f.ask(ctx, func() error { return f.shared.Refund(ctx, c) })
		}
		limit := out[i].Limit
		out[i] = local[i]
		out[i].Limit = limit
	}
}

// Peek implements [Engine].
func (f *Fallback) Peek(ctx context.Context, c Charge) (Decision, error) {
	var d Decision
	err := f.ask(ctx, func() (err error) { d, err = f.shared.Peek(ctx, c); return err })
	if answered(err) || ctx.Err() != nil {
		return d, err
	}
	f.alone.Add(1)
	if err := f.accept(&c, err); err != nil {
		return Decision{}, err
	}
	d, err = f.local.Peek(ctx, f.partOf(c))
	d.Limit = c.Policy.Limit
	return d, err
}

// Refund implements [Engine].
func (f *Fallback) Refund(ctx context.Context, c Charge) error {
	if err := f.local.Refund(ctx, f.partOf(c)); err != nil {
		return err
	}
	if f.takenAlone(c.Taken) {
		return nil
	}
	return f.ask(ctx, func() error { return f.shared.Refund(ctx, c) })
}

// takenAlone says whether a charge may have been decided here. What was taken
// before this instance last decided alone counts as such: given back there, it
// might be others'.
func (f *Fallback) takenAlone(taken time.Time) bool {
	last := f.lastAlone.Load()
	if last == 0 {
		return false
	}
	if taken.IsZero() {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.failing
	}
	return int64(taken.Sub(f.start)) <= last
}

// Reset implements [Engine].
func (f *Fallback) Reset(ctx context.Context, c Charge) error {
	return errors.Join(
		f.local.Reset(ctx, f.partOf(c)),
		f.ask(ctx, func() error { return f.shared.Reset(ctx, c) }),
	)
}
