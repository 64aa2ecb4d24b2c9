package keyauth

import (
	"context"
	"errors"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// recognisePause is how long background work stays away from a full queue.
const recognisePause = 250 * time.Millisecond

// ErrUnusableHash is wrapped by [Scheme.Recognise]'s failure for a record whose
// stored hash can't be checked, now or later.
var ErrUnusableHash = errHash

// Recognise reports whether p is the secret of the key whose record is given,
// revoked, expired or not. It is for reports of leaked keys: hashing waits in the
// slot behind all that verifies requests, also while the queue is full, until
// ctx ends. Failures: [ErrUnusableHash], ctx's error.
func (s *Scheme) Recognise(ctx context.Context, p Parsed, key storage.Key) (bool, error) {
	if p.Lookup != key.Lookup || p.Format != key.Format || p.Environment != key.Environment {
		return false, nil
	}
	stored, err := s.readHash(key.Hash)
	if err != nil {
		return false, err
	}
	if err := s.acquireBehind(ctx); err != nil {
		return false, err
	}
	defer s.slot.release()
	s.slot.hashes.Add(1)
	return stored.matches(p.Secret.Reveal())
}

// acquireBehind waits for the slot however crowded it is.
func (s *Scheme) acquireBehind(ctx context.Context) error {
	for {
		err := s.slot.acquire(ctx, background)
		if !errors.Is(err, errBusy) {
			return err
		}
		pause := time.NewTimer(recognisePause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}
