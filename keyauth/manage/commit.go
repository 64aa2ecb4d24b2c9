package manage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// settlePatience is how long the store may take to tell whether a mutation of
// unknown outcome was made.
const settlePatience = 3 * time.Second

// change is one record of a mutation, and the audit entry that goes with it.
type change struct {
	action string
	before *storage.Key // nil for a new key
	after  storage.Key
}

// commit writes changes and their audit entries in one transaction. Where the
// store can't tell whether it succeeded, it is asked what it holds; nil is
// returned only for what is surely written.
func (s *Service) commit(ctx context.Context, a storage.Actor, now time.Time, limit *storage.Limit, changes ...change) error {
	m := storage.Mutation{Now: now, Limit: limit}
	for _, c := range changes {
		entry, err := c.entry(a, now)
		if err != nil {
			return err
		}
		m.Put = append(m.Put, c.after)
		m.Audit = append(m.Audit, entry)
	}
	err := s.c.Keys.Commit(ctx, m)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrLimit):
		e := limitReached(limit.Max)
		e.Err = err
		return e
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrRevoked):
		return told(err, "commit")
	case errors.Is(err, storage.ErrPermanent), errors.Is(err, storage.ErrNoAudit):
		return fmt.Errorf("manage: commit: %w", err) // refused: nothing is written
	case s.isWritten(ctx, m, now):
		return nil
	}
	return unknown(err)
}

func (c change) entry(a storage.Actor, now time.Time) (storage.Entry, error) {
	e := storage.Entry{Organisation: c.after.Organisation, Actor: a, Action: c.action, Target: c.after.ID, At: now}
	var err error
	if c.before != nil {
		if e.Before, err = json.Marshal(KeyOf(*c.before, now)); err != nil {
			return e, fmt.Errorf("manage: audit: %w", err)
		}
	}
	logged := c.after
	logged.Version++ // as the store will have it
	if e.After, err = json.Marshal(KeyOf(logged, now)); err != nil {
		return e, fmt.Errorf("manage: audit: %w", err)
	}
	return e, nil
}

// isWritten reports whether the store surely holds what m puts. The caller may
// be gone already, which is no reason to leave its work half known.
func (s *Service) isWritten(ctx context.Context, m storage.Mutation, now time.Time) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settlePatience)
	defer cancel()
	for i, k := range m.Put {
		stored, err := s.c.Keys.Key(ctx, k.Organisation, k.ID)
		if err != nil || stored.Hash != k.Hash || stored.Lookup != k.Lookup || !bytes.Equal(stored.Sealed, k.Sealed) {
			return false
		}
		text, err := json.Marshal(KeyOf(stored, now))
		if err != nil || !bytes.Equal(text, m.Audit[i].After) {
			return false
		}
	}
	return true
}
