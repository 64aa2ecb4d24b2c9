package usage

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Stats tells what a [Counter] did since it was made.
type Stats struct {
	// Requests had a proven credential; Refused were refused, whoever they were;
	// Anonymous were neither; Abandoned were left by their client.
	Requests, Refused, Anonymous, Abandoned int64
	// Stored of the Requests are in the store; Pending wait to be stored.
	Stored, Pending int64
	// Others were counted, but for "(other)", since a bound was reached.
	Others int64
	// Dropped are lost: counted beyond all bounds, or after Close, or in a batch
	// that may or may not have been stored.
	Dropped int64
	// Batches were stored and Failures were not. LastStored is when the store last
	// took one. Failing is its error, empty while it works.
	Batches, Failures int64
	LastStored        time.Time
	Failing           string
	// Alarms were raised, AlarmFailures could not be delivered.
	Alarms, AlarmFailures int64
}

type statsCell struct {
	mu     sync.Mutex
	all    Stats
	warned Stats // what the log was told of
}

// Stats returns the counters. Requests of the last interval are not in them.
func (u *Counter) Stats() Stats {
	u.stats.mu.Lock()
	defer u.stats.mu.Unlock()
	all := u.stats.all
	all.Dropped += u.late.Load()
	all.Pending = all.Requests - all.Stored - u.stats.all.Dropped
	return all
}

// collected takes over what the pending table has counted, and tells the log when
// something begins to be dropped.
func (c *statsCell) collected(u *Counter) {
	t := &u.out.pending.totals
	c.mu.Lock()
	all := &c.all
	all.Requests += t.requests
	all.Refused += t.refusals
	all.Anonymous += t.anonymous
	all.Abandoned += t.abandoned
	all.Others += t.others
	all.Dropped += t.dropped
	newlyOthers, newlyDropped := all.Others > 0 && c.warned.Others == 0, t.dropped > 0 && c.warned.Dropped == 0
	if newlyOthers {
		c.warned.Others = all.Others
	}
	if newlyDropped {
		c.warned.Dropped = all.Dropped
	}
	dropped := all.Dropped
	c.mu.Unlock()
	*t = totals{}
	if newlyOthers {
		u.logger.Warn("usage: a bound is reached, and some requests are counted as (other)", "keys", u.c.Keys, "rows", u.c.Rows)
	}
	if newlyDropped {
		u.logger.Error("usage: the store has failed for so long that requests are dropped uncounted", "dropped", dropped)
	}
}

func (c *statsCell) stored(b storage.UsageBatch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Batches++
	c.all.Stored += requests(b)
	c.all.LastStored = b.Now
}

func (c *statsCell) dropped(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Dropped += n
}

func (c *statsCell) alarmed(failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if failed {
		c.all.AlarmFailures++
	} else {
		c.all.Alarms++
	}
}

// failed notes that the store failed, and tells the log the first time.
func (u *Counter) failed(err error) error {
	if u.life.Err() != nil && errors.Is(err, context.Canceled) {
		return err // Close interrupted it, and tries again
	}
	u.stats.mu.Lock()
	first := u.stats.all.Failing == ""
	u.stats.all.Failing = err.Error()
	u.stats.all.Failures++
	u.stats.mu.Unlock()
	if first {
		u.logger.Warn("usage: counts can't be stored, and are kept until they can", "error", err)
	}
	return err
}

func (u *Counter) recovered() {
	u.stats.mu.Lock()
	was := u.stats.all.Failing
	u.stats.all.Failing = ""
	dropped := u.stats.all.Dropped
	if was != "" {
		u.stats.warned = Stats{}
	}
	u.stats.mu.Unlock()
	if was != "" {
		u.logger.Info("usage: counts are stored again", "dropped", dropped)
	}
}
