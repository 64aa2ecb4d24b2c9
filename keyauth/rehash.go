package keyauth

import (
	"context"
	"errors"

	"github.com/strikeplate/strikeplate/storage"
)

// rehash replaces a hash of another system, or one made with lower parameters
// than today's, after the secret was proven and while it is at hand. It waits
// behind all others for the slot; if that is crowded, the key's next proof tries
// again.
func (a *Authenticator) rehash(key storage.Key, secret string) {
	if a.closing.Err() != nil {
		return
	}
	a.working.Go(func() {
		ctx, cancel := context.WithTimeout(a.closing, storePatience+slotPatience)
		defer cancel()
		if err := a.rehashNow(ctx, key, secret); err != nil && !errors.Is(err, errBusy) &&
			!errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrRevoked) && !errors.Is(err, storage.ErrNotFound) && ctx.Err() == nil {
			a.logger.Warn("a key could not be re-hashed", "key", key.ID, "error", err)
		}
	})
}

func (a *Authenticator) rehashNow(ctx context.Context, key storage.Key, secret string) error {
	hash, err := a.scheme.hash(ctx, secret, background)
	if err != nil {
		return err
	}
	now, _ := a.clock()
	key.Hash = hash
	err = a.keys.Commit(ctx, storage.Mutation{Now: now, Put: []storage.Key{key}, Audit: []storage.Entry{{
		Organisation: key.Organisation, Actor: storage.Actor{Role: "system"},
		Action: "key.rehashed", Target: key.ID, At: now,
	}}})
	if err == nil {
		a.counts.rehashed.Add(1)
	}
	return err
}
