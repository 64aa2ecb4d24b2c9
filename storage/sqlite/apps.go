package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Apps = (*Store)(nil)

// App implements [storage.Apps].
func (s *Store) App(ctx context.Context, clientID string) (storage.App, error) {
	var row appRow
	if err := s.sql.grants.app.QueryRowContext(ctx, clientID).Scan(row.columns()...); err != nil {
		return storage.App{}, s.missing("app", err)
	}
	return row.app()
}

// missing is the failure of a look-up of one record.
func (s *Store) missing(what string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return storage.ErrNotFound
	}
	return s.failed(what, err)
}

// ListApps implements [storage.Apps].
func (s *Store) ListApps(ctx context.Context, q storage.Query) ([]storage.App, string, error) {
	created, id, err := readCursor(q.Cursor)
	if err != nil || q.Organisation == "" {
		return nil, "", err
	}
	return list(q, func(a storage.App) (time.Time, string) { return a.Created, a.ClientID }, func(size int) ([]storage.App, error) {
		rows, err := s.sql.grants.listApps.QueryContext(ctx, q.Organisation, created, id,
			storage.Active.In(q.Status), storage.Revoked.In(q.Status), size)
		if err != nil {
			return nil, s.failed("list apps", err)
		}
		all, err := collect(rows, func(row scanner) (storage.App, error) {
			var r appRow
			if err := row.Scan(r.columns()...); err != nil {
				return storage.App{}, err
			}
			return r.app()
		})
		if err != nil {
			return nil, s.failed("list apps", err)
		}
		return all, nil
	})
}

// CommitApp implements [storage.Apps].
func (s *Store) CommitApp(ctx context.Context, m storage.AppMutation) error {
	if err := m.Check(); err != nil {
		return err
	}
	var gone []changed
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		gone, err = s.applyApp(ctx, tx, m)
		return err
	})
	s.tell(err, append(gone, changed{storage.AppChanged, m.Put.Organisation, m.Put.ClientID, m.Put.Version + 1})...)
	return err
}

// changed is a record that watchers are told of.
type changed struct {
	subject          storage.Subject
	organisation, id string
	version          int64
}

// tell tells watchers what a transaction that ended with err did, or may have.
func (s *Store) tell(err error, all ...changed) {
	unknown := errors.Is(err, errUnknown)
	if err != nil && !unknown {
		return
	}
	for _, c := range all {
		if unknown {
			c.version = 0
		}
		s.watchers.Changed(c.subject, c.organisation, c.id, c.version)
	}
}

// applyApp returns the grants that went with the app.
func (s *Store) applyApp(ctx context.Context, tx *sql.Tx, m storage.AppMutation) ([]changed, error) {
	a, of := m.Put, &s.sql.grants
	var row appRow
	err := tx.StmtContext(ctx, of.currentApp).QueryRowContext(ctx, a.ClientID).Scan(row.columns()...)
	exists := err == nil
	switch {
	case errors.Is(err, sql.ErrNoRows) && a.Version != 0:
		return nil, storage.ErrNotFound
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return nil, err
	default:
		stored, err := row.app()
		if err != nil {
			return nil, err
		}
		if err := a.Replaces(stored); err != nil {
			return nil, err
		}
	}
	if err := s.putApp(ctx, tx, a, exists); err != nil {
		return nil, err
	}
	if err := s.recordAll(ctx, tx, m.Audit); err != nil || a.Revoked.IsZero() {
		return nil, err
	}
	if _, err := tx.StmtContext(ctx, of.forgetApp).ExecContext(ctx, a.ClientID); err != nil {
		return nil, err
	}
	return grantsOf(tx.StmtContext(ctx, of.revokeApp).QueryContext(ctx, micros(a.Revoked), a.RevokedBecause, a.ClientID))
}

func (s *Store) putApp(ctx context.Context, tx *sql.Tx, a storage.App, exists bool) error {
	row, err := newAppRow(a)
	if err != nil {
		return err
	}
	a.Version++
	if exists {
		_, err := tx.StmtContext(ctx, s.sql.grants.updateApp).ExecContext(ctx, a.ClientID, a.Name, a.Homepage, row.secrets, row.redirects,
			row.origins, row.scopes, a.ClientCredentials, a.InsecureNoPKCE, a.Version, micros(a.Revoked), a.RevokedBecause)
		return err
	}
	if a.Revoked.IsZero() && a.Organisation != "" {
		var held int
		if err := tx.StmtContext(ctx, s.sql.grants.unrevokedApps).QueryRowContext(ctx, a.Organisation).Scan(&held); err != nil {
			return err
		}
		if held >= storage.MaxApps {
			return storage.ErrLimit
		}
	}
	_, err = tx.StmtContext(ctx, s.sql.grants.insertApp).ExecContext(ctx, a.ClientID, a.Organisation, a.Name, a.Homepage, a.Creator,
		string(a.Source), a.Public, row.secrets, row.redirects, row.origins, row.scopes, a.ClientCredentials, a.InsecureNoPKCE,
		a.Version, a.Created.UnixMicro(), micros(a.Revoked), a.RevokedBecause)
	return err
}

