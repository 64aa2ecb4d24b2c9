package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Retention says for how long the audit log is kept.
type Retention struct {
	// Audit is how long entries are kept; zero: for ever. At least a day: what was
	// not delivered by then is not delivered at all.
	Audit time.Duration
	// Addresses is how long entries keep the client's address; zero: as long as
	// the entries.
	Addresses time.Duration
	// Step is the number of entries in one transaction; zero: 1,000.
	Step int
}

// Retained tells what a run removed.
type Retained struct {
	Entries   int // removed from the log
	Addresses int // removed from entries that stay
}

// Retain removes what is older than it may get, in short steps, until nothing is
// left to remove or ctx ends. It may be interrupted and repeated; run it daily.
func (s *Service) Retain(ctx context.Context, r Retention) (Retained, error) {
	var done Retained
	switch {
	case r.Audit < 0 || r.Addresses < 0 || r.Step < 0:
		return done, errors.New("operate: retention: Audit, Addresses and Step must not be negative")
	case r.Audit > 0 && r.Audit < day:
		return done, errors.New("operate: retention: Audit must be at least a day")
	}
	step := storage.BatchSize(r.Step)
	now := s.now()
	var err error
	if r.Audit > 0 {
		if done.Entries, err = exhaust(ctx, step, now.Add(-r.Audit), s.c.Operator.TrimAudit); err != nil {
			return done, fmt.Errorf("operate: retention: %w", err)
		}
	}
	if r.Addresses > 0 {
		if done.Addresses, err = exhaust(ctx, step, now.Add(-r.Addresses), s.c.Operator.ForgetAddresses); err != nil {
			return done, fmt.Errorf("operate: retention: %w", err)
		}
	}
	return done, nil
}

// exhaust repeats a step until it finds less to do than it may.
func exhaust(ctx context.Context, step int, before time.Time, do func(context.Context, time.Time, int) (int, error)) (int, error) {
	all := 0
	for {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		n, err := do(ctx, before, step)
		all += n
		if err != nil || n < step {
			return all, err
		}
	}
}
