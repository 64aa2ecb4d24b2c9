package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// run stores what was counted every so often, until Close.
func (u *Counter) run() {
	defer close(u.done)
	tick := time.NewTicker(u.c.Every)
	defer tick.Stop()
	u.round()
	close(u.begun)
	for {
		select {
		case <-tick.C:
			u.round()
		case <-u.life.Done():
			return
		}
	}
}

func (u *Counter) round() {
	if err := u.Flush(u.life); err == nil {
		u.upkeep(u.life)
		u.watch(u.life)
	}
}

// Flush stores what was counted up to now. It is called every [Config.Every]
// without anybody's doing; call it where counts must be there at once. After a
// failure, counts are kept for the next time.
func (u *Counter) Flush(ctx context.Context) error {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	return u.flush(ctx, false)
}

// flush has the lock. Batches that wait go first, since they must arrive in order.
func (u *Counter) flush(ctx context.Context, final bool) error {
	until := u.now()
	u.collect(final)
	if len(u.out.sealed) > 1 || len(u.out.sealed) == 1 && u.out.attempted {
		if err := u.send(ctx); err != nil {
			if final { // there is no next time
				u.out.seal(u.c.Every, until, true)
			}
			return u.failed(err)
		}
	}
	u.out.seal(u.c.Every, until, final)
	if err := u.send(ctx); err != nil {
		return u.failed(err)
	}
	u.recovered()
	return nil
}

// collect takes the tables away from the shards and merges them.
func (u *Counter) collect(final bool) {
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		full := s.table
		s.table, s.closed = s.spare, final
		s.mu.Unlock()
		if !full.empty() {
			u.out.pending.merge(full)
			full.reset()
		}
		s.spare = full
	}
	u.stats.collected(u)
}

// send stores the sealed batches in order.
func (u *Counter) send(ctx context.Context) error {
	for len(u.out.sealed) > 0 {
		b := u.out.sealed[0]
		// The clock of the first attempt: what a batch says must not change.
		if b.Now.IsZero() {
			b.Now = u.now()
			if b.Until.IsZero() {
				b.Until = b.Now
			}
			u.out.sealed[0] = b
		}
		err := u.add(ctx, b)
		switch {
		case errors.Is(err, storage.ErrForgotten):
			u.beginAgain()
			continue
		case err != nil:
			u.out.attempted = true
			return err
		}
		u.stats.stored(b)
		if u.c.Watch.Alarm != nil {
			u.watching.note(b)
		}
		u.out.sealed, u.out.attempted = u.out.sealed[1:], false
	}
	return nil
}

func (u *Counter) add(ctx context.Context, b storage.UsageBatch) error {
	ctx, cancel := context.WithTimeout(ctx, u.c.Patience)
	defer cancel()
	return u.c.Store.AddUsage(ctx, b)
}

// beginAgain makes a new instance after the store gave this one up. The batch
// that was refused is sent again only if it can't have been stored before: a
// loss is a gap that is told, a batch that counts twice would not be.
func (u *Counter) beginAgain() {
	if u.out.attempted {
		lost := u.out.sealed[0]
		u.stats.dropped(requests(lost))
		u.out.gap = later(u.out.gap, later(lost.Until, lost.Now))
		u.out.sealed = u.out.sealed[1:]
		u.logger.Warn("usage: the store had given this instance up, and a batch may be lost", "requests", requests(lost))
	}
	u.out.begin(u.c.Every)
}

// Close stores what was counted and ends the background work. Call it when no
// request is under way any more, after the server's Shutdown: what comes later is
// dropped and told by [Stats]. If the store can't be reached, the error says how
// many requests are lost; calling Close again tries again.
func (u *Counter) Close(ctx context.Context) error {
	u.end()
	select {
	case <-u.done:
	case <-ctx.Done():
		return fmt.Errorf("usage: close: %w", ctx.Err())
	}
	u.flushing.Lock()
	defer u.flushing.Unlock()
	var err error
	if u.out.final {
		err = u.send(ctx) // what an earlier Close left
	} else {
		err = u.flush(ctx, true)
	}
	if err != nil {
		var lost int64
		for _, b := range u.out.sealed {
			lost += requests(b)
		}
		return fmt.Errorf("usage: close: %d requests are not stored: %w", lost, err)
	}
	return nil
}