// BlockApp implements [storage.Apps].
func (s *Store) BlockApp(ctx context.Context, b storage.Block, audit []storage.Entry) error {
	if err := b.Check(audit); err != nil {
		return err
	}
	var gone []changed
	err := s.write(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.StmtContext(ctx, s.sql.grants.block).ExecContext(ctx, b.Organisation, b.ClientID, b.By, b.Because, b.At.UnixMicro()))
		if err != nil || n == 0 {
			return err // it is blocked already
		}
		if _, err := tx.StmtContext(ctx, s.sql.grants.forgetClient).ExecContext(ctx, b.Organisation, b.ClientID); err != nil {
			return err
		}
		gone, err = grantsOf(tx.StmtContext(ctx, s.sql.grants.revokeClient).QueryContext(ctx, micros(b.At), b.Because, b.Organisation, b.ClientID))
		if err != nil {
			return err
		}
		return s.recordAll(ctx, tx, audit)
	})
	s.tell(err, append(gone, changed{storage.AppChanged, b.Organisation, b.ClientID, 0})...)
	return err
}

// UnblockApp implements [storage.Apps].
func (s *Store) UnblockApp(ctx context.Context, organisation, clientID string, audit []storage.Entry) error {
	if err := (storage.Block{Organisation: organisation, ClientID: clientID}).CheckLifted(audit); err != nil {
		return err
	}
	err := s.write(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.StmtContext(ctx, s.sql.grants.unblock).ExecContext(ctx, organisation, clientID))
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrNotFound
		}
		return s.recordAll(ctx, tx, audit)
	})
	s.tell(err, changed{storage.AppChanged, organisation, clientID, 0})
	return err
}

// Blocks implements [storage.Apps].
func (s *Store) Blocks(ctx context.Context, organisation string) ([]storage.Block, error) {
	rows, err := s.sql.grants.blocks.QueryContext(ctx, organisation, storage.MaxBlocks)
	if err != nil {
		return nil, s.failed("blocks", err)
	}
	all, err := collect(rows, func(row scanner) (b storage.Block, err error) {
		var at int64
		err = row.Scan(&b.Organisation, &b.ClientID, &b.By, &b.Because, &at)
		b.At = time.UnixMicro(at).UTC()
		return b, err
	})
	if err != nil {
		return nil, s.failed("blocks", err)
	}
	return all, nil
}

// PruneApps implements [storage.Apps].
func (s *Store) PruneApps(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	for limit = storage.BatchSize(limit); ; {
		want := min(limit-removed, piece)
		var gone []changed
		err := s.write(ctx, func(tx *sql.Tx) error {
			rows, err := tx.StmtContext(ctx, s.sql.grants.pruneApps).QueryContext(ctx, before.UnixMicro(), want)
			if err != nil {
				return err
			}
			ids, err := texts(rows)
			for _, id := range ids {
				gone = append(gone, changed{storage.AppChanged, "", id, 0})
			}
			return err
		})
		s.tell(err, gone...)
		if err != nil {
			return removed, err
		}
		if removed += len(gone); len(gone) < want || removed == limit {
			return removed, nil
		}
	}
}

// appRow is an app in the types of its columns.
type appRow struct {
	storage.App
	secrets, redirects, origins, scopes string
	created                             int64
	revoked                             sql.NullInt64
}

// columns are those that appColumns names, to be scanned.
func (r *appRow) columns() []any {
	return []any{&r.ClientID, &r.Organisation, &r.Name, &r.Homepage, &r.Creator, &r.Source, &r.Public, &r.secrets, &r.redirects,
		&r.origins, &r.scopes, &r.ClientCredentials, &r.InsecureNoPKCE, &r.Version, &r.created, &r.revoked, &r.RevokedBecause}
}

func (r *appRow) app() (storage.App, error) {
	a := r.App
	a.Created, a.Revoked = time.UnixMicro(r.created).UTC(), moment(r.revoked)
	var secrets []keptSecret
	err := errors.Join(decode(r.secrets, &secrets), decode(r.redirects, &a.RedirectURIs), decode(r.origins, &a.Origins), decode(r.scopes, &a.Scopes))
	if err != nil {
		return storage.App{}, fmt.Errorf("sqlite: app %q: %w", a.ClientID, err)
	}
	for _, kept := range secrets {
		secret := storage.AppSecret{Last4: kept.Last4, Created: fromMicros(kept.Created), Expires: fromMicros(kept.Expires)}
		copy(secret.Hash[:], kept.Hash)
		a.Secrets = append(a.Secrets, secret)
	}
	return a, nil
}

func newAppRow(a storage.App) (r appRow, err error) {
	secrets := make([]keptSecret, 0, len(a.Secrets))
	for _, secret := range a.Secrets {
		secrets = append(secrets, keptSecret{secret.Hash[:], secret.Last4, toMicros(secret.Created), toMicros(secret.Expires)})
	}
	text, err := json.Marshal(secrets)
	if err != nil {
		return r, err
	}
	r.secrets = string(text)
	var errs [3]error
	r.redirects, errs[0] = encode(a.RedirectURIs, len(a.RedirectURIs), "[]")
	r.origins, errs[1] = encode(a.Origins, len(a.Origins), "[]")
	r.scopes, errs[2] = encode(a.Scopes, len(a.Scopes), "[]")
	return r, errors.Join(errs[:]...)
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
