package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Apps = (*Store)(nil)

// App implements storage.Apps.
func (s *Store) App(ctx context.Context, clientID string) (storage.App, error) {
	if !storage.ValidText(clientID) {
		return storage.App{}, storage.ErrNotFound // see oneKey
	}
	a, err := scanApp(s.pool.QueryRow(ctx, s.sql.grants.app, clientID))
	if errors.Is(err, pgx.ErrNoRows) {
		return storage.App{}, storage.ErrNotFound
	}
	return a, failed("read an app", err)
}

// ListApps implements storage.Apps.
func (s *Store) ListApps(ctx context.Context, q storage.Query) ([]storage.App, string, error) {
	created, id, err := readCursor(q.Cursor)
	if err != nil || q.Organisation == "" || !storage.ValidText(q.Organisation+string(q.Status)) {
		return nil, "", err
	}
	rows, err := s.pool.Query(ctx, s.sql.grants.listApps, q.Organisation, created, id, string(q.Status), q.PageSize()+1)
	if err != nil {
		return nil, "", failed("list apps", err)
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (storage.App, error) { return scanApp(row) })
	if err != nil {
		return nil, "", failed("list apps", err)
	}
	page, next := cut(page, q, func(a storage.App) (time.Time, string) { return a.Created, a.ClientID })
	return page, next, nil
}

// CommitApp implements storage.Apps.
func (s *Store) CommitApp(ctx context.Context, m storage.AppMutation) error {
	if err := m.Check(); err != nil {
		return err
	}
	times := []time.Time{m.Put.Created, m.Put.Revoked}
	for _, secret := range m.Put.Secrets {
		times = append(times, secret.Created, secret.Expires)
	}
	if err := allStorable("commit an app", times...); err != nil {
		return err
	}
	log, err := newLedger(m.Audit, m.Put.Organisation)
	if err != nil {
		return err
	}
	var stored *storage.App
	var gone []changed
	err = s.mutate(ctx, "commit an app", func(b *pgx.Batch) {
		stored = nil
		s.openLog(b, log)
		b.Queue(s.sql.grants.lockApp, m.Put.ClientID).Query(func(rows pgx.Rows) error {
			all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (storage.App, error) { return scanApp(row) })
			if len(all) > 0 {
				stored = &all[0]
			}
			return err
		})
	}, func(tx pgx.Tx) (err error) {
		gone, err = s.applyApp(ctx, tx, m.Put, stored, log)
		return err
	})
	s.tell(err, append(gone, changed{storage.AppChanged, m.Put.Organisation, m.Put.ClientID, m.Put.Version + 1})...)
	return err
}

// applyApp returns the grants that went with the app.
func (s *Store) applyApp(ctx context.Context, tx pgx.Tx, a storage.App, stored *storage.App, log *ledger) (gone []changed, err error) {
	switch {
	case stored != nil:
		err = a.Replaces(*stored)
	case a.Version != 0:
		err = storage.ErrNotFound
	default:
		err = s.roomForApp(ctx, tx, a)
	}
	if err != nil {
		return nil, err
	}
	b := &pgx.Batch{}
	if err := s.putApp(b, a, stored != nil); err != nil {
		return nil, err
	}
	s.writeLog(b, log)
	if !a.Revoked.IsZero() {
		b.Queue(s.sql.grants.forgetApp, a.ClientID)
		b.Queue(s.sql.grants.revokeApp, micros(a.Revoked), a.RevokedBecause, a.ClientID).Query(func(rows pgx.Rows) (err error) {
			gone, err = grantsOf(rows, nil)
			return err
		})
	}
	return gone, tx.SendBatch(ctx, b).Close()
}

// roomForApp counts under the organisation's lock.
func (s *Store) roomForApp(ctx context.Context, tx pgx.Tx, a storage.App) error {
	if a.Organisation == "" || !a.Revoked.IsZero() {
		return nil
	}
	var held int
	if err := tx.QueryRow(ctx, s.sql.grants.unrevokedApps, a.Organisation).Scan(&held); err != nil {
		return err
	}
	if held >= storage.MaxApps {
		return storage.ErrLimit
	}
	return nil
}

func (s *Store) putApp(b *pgx.Batch, a storage.App, exists bool) error {
	secrets := make([]keptSecret, 0, len(a.Secrets))
	for _, secret := range a.Secrets {
		secrets = append(secrets, keptSecret{secret.Hash[:], secret.Last4, toMicros(secret.Created), toMicros(secret.Expires)})
	}
	text, err := json.Marshal(secrets)
	if err != nil {
		return err
	}
	if exists {
		b.Queue(s.sql.grants.updateApp, a.ClientID, a.Name, a.Homepage, string(text), orEmpty(a.RedirectURIs), orEmpty(a.Origins),
			orEmpty(a.Scopes), a.ClientCredentials, a.InsecureNoPKCE, orNull(a.Revoked), a.RevokedBecause)
		return nil
	}
	b.Queue(s.sql.grants.insertApp, a.ClientID, a.Organisation, a.Name, a.Homepage, a.Creator, string(a.Source), a.Public, string(text),
		orEmpty(a.RedirectURIs), orEmpty(a.Origins), orEmpty(a.Scopes), a.ClientCredentials, a.InsecureNoPKCE,
		micros(a.Created), orNull(a.Revoked), a.RevokedBecause)
	return nil
}

