package leak

import (
	"context"
	"errors"
	"time"

	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

const (
	storePatience = 3 * time.Second  // for one call of the store
	giveUpAfter   = 15 * time.Minute // of an item that the store keeps failing for
)

// pauses between attempts, after which an item goes behind the others.
var pauses = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}

// settle judges an item and deals with its key, whatever it takes. It returns
// false where the item must be tried again later.
func (in *Intake) settle(ctx context.Context, it *item) bool {
	for _, pause := range pauses {
		found, revoked, err := in.attempt(ctx, it)
		switch {
		case err == nil:
			in.work.finish(it, found, revoked)
			return true
		case errors.Is(err, keyauth.ErrUnusableHash), ctx.Err() != nil, time.Since(it.since) > giveUpAfter:
			in.giveUp(ctx, it, err)
			return true
		}
		it.troubled.Store(true)
		wait(ctx, pause)
	}
	return false
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// giveUp tells the log what an operator needs to end the key by hand. A minted
// key's look-up id is public; what stands for it in a foreign one need not be.
func (in *Intake) giveUp(ctx context.Context, it *item, err error) {
	lookup := "(foreign)"
	if !it.parsed.Foreign {
		lookup = it.parsed.Lookup
	}
	in.c.Logger.ErrorContext(ctx, "a reported key could not be verified; look at it and revoke it",
		"lookup", lookup, "format", it.parsed.Format, "reporter", it.leak.Reporter, "error", err)
	in.work.finish(it, unknown, false)
}

// attempt verifies the token and, if it is a key, deals with that.
func (in *Intake) attempt(ctx context.Context, it *item) (found label, revoked bool, err error) {
	key, err := in.find(ctx, it.parsed.Lookup)
	if errors.Is(err, storage.ErrNotFound) {
		return falsePositive, false, nil
	}
	if err != nil {
		return unknown, false, err
	}
	match, err := in.c.Scheme.Recognise(ctx, it.parsed, key)
	switch {
	case err != nil:
		return unknown, false, err
	case !match:
		return falsePositive, false, nil
	}
	revoked, err = in.act(ctx, it, key)
	if err != nil {
		return unknown, false, err
	}
	return truePositive, revoked, nil
}

func (in *Intake) find(ctx context.Context, lookup string) (storage.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	return in.c.Keys.KeyByLookup(ctx, lookup)
}
