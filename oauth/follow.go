package oauth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/strikeplate/strikeplate/internal/freshness"
	"github.com/strikeplate/strikeplate/storage"
)

// sink counts changes before the tracker notes them. A token's grant, and so its
// stamps, are known only after the store was read: who finds the same count
// before reading and after stamping has read nothing that was changing.
type sink struct {
	*freshness.Tracker
	changes atomic.Uint64
}

// Changed implements [storage.Sink].
func (s *sink) Changed(subject storage.Subject, organisation, id string, version int64) {
	s.changes.Add(1)
	s.Tracker.Changed(subject, organisation, id, version)
}

// Lost implements [storage.Sink].
func (s *sink) Lost(err error) {
	s.changes.Add(1)
	s.Tracker.Lost(err)
}

// follow watches the feed until Close. A feed that gives up is begun again:
// meanwhile every request asks the store.
func (r *Resource) follow(feed storage.Feed) {
	for r.closing.Err() == nil {
		err := feed.Watch(r.closing, &r.sink)
		if r.closing.Err() != nil {
			return
		}
		r.sink.Lost(err)
		r.config.Logger.Error("the change feed ended; every request asks the store until it is back", "error", err)
		select {
		case <-r.closing.Done():
		case <-time.After(time.Second):
		}
	}
}

// Close stops following the feed, ends the background work of the resource and
// of its authenticators, and waits for it until ctx ends. Requests that come
// later are still answered, as long as signing keys that are known suffice.
func (r *Resource) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	done := make(chan struct{})
	go func() {
		r.working.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.sink.Lost(errClosed)
	r.standing.Close()
	for _, c := range r.all() {
		c.tokens.StopAllGoroutines()
	}
	return nil
}

var errClosed = errors.New("oauth: the Resource is closed")

// background runs f, unless Close began: it waits for what runs.
func (r *Resource) background(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.working.Go(f)
	return true
}

// Ready reports why tokens could not be checked at full speed: the feed is not
// fresh, or an issuer's keys are not known. Use it for a readiness probe.
func (r *Resource) Ready(ctx context.Context) error {
	_, age := r.clock()
	if r.config.Feed != nil && !r.tracker.IsFresh(age) {
		return errors.New("oauth: the change feed is not fresh")
	}
	for _, c := range r.all() {
		if err := c.source.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

type counts struct {
	examined, refused, fetches, fetchFailures, asked, shed, unproven atomic.Uint64
}

// Stats are counts since [NewResource], and gauges.
type Stats struct {
	Examined uint64 // tokens that weren't remembered, or no longer
	Refused  uint64 // answers 401
	Fetches  uint64 // of signing keys, with or without success
	Failures uint64 // of these
	Asked    uint64 // questions to introspection endpoints and to the store of grants
	Shed     uint64 // requests refused because too many waited for an issuer
	Unproven uint64 // tokens that came without a good DPoP proof

	Remembered int           // tokens, about
	Fresh      bool          // whether the feed is healthy
	FeedAge    time.Duration // since the feed's last barrier; 0 where there was none
}

// Stats returns the current counts. It is cheap and safe for concurrent use.
func (r *Resource) Stats() Stats {
	_, age := r.clock()
	n := &r.counts
	s := Stats{Examined: n.examined.Load(), Refused: n.refused.Load(), Fetches: n.fetches.Load(), Failures: n.fetchFailures.Load(),
		Asked: n.asked.Load(), Shed: n.shed.Load(), Unproven: n.unproven.Load(), Fresh: r.tracker.IsFresh(age)}
	for _, c := range r.all() {
		s.Remembered += c.tokens.EstimatedSize()
	}
	if feedAge, ok := r.tracker.Age(age); ok {
		s.FeedAge = feedAge
	}
	return s
}
