package operate

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// running is one run of [Events]. One goroutine reads and dispatches; an
// organisation's entries are delivered by one goroutine at a time.
type running struct {
	*Events
	wake  chan struct{}
	done  chan served
	state map[string]*line // organisations that are being served, or must wait
	busy  int
	// pending are the shares of the last page that are still to be served, at most
	// one of an organisation. No other page is read before, or an organisation
	// could be served twice with the same entries.
	pending [][]storage.Entry
}

// line is an organisation that nothing new is dispatched for.
type line struct {
	busy     bool
	failures int       // of the event in front, one after the other
	position int64     // of that event
	retry    time.Time // when it is tried again
}

// served is the outcome of one organisation's share.
type served struct {
	organisation string
	failed       *storage.Entry // nil: all were delivered
}

// watch prompts the loop whenever a key changes. The feed's silence is harmless.
func (r *running) watch(ctx context.Context) {
	if r.c.Feed == nil {
		return
	}
	for ctx.Err() == nil {
		err := r.c.Feed.Watch(ctx, prompt(r.wake))
		if ctx.Err() != nil {
			return
		}
		r.c.Logger.WarnContext(ctx, "events: the change feed ended; delivery goes by polling until it is back", "error", err)
		pause(ctx, r.c.Poll)
	}
}

// prompt is a feed's sink.
type prompt chan struct{}

func (p prompt) Changed(storage.Subject, string, string, int64) { p.now() }
func (p prompt) Fresh(time.Time)                                {}
func (p prompt) Lost(error)                                     { p.now() }

// now never blocks: whoever commits calls it.
func (p prompt) now() {
	select {
	case p <- struct{}{}:
	default:
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (r *running) loop(ctx context.Context) error {
	defer func() { // their acknowledgements are worth waiting for
		for ; r.busy > 0; r.busy-- {
			<-r.done
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.wake:
		case <-timer.C:
		case s := <-r.done:
			r.settle(s)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		now := time.Now()
		if err := r.dispatch(ctx, now); err != nil && ctx.Err() == nil {
			r.c.Logger.WarnContext(ctx, "events: the log could not be read", "consumer", r.c.Consumer, "error", err)
		}
		timer.Reset(r.untilNext(now))
	}
}

// settle notes how an organisation's share ended.
func (r *running) settle(s served) {
	r.busy--
	l := r.state[s.organisation]
	if s.failed == nil {
		delete(r.state, s.organisation)
		return
	}
	if l.position != s.failed.Position {
		l.failures = 0
	}
	l.busy, l.position, l.failures = false, s.failed.Position, l.failures+1
	l.retry = time.Now().Add(min(r.c.Retry<<min(l.failures-1, 10), longestRetry))
}

// untilNext is how long nothing needs to be done, after what was due at a moment
// was dispatched. What was due and has gone, delivered by another instance or
// erased, is forgotten.
func (r *running) untilNext(dispatched time.Time) time.Duration {
	wait := r.c.Poll
	for name, l := range r.state {
		switch {
		case l.busy:
		case l.retry.After(dispatched):
			wait = min(wait, max(time.Until(l.retry), 0))
		case dispatched.Sub(l.retry) > longestRetry:
			delete(r.state, name)
		}
	}
	return wait
}

// dispatch hands each organisation that needn't wait its share, for as long as
// one more may be served, and reads what there is when it has nothing left. The
// store goes round: a page on which all must wait is followed by one with
// others, until all have been seen, or many; the next look goes on from there.
func (r *running) dispatch(ctx context.Context, now time.Time) error {
	seen := make(map[string]bool)
	for pages := 0; r.busy < r.c.Parallel; {
		if len(r.pending) > 0 {
			share := r.pending[0]
			r.pending = r.pending[1:]
			r.serve(ctx, share)
			continue
		}
		if pages++; pages > mostPages {
			return nil
		}
		entries, err := r.c.Operator.Undelivered(ctx, r.c.Consumer, 0)
		if err != nil {
			return err
		}
		if !r.take(entries, seen, now) {
			return nil
		}
	}
	return nil
}

// take splits a page into shares, keeps those that can be served now, and
// reports whether it was about an organisation that wasn't seen before.
func (r *running) take(entries []storage.Entry, seen map[string]bool, now time.Time) (fresh bool) {
	for len(entries) > 0 {
		name, n := entries[0].Organisation, 1
		for n < len(entries) && entries[n].Organisation == name {
			n++
		}
		share := entries[:n]
		entries = entries[n:]
		if seen[name] {
			continue
		}
		seen[name], fresh = true, true
		if l := r.state[name]; l == nil || !l.busy && !now.Before(l.retry) {
			r.pending = append(r.pending, share)
		}
	}
	return fresh
}

// serve begins to deliver an organisation's share.
func (r *running) serve(ctx context.Context, share []storage.Entry) {
	organisation := share[0].Organisation
	l := r.state[organisation]
	if l == nil {
		l = &line{}
		r.state[organisation] = l
	}
	l.busy = true
	r.busy++
	failures, position := l.failures, l.position
	go func() {
		failed := r.deliver(ctx, share, position, failures)
		r.done <- served{organisation, failed}
	}()
}

// deliver handles entries one after the other and acknowledges those that are
// done with, also if one fails or ctx ends. It returns the one to be tried again.
func (r *running) deliver(ctx context.Context, share []storage.Entry, position int64, failures int) *storage.Entry {
	var done int64
	var failed *storage.Entry
	for i := range share {
		if failed = r.one(ctx, share[i], position, failures); failed != nil {
			break
		}
		done = share[i].Position
	}
	if done == 0 {
		return failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackPatience)
	defer cancel()
	if err := r.c.Operator.Acknowledge(ctx, r.c.Consumer, share[0].Organisation, done); err != nil {
		r.c.Logger.WarnContext(ctx, "events: what was delivered could not be acknowledged and will be delivered again",
			"consumer", r.c.Consumer, "organisation", share[0].Organisation, "error", err)
		if failed == nil {
			failed = &share[0] // wait before it is delivered again
		}
	}
	return failed
}

func (r *running) one(ctx context.Context, e storage.Entry, position int64, failures int) *storage.Entry {
	if ctx.Err() != nil {
		return &e
	}
	err := r.handle(ctx, event(e))
	if err == nil {
		return nil
	}
	if e.Position != position {
		failures = 0
	}
	if ctx.Err() == nil && r.c.GiveUp != nil && r.c.GiveUp(event(e), failures+1, err) {
		return nil
	}
	r.c.Logger.WarnContext(ctx, "events: an event could not be delivered and will be tried again", "consumer", r.c.Consumer,
		"organisation", e.Organisation, "position", e.Position, "action", e.Action, "attempts", failures+1, "error", err)
	return &e
}
