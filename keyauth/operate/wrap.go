package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/strikeplate/strikeplate/storage"
)

// Wrapping is one run of [Service.Wrap].
type Wrapping struct {
	// Most is the number of hashes to wrap; zero: 10,000. Each takes as long as
	// verifying a new key, some 50 ms, and goes behind all verification.
	Most int
	// From is where an earlier run ended, its report's Next; empty: at the beginning.
	From string
}

// WrapReport tells what a run did.
type WrapReport struct {
	// Wrapped hashes. Skipped keys changed meanwhile, most often because they
	// were used and re-hashed: the next run from the beginning looks at them again.
	Wrapped, Skipped int
	// Next is where another run goes on; empty: every key was looked at.
	Next string
}

// Wrap puts argon2id around the fast digests that were imported, so that they
// are slow to search for whoever steals them. It needs no secret, and keys go on
// working; each is hashed by argon2id alone when it is next used. It may be
// interrupted and repeated. Revoked keys never change, so theirs stay: they open
// nothing.
func (s *Service) Wrap(ctx context.Context, w Wrapping) (WrapReport, error) {
	if w.Most <= 0 {
		w.Most = 10_000
	}
	var report WrapReport
	var err error
	report.Next, err = s.walk(ctx, w.From, func(_ string, page []storage.Key) (bool, error) {
		for _, k := range page {
			if !s.c.Scheme.IsWeak(k.Hash) {
				continue
			}
			if report.Wrapped >= w.Most {
				return false, nil
			}
			done, err := s.wrap(ctx, k)
			if err != nil {
				return false, fmt.Errorf("operate: wrapping: %w", err)
			}
			if done {
				report.Wrapped++
			} else {
				report.Skipped++
			}
		}
		return true, nil
	})
	return report, err
}

func (s *Service) wrap(ctx context.Context, k storage.Key) (bool, error) {
	hash, err := s.c.Scheme.Wrap(ctx, k.Hash)
	if err != nil {
		return false, err
	}
	before := k
	k.Hash = hash
	return s.change(ctx, ActionWrap, before, k)
}

// change writes one record if nobody else did since it was read.
func (s *Service) change(ctx context.Context, action string, before, after storage.Key) (bool, error) {
	now := s.now()
	e, err := s.entry(action, &before, after, now)
	if err != nil {
		return false, err
	}
	err = s.c.Keys.Commit(ctx, storage.Mutation{Now: now, Put: []storage.Key{after}, Audit: []storage.Entry{e}})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrRevoked), errors.Is(err, storage.ErrNotFound):
		return false, nil
	}
	return false, err
}