// BlockApp implements storage.Apps.
func (s *Store) BlockApp(ctx context.Context, k storage.Block, audit []storage.Entry) error {
	if err := errors.Join(k.Check(audit), allStorable("block an app", k.At)); err != nil {
		return err
	}
	log, err := newLedger(audit, k.Organisation)
	if err != nil {
		return err
	}
	var gone []changed
	err = s.mutate(ctx, "block an app", func(b *pgx.Batch) { s.openLog(b, log) }, func(tx pgx.Tx) error {
		gone = nil
		tag, err := tx.Exec(ctx, s.sql.grants.block, k.Organisation, k.ClientID, k.By, k.Because, micros(k.At))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errNothing // it is blocked already
		}
		b := &pgx.Batch{}
		b.Queue(s.sql.grants.forgetClient, k.Organisation, k.ClientID)
		b.Queue(s.sql.grants.revokeClient, micros(k.At), k.Because, k.Organisation, k.ClientID).Query(func(rows pgx.Rows) (err error) {
			gone, err = grantsOf(rows, nil)
			return err
		})
		s.writeLog(b, log)
		return tx.SendBatch(ctx, b).Close()
	})
	s.tell(err, append(gone, changed{storage.AppChanged, k.Organisation, k.ClientID, 0})...)
	return err
}

// UnblockApp implements storage.Apps.
func (s *Store) UnblockApp(ctx context.Context, organisation, clientID string, audit []storage.Entry) error {
	if err := (storage.Block{Organisation: organisation, ClientID: clientID}).CheckLifted(audit); err != nil {
		return err
	}
	log, err := newLedger(audit, organisation)
	if err != nil {
		return err
	}
	err = s.mutate(ctx, "unblock an app", func(b *pgx.Batch) { s.openLog(b, log) }, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, s.sql.grants.unblock, organisation, clientID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return storage.ErrNotFound
		}
		b := &pgx.Batch{}
		s.writeLog(b, log)
		return tx.SendBatch(ctx, b).Close()
	})
	s.tell(err, changed{storage.AppChanged, organisation, clientID, 0})
	return err
}

// Blocks implements storage.Apps.
func (s *Store) Blocks(ctx context.Context, organisation string) ([]storage.Block, error) {
	if !storage.ValidText(organisation) {
		return nil, nil
	}
	rows, err := s.pool.Query(ctx, s.sql.grants.blocks, organisation, storage.MaxBlocks)
	if err != nil {
		return nil, failed("list blocks", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b storage.Block, err error) {
		err = row.Scan(&b.Organisation, &b.ClientID, &b.By, &b.Because, &b.At)
		b.At = b.At.UTC()
		return b, err
	})
	return orNil(all), failed("list blocks", err)
}

// PruneApps implements storage.Apps.
func (s *Store) PruneApps(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := allStorable("prune apps", before); err != nil {
		return 0, err
	}
	var gone []changed
	err := s.mutate(ctx, "prune apps", func(*pgx.Batch) {}, func(tx pgx.Tx) error {
		gone = nil
		rows, err := tx.Query(ctx, s.sql.grants.idleApps, micros(before), storage.BatchSize(limit))
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(ids) == 0 {
			return err
		}
		if rows, err = tx.Query(ctx, s.sql.grants.pruneApps, ids); err != nil {
			return err
		}
		gone, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (changed, error) {
			c := changed{subject: storage.AppChanged}
			err := row.Scan(&c.id)
			return c, err
		})
		return err
	})
	s.tell(err, gone...)
	if err != nil {
		return 0, err
	}
	return len(gone), nil
}

// appScan is an app in the types of its columns.
type appScan struct {
	storage.App
	secrets string
	revoked *time.Time
}

func (r *appScan) columns() []any {
	return []any{&r.ClientID, &r.Organisation, &r.Name, &r.Homepage, &r.Creator, &r.Source, &r.Public, &r.secrets, &r.RedirectURIs,
		&r.Origins, &r.Scopes, &r.ClientCredentials, &r.InsecureNoPKCE, &r.Version, &r.Created, &r.revoked, &r.RevokedBecause}
}

func (r *appScan) app() (storage.App, error) {
	a := r.App
	a.RedirectURIs, a.Origins, a.Scopes = orNil(a.RedirectURIs), orNil(a.Origins), orNil(a.Scopes)
	a.Created, a.Revoked = a.Created.UTC(), utc(r.revoked)
	var secrets []keptSecret
	if err := json.Unmarshal([]byte(r.secrets), &secrets); err != nil {
		return storage.App{}, fmt.Errorf("secrets of app %q: %w", a.ClientID, err)
	}
	for _, kept := range secrets {
		secret := storage.AppSecret{Last4: kept.Last4, Created: fromMicros(kept.Created), Expires: fromMicros(kept.Expires)}
		copy(secret.Hash[:], kept.Hash)
		a.Secrets = append(a.Secrets, secret)
	}
	return a, nil
}

func scanApp(row pgx.Row) (storage.App, error) {
	var r appScan
	if err := row.Scan(r.columns()...); err != nil {
		return storage.App{}, err
	}
	return r.app()
}

// keptSecret is a secret in its JSON column. Times are microseconds, and missing
// where they are zero.
type keptSecret struct {
	Hash    []byte `json:"hash"`
	Last4   string `json:"last4"`
	Created *int64 `json:"created,omitempty"`
	Expires *int64 `json:"expires,omitempty"`
}

func toMicros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixMicro()
	return &n
}

func fromMicros(n *int64) time.Time {
	if n == nil {
		return time.Time{}
	}
	return time.UnixMicro(*n).UTC()
}
