package usage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// LastUsed tells when each key last succeeded; one that never did is left out. It
// fits manage.Config.LastUsed, whose caller has read the keys in their
// organisation: it asks for no organisation itself, so give it no ids that came
// from a client.
func (u *Counter) LastUsed(ctx context.Context, ids []string) (map[string]time.Time, error) {
	found := make(map[string]time.Time, len(ids))
	for part := range slices.Chunk(ids, storage.MaxUsageRows) {
		some, err := u.c.Store.LastUsed(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("usage: last used: %w", err)
		}
		maps.Copy(found, some)
	}
	return found, nil
}

// Credentials tells what is known of an organisation's credentials: when each was
// first and last used, and whether a browser has it.
func (u *Counter) Credentials(ctx context.Context, organisation string, ids []string) (map[string]storage.UsageSeen, error) {
	return seen(ctx, u.c.Store.UsageOfCredentials, organisation, ids)
}

// Lineages tells the same of lineages: of all credentials of each together.
func (u *Counter) Lineages(ctx context.Context, organisation string, lineages []string) (map[string]storage.UsageSeen, error) {
	return seen(ctx, u.c.Store.UsageOfLineages, organisation, lineages)
}

func seen(ctx context.Context, ask func(context.Context, string, []string) (map[string]storage.UsageSeen, error),
	organisation string, names []string) (map[string]storage.UsageSeen, error) {
	if organisation == "" {
		return nil, fmt.Errorf("%w: an Organisation is required", ErrRange)
	}
	found := make(map[string]storage.UsageSeen, len(names))
	for part := range slices.Chunk(names, storage.MaxUsageRows) {
		some, err := ask(ctx, organisation, part)
		if err != nil {
			return nil, fmt.Errorf("usage: last used: %w", err)
		}
		maps.Copy(found, some)
	}
	return found, nil
}

// Idle tells what is known for certain of the use of keys. It fits
// operate.Idle.LastUsed. Use that was refused counts as well, if the secret was
// proven. What this process has counted is stored first; while that fails, while
// another instance is silent, or after something was dropped, it says that
// nothing is complete.
func (u *Counter) Idle(ctx context.Context, organisation string, ids []string) (storage.UsageKnown, error) {
	if err := u.Flush(ctx); err != nil {
		return storage.UsageKnown{}, fmt.Errorf("usage: %w", err)
	}
	// First how far knowledge goes, then what is known: a gap that is noted in
	// between is not overlooked the next time, but a use in between is seen.
	since, err := u.c.Store.UsageCompleteSince(ctx, organisation, u.now())
	if err != nil {
		return storage.UsageKnown{}, fmt.Errorf("usage: completeness: %w", err)
	}
	found, err := u.Credentials(ctx, organisation, ids)
	if err != nil {
		return storage.UsageKnown{}, err
	}
	use := storage.UsageKnown{LastUsed: make(map[string]time.Time, len(found)), CompleteSince: since}
	for id, s := range found {
		use.LastUsed[id] = s.Presented
	}
	return use, nil
}
