package keyauth

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// follow watches the feed until Close. A feed that gives up is begun again:
// meanwhile every request asks the store.
func (a *Authenticator) follow(feed storage.Feed) {
	for a.closing.Err() == nil {
		err := feed.Watch(a.closing, a.tracker)
		if a.closing.Err() != nil {
			return
		}
		a.tracker.Lost(err)
		a.logger.Error("the change feed ended; every request asks the store until it is back", "error", err)
		select {
		case <-a.closing.Done():
		case <-time.After(time.Second):
		}
	}
}

// Close stops following the feed, ends background work and waits for it until
// ctx ends. Requests that come later are still answered, each asking the store.
func (a *Authenticator) Close(ctx context.Context) error {
	a.stop()
	done := make(chan struct{})
	go func() {
		a.working.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	a.tracker.Lost(errors.New("closed"))
	a.standing.Close()
	a.throttle.close()
	a.proofs.StopAllGoroutines()
	return nil
}

// Ready reports why keys could not be verified at full speed: the store is not
// ready, or the feed is not fresh. Use it for a readiness probe.
func (a *Authenticator) Ready(ctx context.Context) error {
	if a.ready != nil {
		if err := a.ready(ctx); err != nil {
			return fmt.Errorf("keyauth: store: %w", err)
		}
	}
	_, age := a.clock()
	if !a.noFeed && !a.tracker.IsFresh(age) {
		return errors.New("keyauth: the change feed is not fresh")
	}
	return nil
}

type counts struct {
	lookups, reads, malformed, rehashed, bridged atomic.Uint64
}

// Stats are counts since [New], and gauges. Those of hashing are shared by all
// that use the same [Scheme].
type Stats struct {
	Hashes    uint64 // secrets hashed, to mint and to verify
	Shed      uint64 // verifications refused because the hash queue was full
	Throttled uint64 // attempts refused after too many wrong secrets
	Malformed uint64 // credentials refused by shape or checksum alone
	Lookups   uint64 // records asked for by look-up id
	Reads     uint64 // records asked for by a proven key's id
	Rehashed  uint64 // hashes replaced by stronger ones
	Bridged   uint64 // requests answered from StaleIfDown's grace

	// Proofs that Cache.Shared had, hadn't, or had in a form that proves nothing;
	// and calls of it that failed.
	SharedHits, SharedMisses, SharedRejected, SharedFailed uint64

	Waiting int           // in the hash queue now
	Proven  int           // keys remembered as proven, about
	Fresh   bool          // whether the feed is healthy, so that states are served from memory
	FeedAge time.Duration // since the feed's last barrier; 0 where there was none
}

// Stats returns the current counts. It is cheap and safe for concurrent use.
func (a *Authenticator) Stats() Stats {
	_, age := a.clock()
	s := Stats{
		Hashes: a.scheme.slot.hashes.Load(), Shed: a.scheme.slot.shed.Load(),
		Throttled: a.throttle.refused.Load(), Malformed: a.counts.malformed.Load(),
		Lookups: a.counts.lookups.Load(), Reads: a.counts.reads.Load(),
		Rehashed: a.counts.rehashed.Load(), Bridged: a.counts.bridged.Load(),
		Waiting: a.scheme.slot.depth(), Proven: a.proofs.EstimatedSize(), Fresh: a.tracker.IsFresh(age),
	}
	if a.shared != nil {
		s.SharedHits, s.SharedMisses = a.shared.hits.Load(), a.shared.misses.Load()
		s.SharedRejected, s.SharedFailed = a.shared.rejected.Load(), a.shared.failed.Load()
	}
	if feedAge, ok := a.tracker.Age(age); ok {
		s.FeedAge = feedAge
	}
	return s
}
