package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Grants = (*Store)(nil)

// BeginGrant implements storage.Grants.
func (s *Store) BeginGrant(ctx context.Context, n storage.NewGrant) error {
	if err := n.Check(); err != nil {
		return err
	}
	if err := storableGrant(n); err != nil {
		return err
	}
	g := n.Grant
	log, err := newLedger(n.Audit, g.Organisation)
	if err != nil {
		return err
	}
	return s.mutate(ctx, "begin a grant", func(b *pgx.Batch) {
		s.openLog(b, log)
		b.Queue(s.sql.grants.known, g.ClientID, g.Organisation, g.ID).QueryRow(judgeGrant)
	}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(s.sql.grants.begin, g.ID, g.ClientID, g.Organisation, g.Subject, orEmpty(g.Scopes), orEmpty(g.Resources),
			orNull(g.Authenticated), g.Thumbprint, micros(g.Created), micros(g.Expires))
		if n.Consent != nil {
			if err := s.agree(ctx, tx, b, *n.Consent); err != nil {
				return err
			}
		}
		if c := n.Code; c != nil {
			b.Queue(s.sql.grants.addCode, c.Hash[:], c.Grant, c.RedirectURI, c.RedirectGiven, c.Challenge, c.Thumbprint, micros(c.Expires))
		}
		s.addTokens(b, n.Tokens)
		s.writeLog(b, log)
		return tx.SendBatch(ctx, b).Close()
	})
}

func storableGrant(n storage.NewGrant) error {
	times := []time.Time{n.Grant.Authenticated, n.Grant.Created, n.Grant.Expires}
	if n.Consent != nil {
		times = append(times, n.Consent.Given)
	}
	if n.Code != nil {
		times = append(times, n.Code.Expires)
	}
	return allStorable("begin a grant", append(times, timesOf(n.Tokens)...)...)
}

// judgeGrant decides whether a grant may begin.
func judgeGrant(row pgx.Row) error {
	var revoked, blocked, taken bool
	err := row.Scan(&revoked, &blocked, &taken)
	switch {
	case err != nil:
		return orNone(err)
	case revoked:
		return storage.ErrRevoked
	case blocked:
		return storage.ErrBlocked
	case taken:
		return storage.ErrConflict
	}
	return nil
}

// agree adds to what the user agreed to, under the organisation's lock.
func (s *Store) agree(ctx context.Context, tx pgx.Tx, b *pgx.Batch, c storage.Consent) error {
	known, err := scanConsent(tx.QueryRow(ctx, s.sql.grants.agreed, c.Organisation, c.Subject, c.ClientID))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	c = known.With(c)
	b.Queue(s.sql.grants.agree, c.Organisation, c.Subject, c.ClientID, orEmpty(c.Scopes), orNull(c.Given))
	return nil
}

func scanConsent(row pgx.Row) (c storage.Consent, err error) {
	var given *time.Time
	err = row.Scan(&c.Scopes, &given)
	c.Scopes, c.Given = orNil(c.Scopes), utc(given)
	return c, err
}

// Grant implements storage.Grants.
func (s *Store) Grant(ctx context.Context, organisation, id string) (storage.Grant, error) {
	if !storage.ValidText(organisation + id) {
		return storage.Grant{}, storage.ErrNotFound
	}
	g, err := scanGrant(s.pool.QueryRow(ctx, s.sql.grants.grant, organisation, id))
	if errors.Is(err, pgx.ErrNoRows) {
		return storage.Grant{}, storage.ErrNotFound
	}
	return g, failed("read a grant", err)
}

// ListGrants implements storage.Grants.
func (s *Store) ListGrants(ctx context.Context, q storage.GrantQuery) ([]storage.Grant, string, error) {
	created, id, err := readCursor(q.Cursor)
	if err != nil || !storage.ValidText(q.Organisation+string(q.Status)+q.Subject+q.ClientID) {
		return nil, "", err
	}
	if err := allStorable("list grants", q.Now); err != nil {
		return nil, "", err
	}
	sql, args := s.sql.grants.list, []any{q.Organisation, created, id, string(q.Status), micros(q.Now), q.PageSize() + 1}
	switch {
	case q.Subject != "" && q.ClientID != "":
		sql, args = s.sql.grants.listBoth, append(args, q.Subject, q.ClientID)
	case q.Subject != "":
		sql, args = s.sql.grants.listSubject, append(args, q.Subject)
	case q.ClientID != "":
		sql, args = s.sql.grants.listClient, append(args, q.ClientID)
	}
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, "", failed("list grants", err)
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (storage.Grant, error) { return scanGrant(row) })
	if err != nil {
		return nil, "", failed("list grants", err)
	}
	page, next := cut(page, q.Query, func(g storage.Grant) (time.Time, string) { return g.Created, g.ID })
	return page, next, nil
}

