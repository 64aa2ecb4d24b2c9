package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Grants = (*Store)(nil)

// BeginGrant implements [storage.Grants].
func (s *Store) BeginGrant(ctx context.Context, n storage.NewGrant) error {
	if err := n.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := s.judgeGrant(ctx, tx, n.Grant); err != nil {
			return err
		}
		row, err := newGrantRow(n.Grant)
		if err != nil {
			return err
		}
		g := n.Grant
		if _, err := tx.StmtContext(ctx, s.sql.grants.begin).ExecContext(ctx, g.ID, g.ClientID, g.Organisation, g.Subject, row.scopes,
			row.resources, micros(g.Authenticated), g.Thumbprint, 1, g.Created.UnixMicro(), g.Expires.UnixMicro(), nil, ""); err != nil {
			return err
		}
		if n.Consent != nil {
			if err := s.agree(ctx, tx, *n.Consent); err != nil {
				return err
			}
		}
		if n.Code != nil {
			if err := s.addCode(ctx, tx, *n.Code); err != nil {
				return err
			}
		}
		if err := s.addTokens(ctx, tx, n.Tokens); err != nil {
			return err
		}
		return s.recordAll(ctx, tx, n.Audit)
	})
}

// judgeGrant decides whether a grant may begin.
func (s *Store) judgeGrant(ctx context.Context, tx *sql.Tx, g storage.Grant) error {
	var taken, blocked bool
	var revoked sql.NullBool // of the app; NULL: there is none
	err := tx.StmtContext(ctx, s.sql.grants.known).QueryRowContext(ctx, g.ID, g.Organisation, g.ClientID).Scan(&taken, &blocked, &revoked)
	switch {
	case err != nil:
		return err
	case !revoked.Valid:
		return storage.ErrNotFound
	case revoked.Bool:
		return storage.ErrRevoked
	case blocked:
		return storage.ErrBlocked
	case taken:
		return storage.ErrConflict
	}
	return nil
}

// agree adds to what the user agreed to.
func (s *Store) agree(ctx context.Context, tx *sql.Tx, c storage.Consent) error {
	known, err := scanConsent(tx.StmtContext(ctx, s.sql.grants.agreed).QueryRowContext(ctx, c.Organisation, c.Subject, c.ClientID))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	c = known.With(c)
	scopes, err := encode(c.Scopes, len(c.Scopes), "[]")
	if err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, s.sql.grants.agree).ExecContext(ctx, c.Organisation, c.Subject, c.ClientID, scopes, micros(c.Given))
	return err
}

func scanConsent(row scanner) (c storage.Consent, err error) {
	var scopes string
	var given sql.NullInt64
	if err := row.Scan(&scopes, &given); err != nil {
		return c, err
	}
	c.Given = moment(given)
	return c, decode(scopes, &c.Scopes)
}

// Grant implements [storage.Grants].
func (s *Store) Grant(ctx context.Context, organisation, id string) (storage.Grant, error) {
	var row grantRow
	if err := s.sql.grants.grant.QueryRowContext(ctx, id, organisation).Scan(row.columns()...); err != nil {
		return storage.Grant{}, s.missing("grant", err)
	}
	return row.grant()
}

// ListGrants implements [storage.Grants].
func (s *Store) ListGrants(ctx context.Context, q storage.GrantQuery) ([]storage.Grant, string, error) {
	created, id, err := readCursor(q.Cursor)
	if err != nil {
		return nil, "", err
	}
	stmt, names := s.sql.grants.list, []any(nil)
	switch {
	case q.Subject != "" && q.ClientID != "":
		stmt, names = s.sql.grants.listBoth, []any{q.Subject, q.ClientID}
	case q.Subject != "":
		stmt, names = s.sql.grants.listSubject, []any{q.Subject}
	case q.ClientID != "":
		stmt, names = s.sql.grants.listClient, []any{q.ClientID}
	}
	return list(q.Query, func(g storage.Grant) (time.Time, string) { return g.Created, g.ID }, func(size int) ([]storage.Grant, error) {
		rows, err := stmt.QueryContext(ctx, append([]any{q.Organisation, created, id, q.Now.UnixMicro(),
			storage.Active.In(q.Status), storage.Expired.In(q.Status), storage.Revoked.In(q.Status), size}, names...)...)
		if err != nil {
			return nil, s.failed("list grants", err)
		}
		all, err := collect(rows, func(row scanner) (storage.Grant, error) {
			var r grantRow
			if err := row.Scan(r.columns()...); err != nil {
				return storage.Grant{}, err
			}
			return r.grant()
		})
		if err != nil {
			return nil, s.failed("list grants", err)
		}
		return all, nil
	})
}

