package leak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// act does to a leaked key what the configuration says, and tells whether it
// was revoked here. A key that is revoked already needs nothing, nor does one
// whose secret was replaced meanwhile.
func (in *Intake) act(ctx context.Context, it *item, key storage.Key) (revoked bool, err error) {
	leaked := key.SecretVersion
	for {
		if !key.Revoked.IsZero() || key.SecretVersion != leaked {
			return false, nil
		}
		m, err := in.mutation(it, key)
		if err != nil {
			return false, err
		}
		err = in.commit(ctx, m)
		switch {
		case err == nil:
			return in.c.Action == Revoke, nil
		case errors.Is(err, storage.ErrNotFound): // erased meanwhile
			return false, nil
		case !errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrRevoked):
			return false, err // perhaps it was written all the same: the next attempt sees
		}
		if key, err = in.read(ctx, key); errors.Is(err, storage.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

func (in *Intake) commit(ctx context.Context, m storage.Mutation) error {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	return in.c.Keys.Commit(ctx, m)
}

func (in *Intake) read(ctx context.Context, key storage.Key) (storage.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	return in.c.Keys.Key(ctx, key.Organisation, key.ID)
}

// mutation is the entry about the leak and, unless leaks are only reported, the
// revocation with its own.
func (in *Intake) mutation(it *item, key storage.Key) (storage.Mutation, error) {
	now := in.c.Now().UTC().Truncate(time.Microsecond)
	m := storage.Mutation{Now: now}
	entry := storage.Entry{Organisation: key.Organisation, Target: key.ID, At: now,
		Actor: storage.Actor{Organisation: key.Organisation, Role: "system", Client: it.client}}

	leaked := entry
	leaked.Action = ActionLeaked
	var err error
	if leaked.After, err = json.Marshal(struct {
		manage.Key
		Leak Leak `json:"leak"`
	}{manage.KeyOf(key, now), it.leak}); err != nil {
		return m, fmt.Errorf("leak: audit: %w", err)
	}
	m.Audit = append(m.Audit, leaked)
	if in.c.Action == ReportOnly {
		return m, nil
	}

	before := manage.KeyOf(key, now)
	key.Revoked, key.RevokedBecause, key.Sealed = now, "leaked: reported by "+it.leak.Reporter, nil
	m.Put = []storage.Key{key}
	key.Version++ // as the store will have it
	revocation := entry
	revocation.Action = manage.ActionRevoke
	if revocation.Before, err = json.Marshal(before); err == nil {
		revocation.After, err = json.Marshal(manage.KeyOf(key, now))
	}
	if err != nil {
		return m, fmt.Errorf("leak: audit: %w", err)
	}
	m.Audit = append(m.Audit, revocation)
	return m, nil
}
