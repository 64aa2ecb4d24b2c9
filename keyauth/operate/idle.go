package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// Idle says what [Service.Sweep] does about keys that nobody uses.
type Idle struct {
	// After is how long a key must not have been used; zero: not looked for.
	After time.Duration
	// Revoke ends idle keys, for ever. False: they are reported.
	Revoke bool
	// LastUsed tells what is known of the use of an organisation's keys.
	LastUsed func(ctx context.Context, organisation string, ids []string) (Usage, error)
}

// Usage is what is known of the use of some keys. Package usage tells it, which
// may not import this one.
type Usage = storage.UsageKnown

// idle takes out of an organisation's active keys those that idle, and returns
// the rest.
func (w *sweeping) idle(ctx context.Context, organisation string, active []storage.Key) ([]storage.Key, error) {
	h := w.hygiene.Idle
	if h.After == 0 || len(active) == 0 {
		return active, nil
	}
	ids := make([]string, len(active))
	for i, k := range active {
		ids[i] = k.ID
	}
	usage, err := h.LastUsed(ctx, organisation, ids)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		w.c.Logger.WarnContext(ctx, "use of keys is unknown, so none of them is taken for idle", "organisation", organisation, "error", err)
		usage = Usage{}
	}
	var rest []storage.Key
	for _, k := range active {
		verdict := judge(usage, k, w.now.Add(-h.After))
		if verdict == idles {
			if verdict, err = w.couldBeUsed(ctx, k); err != nil {
				return nil, err
			}
		}
		if verdict == unknown {
			w.report.Unknown++
		}
		if verdict != idles {
			rest = append(rest, k)
			continue
		}
		revoked, err := w.end(ctx, k, usage.LastUsed[k.ID])
		if err != nil {
			return nil, err
		}
		if !revoked {
			rest = append(rest, k)
		}
	}
	return rest, nil
}

// verdict on a key's use.
type verdict int

const (
	used verdict = iota
	idles
	unknown
)

// judge asks whether a key was used since a moment. Of a key that was never
// seen, that is known only if its whole life was watched: one from before may
// have been used then, and an imported one, whose record may say that it is
// older than the watch, came to this service at a moment that nobody knows.
func judge(u Usage, k storage.Key, since time.Time) verdict {
	last, seen := u.LastUsed[k.ID]
	switch {
	case seen && !last.Before(since):
		return used
	case k.Created.After(since):
		return used // or hardly had the time to be
	case u.CompleteSince.IsZero() || u.CompleteSince.After(since):
		return unknown
	case !seen && (isImported(k) || k.Created.Before(u.CompleteSince)):
		return unknown
	}
	return idles
}

// couldBeUsed protects keys that are refused whatever they do: they work again
// when their owner is reactivated or their account is paid for.
func (w *sweeping) couldBeUsed(ctx context.Context, k storage.Key) (verdict, error) {
	if w.c.Directory == nil {
		return idles, nil // report only: settle sees to it
	}
	account, err := w.c.Directory.Account(ctx, k.Organisation)
	if err == nil && !account.Lapsed && k.Access.ForUser() {
		var owner storage.User
		owner, err = w.c.Directory.User(ctx, k.Organisation, k.Owner)
		if err == nil && !owner.Active {
			return unknown, nil
		}
	}
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && account.Lapsed:
		return unknown, nil
	case err != nil:
		return unknown, fmt.Errorf("directory: %w", err)
	}
	return idles, nil
}

// end revokes an idle key where the config says so.
func (w *sweeping) end(ctx context.Context, k storage.Key, last time.Time) (revoked bool, err error) {
	w.report.Idle++
	f := Finding{Kind: FoundIdle, LastUsed: last}
	if w.hygiene.Idle.Revoke && !w.hygiene.DryRun {
		before := k
		k.Revoked, k.Sealed = w.now, nil
		k.RevokedBecause = "idle: never used"
		if !last.IsZero() {
			k.RevokedBecause = "idle: last used " + last.UTC().Format(time.DateOnly)
		}
		if revoked, err = w.change(ctx, manage.ActionRevoke, before, k); err != nil {
			return false, err
		}
		if !revoked { // it changed meanwhile: the next sweep looks again
			k = before
		}
	}
	if revoked {
		w.report.Revoked++
	}
	f.Key, f.Done = manage.KeyOf(k, w.now), revoked
	w.found(f)
	return revoked, nil
}
