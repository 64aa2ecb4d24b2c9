package usage

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

const (
	upkeepEvery  = time.Hour
	upkeepRetry  = 10 * time.Minute
	upkeepRounds = 100 // of 1,000 rows each, at one time
)

// upkeep removes what is older than it should get. Of several instances one does
// it, for all organisations.
func (u *Counter) upkeep(ctx context.Context) {
	now := u.now()
	if now.Before(u.upkeepAt) {
		return
	}
	u.upkeepAt = now.Add(upkeepRetry)
	claim := storage.UsageClaim{Task: "prune", Holder: u.instance(), Now: now, Until: now.Add(upkeepEvery)}
	ours, err := u.claim(ctx, claim)
	if err == nil && ours {
		u.upkeepAt = now.Add(upkeepEvery)
		err = u.prune(ctx, now)
	}
	if err != nil && ctx.Err() == nil {
		u.logger.WarnContext(ctx, "usage: what is old can't be removed", "error", err)
	}
}

func (u *Counter) claim(ctx context.Context, c storage.UsageClaim) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, u.c.Patience)
	defer cancel()
	return u.c.Store.ClaimUsage(ctx, c)
}

func (u *Counter) prune(ctx context.Context, now time.Time) error {
	keep := u.c.Keep
	cut := storage.UsageCutoffs{
		Now: now, Minutes: now.Add(-keep.Minutes), Hours: now.Add(-keep.Hours), Days: now.Add(-keep.Days),
		Addresses: now.Add(-keep.Addresses), Instances: now.Add(-keep.Instances),
		Names: now.Add(-max(keep.Minutes, keep.Hours, keep.Days, keep.Addresses)),
	}
	for range upkeepRounds {
		n, err := u.pruneOnce(ctx, cut)
		if err != nil || n == 0 {
			return err
		}
	}
	return nil // the rest next time
}

func (u *Counter) pruneOnce(ctx context.Context, cut storage.UsageCutoffs) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, u.c.Patience)
	defer cancel()
	return u.c.Store.PruneUsage(ctx, cut, 0)
}

func (u *Counter) instance() string {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	return u.out.instance
}