// RevokeGrants implements [storage.Grants].
func (s *Store) RevokeGrants(ctx context.Context, r storage.GrantRevocation) (int, error) {
	if err := r.Check(); err != nil {
		return 0, err
	}
	var gone []changed
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		gone, err = s.revoke(ctx, tx, r)
		return err
	})
	s.tell(err, gone...)
	if err != nil {
		return 0, err
	}
	return len(gone), nil
}

func (s *Store) revoke(ctx context.Context, tx *sql.Tx, r storage.GrantRevocation) ([]changed, error) {
	of := &s.sql.grants
	revoke, forget, names := of.revokeID, (*sql.Stmt)(nil), []any{r.Organisation, r.ID}
	switch {
	case r.ID != "":
		var exists bool
		if err := tx.StmtContext(ctx, of.holds).QueryRowContext(ctx, r.ID, r.Organisation).Scan(&exists); err != nil {
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
	gone, err := grantsOf(tx.StmtContext(ctx, revoke).QueryContext(ctx, append([]any{micros(r.Now), r.Because}, names...)...))
	if err != nil {
		return nil, err
	}
	effects := int64(len(gone))
	if forget != nil {
		forgotten, err := affected(tx.StmtContext(ctx, forget).ExecContext(ctx, names...))
		if err != nil {
			return nil, err
		}
		effects += forgotten
	}
	if effects == 0 {
		return nil, nil
	}
	return gone, s.recordAll(ctx, tx, r.Audit)
}

// grantsOf reads the grants that a statement changed.
func grantsOf(rows *sql.Rows, err error) ([]changed, error) {
	if err != nil {
		return nil, err
	}
	return collect(rows, func(row scanner) (changed, error) {
		c := changed{subject: storage.GrantChanged}
		err := row.Scan(&c.organisation, &c.id, &c.version)
		return c, err
	})
}

// Consent implements [storage.Grants].
func (s *Store) Consent(ctx context.Context, organisation, subject, clientID string) (storage.Consent, error) {
	c, err := scanConsent(s.sql.grants.consent.QueryRowContext(ctx, organisation, subject, clientID))
	if err != nil {
		return storage.Consent{}, s.missing("consent", err)
	}
	c.Organisation, c.Subject, c.ClientID = organisation, subject, clientID
	return c, nil
}

// grantRow is a grant in the types of its columns.
type grantRow struct {
	storage.Grant
	scopes, resources      string
	created, expires       int64
	authenticated, revoked sql.NullInt64
}

// columns are those that grantColumns names, to be scanned.
func (r *grantRow) columns() []any {
	return []any{&r.ID, &r.ClientID, &r.Organisation, &r.Subject, &r.scopes, &r.resources, &r.authenticated, &r.Thumbprint,
		&r.Version, &r.created, &r.expires, &r.revoked, &r.RevokedBecause}
}

func (r *grantRow) grant() (storage.Grant, error) {
	g := r.Grant
	g.Created, g.Expires = time.UnixMicro(r.created).UTC(), time.UnixMicro(r.expires).UTC()
	g.Authenticated, g.Revoked = moment(r.authenticated), moment(r.revoked)
	if err := errors.Join(decode(r.scopes, &g.Scopes), decode(r.resources, &g.Resources)); err != nil {
		return storage.Grant{}, fmt.Errorf("sqlite: grant %q: %w", g.ID, err)
	}
	return g, nil
}

func newGrantRow(g storage.Grant) (r grantRow, err error) {
	var errs [2]error
	r.scopes, errs[0] = encode(g.Scopes, len(g.Scopes), "[]")
	r.resources, errs[1] = encode(g.Resources, len(g.Resources), "[]")
	return r, errors.Join(errs[:]...)
}