// RevokeGrants implements storage.Grants.
func (s *Store) RevokeGrants(ctx context.Context, r storage.GrantRevocation) (int, error) {
	if err := r.Check(); err != nil {
		return 0, err
	}
	if err := allStorable("revoke grants", r.Now); err != nil {
		return 0, err
	}
	log, err := newLedger(r.Audit, r.Organisation)
	if err != nil {
		return 0, err
	}
	var gone []changed
	err = s.mutate(ctx, "revoke grants", func(b *pgx.Batch) { s.openLog(b, log) }, func(tx pgx.Tx) (err error) {
		gone, err = s.revoke(ctx, tx, r, log)
		return err
	})
	s.tell(err, gone...)
	if err != nil {
		return 0, err
	}
	return len(gone), nil
}

func (s *Store) revoke(ctx context.Context, tx pgx.Tx, r storage.GrantRevocation, log *ledger) ([]changed, error) {
	of := &s.sql.grants
	revoke, forget, names := of.revokeID, "", []any{r.Organisation, r.ID}
	switch {
	case r.ID != "":
		var exists bool
		if err := tx.QueryRow(ctx, of.holds, r.Organisation, r.ID).Scan(&exists); err != nil {
			return nil, err
		}
		if !exists {
			return nil, storage.ErrNotFound
		}
	case r.Subject != "" && r.ClientID != "":
		revoke, forget, names = of.revokeBoth, of.forgetBoth, []any{r.Organisation, r.Subject, r.ClientID}
	case r.Subject != "":
		revoke, forget, names = of.revokeSubject, of.forgetSubject, []any{r.Organisation, r.Subject}
	default:
		revoke, forget, names = of.revokeClient, of.forgetClient, []any{r.Organisation, r.ClientID}
	}
	gone, err := grantsOf(tx.Query(ctx, revoke, append([]any{micros(r.Now), r.Because}, names...)...))
	if err != nil {
		return nil, err
	}
	effects := int64(len(gone))
	if forget != "" {
		tag, err := tx.Exec(ctx, forget, names...)
		if err != nil {
			return nil, err
		}
		effects += tag.RowsAffected()
	}
	if effects == 0 {
		return nil, errNothing
	}
	b := &pgx.Batch{}
	s.writeLog(b, log)
	return gone, tx.SendBatch(ctx, b).Close()
}

// Consent implements storage.Grants.
func (s *Store) Consent(ctx context.Context, organisation, subject, clientID string) (storage.Consent, error) {
	if !storage.ValidText(organisation + subject + clientID) {
		return storage.Consent{}, storage.ErrNotFound
	}
	c, err := scanConsent(s.pool.QueryRow(ctx, s.sql.grants.agreed, organisation, subject, clientID))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return storage.Consent{}, storage.ErrNotFound
	case err != nil:
		return storage.Consent{}, failed("read consent", err)
	}
	c.Organisation, c.Subject, c.ClientID = organisation, subject, clientID
	return c, nil
}

// grantScan is a grant in the types of its columns.
type grantScan struct {
	storage.Grant
	authenticated, revoked *time.Time
}

func (r *grantScan) columns() []any {
	return []any{&r.ID, &r.ClientID, &r.Organisation, &r.Subject, &r.Scopes, &r.Resources, &r.authenticated, &r.Thumbprint,
		&r.Version, &r.Created, &r.Expires, &r.revoked, &r.RevokedBecause}
}

func (r *grantScan) grant() storage.Grant {
	g := r.Grant
	g.Scopes, g.Resources = orNil(g.Scopes), orNil(g.Resources)
	g.Authenticated, g.Revoked = utc(r.authenticated), utc(r.revoked)
	g.Created, g.Expires = g.Created.UTC(), g.Expires.UTC()
	return g
}

func scanGrant(row pgx.Row) (storage.Grant, error) {
	var r grantScan
	if err := row.Scan(r.columns()...); err != nil {
		return storage.Grant{}, err
	}
	return r.grant(), nil
}
