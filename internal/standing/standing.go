// Package standing answers whether an organisation and a user may use the API
// right now, from the embedder's [storage.Directory]. API keys and OAuth tokens
// ask the same questions here and get the same answers.
package standing

import (
	"context"
	"errors"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/strikeplate/strikeplate/internal/freshness"
	"github.com/strikeplate/strikeplate/storage"
)

// Standing is what the directory says of an organisation and one of its users.
type Standing struct {
	Plan     string
	Settings map[string]any
	Lapsed   bool // the subscription ended, or there is no such account
	Inactive bool // the user is deactivated, or unknown
	Scopes   []string
	// Until is when the answer must be asked for again, on the tracker's scale.
	Until time.Duration
}

// Cache asks a Directory and remembers its answers, bounded in time and number.
type Cache struct {
	directory storage.Directory
	tracker   *freshness.Tracker
	lifetime  time.Duration
	patience  time.Duration
	accounts  *otter.Cache[string, answer[storage.Account]]
	users     *otter.Cache[userID, answer[storage.User]]
	flights   singleflight.Group
}

type userID struct{ organisation, id string }

// answer is what the directory said, or that it knows no such record.
type answer[T any] struct {
	record T
	known  bool
	stamp  freshness.Stamp
	until  time.Duration
}

// New returns a cache of at most entries accounts and as many users, each
// remembered for at most lifetime. A call to the directory may take patience.
// A nil directory finds everybody in good standing.
func New(d storage.Directory, t *freshness.Tracker, lifetime, patience time.Duration, entries int) (*Cache, error) {
	accounts, err := otter.New(&otter.Options[string, answer[storage.Account]]{MaximumSize: entries})
	if err != nil {
		return nil, err
	}
	users, err := otter.New(&otter.Options[userID, answer[storage.User]]{MaximumSize: entries})
	if err != nil {
		return nil, err
	}
	return &Cache{directory: d, tracker: t, lifetime: lifetime, patience: patience, accounts: accounts, users: users}, nil
}

// Close ends the caches' goroutines.
func (c *Cache) Close() {
	c.accounts.StopAllGoroutines()
	c.users.StopAllGoroutines()
}

// Check returns the standing of an organisation and, unless it is empty, one
// of its users. An error means that the directory could not be asked.
func (c *Cache) Check(ctx context.Context, organisation, user string) (Standing, error) {
	if c.directory == nil {
		return Standing{Until: 1<<63 - 1}, nil
	}
	account, err := remember(ctx, c, c.accounts, organisation, organisation,
		func(ctx context.Context) (storage.Account, error) { return c.directory.Account(ctx, organisation) })
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Plan: account.record.Plan, Settings: account.record.Settings,
		Lapsed: !account.known || account.record.Lapsed, Until: account.until}
	if user == "" {
		return s, nil
	}
	member, err := remember(ctx, c, c.users, userID{organisation, user}, organisation,
		func(ctx context.Context) (storage.User, error) { return c.directory.User(ctx, organisation, user) })
	if err != nil {
		return Standing{}, err
	}
	s.Inactive = !member.known || !member.record.Active
	s.Scopes = member.record.Scopes
	s.Until = min(s.Until, member.until)
	return s, nil
}

// remember returns the cached answer while it counts, else asks, once for all
// who want to know at the same time. Who comes after an invalidation doesn't
// join a question that was put before it.
func remember[K comparable, T any](ctx context.Context, c *Cache, cache *otter.Cache[K, answer[T]],
	key K, organisation string, ask func(context.Context) (T, error),
) (answer[T], error) {
	now := c.tracker.Since(time.Now())
	if a, ok := cache.GetIfPresent(key); ok && now < a.until && c.tracker.OrganisationUnchanged(&a.stamp) {
		return a, nil
	}
	stamp := c.tracker.Stamp("", organisation)
	flight := c.flights.DoChan(flightName(key, stamp), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.patience)
		defer cancel()
		record, err := ask(ctx)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
		a := answer[T]{record: record, known: err == nil, stamp: stamp, until: now + c.lifetime}
		cache.Set(key, a)
		return a, nil
	})
	select {
	case result := <-flight:
		if result.Err != nil {
			return answer[T]{}, result.Err
		}
		return result.Val.(answer[T]), nil
	case <-ctx.Done():
		return answer[T]{}, ctx.Err()
	}
}
