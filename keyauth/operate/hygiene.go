package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

const day = 24 * time.Hour

// Hygiene says what [Service.Sweep] looks for. The zero value looks for keys
// older than 90 days and for those that expire within 14 days.
type Hygiene struct {
	// Idle looks for keys that nobody uses; zero: not looked for.
	Idle Idle
	// MaxAge is the age of a secret from which its key should be rotated; zero: 90 days,
	// negative: not looked for. Legacy keys can't be rotated and are left out.
	MaxAge time.Duration
	// Expiring is how long before its expiry a key is announced; zero: 14 days,
	// negative: not looked for.
	Expiring time.Duration
	// DryRun changes nothing and announces nothing, and reports what it would.
	DryRun bool
	// Found is called with each finding; nil: the report's numbers must do.
	Found func(Finding)
	// From is where an earlier sweep was interrupted, its report's Next; empty:
	// at the beginning.
	From string
}

// Finding is one thing about one key.
type Finding struct {
	Kind FindingKind
	Key  manage.Key
	// LastUsed, of an idle key; zero: never.
	LastUsed time.Time
	// Done: the key was revoked, announced, or its secret erased. False in a dry
	// run, where the config says report only, where it was announced before, and
	// where somebody else changed the key meanwhile.
	Done bool
}

// FindingKind says what was found.
type FindingKind string

// What is found.
const (
	FoundIdle     FindingKind = "idle"     // not used for Idle.After
	FoundOverdue  FindingKind = "overdue"  // its secret is older than MaxAge
	FoundExpiring FindingKind = "expiring" // expires within Expiring
	FoundSealed   FindingKind = "sealed"   // expired, and its kept secret was still there
)

// SweepReport counts what was found.
type SweepReport struct {
	// Keys that were looked at: all that are not revoked.
	Keys int
	// Idle keys, and how many of them were revoked. Unknown are those that may or
	// may not idle: what is known of them is incomplete, or they couldn't have
	// been used. They are never touched.
	Idle, Revoked, Unknown int
	// Overdue and Expiring keys, and how many of both were announced now.
	Overdue, Expiring, Announced int
	// Erased are expired keys whose kept secret was erased.
	Erased int
	// Next is where another sweep goes on; empty: every key was looked at.
	Next string
}

// Sweep looks at all keys of all organisations. What it announces, each once, are
// audit entries, which [Events] deliver: "key.expiring" for each expiry and
// "key.overdue". A key is announced once however many sweeps run, at the same
// time too, for as long as the entry is kept. Kept secrets of expired keys are
// erased. A failure of the store or the end of ctx ends the sweep: the report is
// then of what was done until then.
func (s *Service) Sweep(ctx context.Context, h Hygiene) (SweepReport, error) {
	if err := s.settle(&h); err != nil {
		return SweepReport{}, fmt.Errorf("operate: sweep: %w", err)
	}
	sweep := &sweeping{Service: s, hygiene: h, now: s.now()}
	next, err := s.walk(ctx, h.From, func(organisation string, page []storage.Key) (bool, error) {
		if err := sweep.page(ctx, organisation, page); err != nil {
			return false, fmt.Errorf("operate: sweep: %w", err)
		}
		return true, nil
	})
	sweep.report.Next = next
	return sweep.report, err
}

func (s *Service) settle(h *Hygiene) error {
	if h.MaxAge == 0 {
		h.MaxAge = 90 * day
	}
	if h.Expiring == 0 {
		h.Expiring = 14 * day
	}
	i := h.Idle
	switch {
	case i.After < 0:
		return errors.New("Idle.After must not be negative")
	case i.After == 0 && i.Revoke:
		return errors.New("Idle.Revoke needs After")
	case i.After > 0 && i.LastUsed == nil:
		return errors.New("Idle.After needs LastUsed")
	case i.Revoke && s.c.Directory == nil:
		return errors.New("Idle.Revoke needs a Directory: keys whose owner is deactivated or whose account lapsed only seem to idle")
	}
	return nil
}

// sweeping is the state of one sweep.
type sweeping struct {
	*Service
	hygiene Hygiene
	now     time.Time
	report  SweepReport
	notices notices // of the organisation at hand
}

func (w *sweeping) page(ctx context.Context, organisation string, page []storage.Key) error {
	if w.notices.organisation != organisation {
		w.notices = notices{organisation: organisation}
	}
	w.notices.read = false // of this page's keys, others may have been announced since
	w.report.Keys += len(page)
	var rest []storage.Key // active and not idle
	for _, k := range page {
		if k.Status(w.now) == storage.Active {
			rest = append(rest, k)
		} else if err := w.unseal(ctx, k); err != nil {
			return err
		}
	}
	rest, err := w.idle(ctx, organisation, rest)
	if err != nil {
		return err
	}
	for _, k := range rest {
		if err := w.dates(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// dates judges a key by its age and its expiry.
func (w *sweeping) dates(ctx context.Context, k storage.Key) error {
	if h := w.hygiene.Expiring; h > 0 && !k.Expires.IsZero() && k.Expires.Sub(w.now) <= h {
		w.report.Expiring++
		if err := w.announce(ctx, ActionExpiring, FoundExpiring, &k); err != nil {
			return err
		}
	}
	if h := w.hygiene.MaxAge; h > 0 && k.Access != strikeplate.Legacy && w.now.Sub(k.SecretSince()) > h {
		w.report.Overdue++
		if err := w.announce(ctx, ActionOverdue, FoundOverdue, &k); err != nil {
			return err
		}
	}
	return nil
}

// unseal erases what was kept to be copied of a key that has expired.
func (w *sweeping) unseal(ctx context.Context, k storage.Key) error {
	if len(k.Sealed) == 0 {
		return nil
	}
	done := false
	if !w.hygiene.DryRun {
		before := k
		k.Sealed = nil
		var err error
		if done, err = w.change(ctx, manage.ActionForget, before, k); err != nil {
			return err
		}
	}
	if done {
		w.report.Erased++
	}
	w.found(Finding{Kind: FoundSealed, Key: manage.KeyOf(k, w.now), Done: done})
	return nil
}

func (w *sweeping) found(f Finding) {
	if w.hygiene.Found != nil {
		w.hygiene.Found(f)
	}
}
