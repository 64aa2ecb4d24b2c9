package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Code implements [storage.Grants].
func (s *Store) Code(ctx context.Context, hash [32]byte) (storage.Code, storage.Grant, error) {
	var code codeRow
	var grant grantRow
	if err := s.sql.grants.code.QueryRowContext(ctx, hash[:]).Scan(slices.Concat(code.columns(), grant.columns())...); err != nil {
		return storage.Code{}, storage.Grant{}, s.missing("code", err)
	}
	g, err := grant.grant()
	return code.code(), g, err
}

// UseCode implements [storage.Grants]. SQLite has one writer, so nobody else uses
// the code between the look and the writing.
func (s *Store) UseCode(ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
	var verdict error // of a transaction that is committed all the same
	var gone []changed
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		gone, verdict, err = s.useCode(ctx, tx, hash, now, tokens)
		return err
	})
	s.tell(err, gone...)
	if err != nil {
		return err
	}
	return verdict
}

func (s *Store) useCode(ctx context.Context, tx *sql.Tx, hash [32]byte, now time.Time, tokens []storage.Token) (gone []changed, verdict, err error) {
	var (
		row              codeRow
		grant            grantRow
		revoked, blocked bool
	)
	found := tx.StmtContext(ctx, s.sql.grants.ofCode).QueryRowContext(ctx, hash[:])
	if err := found.Scan(append(slices.Concat(row.columns(), grant.columns()), &revoked, &blocked)...); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			err = storage.ErrNotFound
		}
		return nil, nil, err
	}
	code := row.code()
	if err := code.Buys(now, tokens); err != nil {
		return nil, nil, err
	}
	g, err := grant.grant()
	if err != nil {
		return nil, nil, err
	}
	var app storage.App
	if revoked {
		app.Revoked = now
	}
	verdict = code.Usable(now, g, app, blocked)
	if errors.Is(verdict, storage.ErrReused) {
		gone, err := s.reused(ctx, tx, g, now)
		return gone, verdict, err
	}
	if verdict == nil {
		if err := s.addTokens(ctx, tx, tokens); err != nil {
			return nil, nil, err
		}
	}
	_, err = tx.StmtContext(ctx, s.sql.grants.useCode).ExecContext(ctx, hash[:], now.UnixMicro())
	return nil, verdict, err
}

// reused revokes the grant whose code or token was used twice, unless it was
// revoked before.
func (s *Store) reused(ctx context.Context, tx *sql.Tx, g storage.Grant, now time.Time) ([]changed, error) {
	if !g.Revoked.IsZero() {
		return nil, nil
	}
	g, entry := g.Reuse(now)
	if _, err := tx.StmtContext(ctx, s.sql.grants.reused).ExecContext(ctx, g.ID, micros(g.Revoked), g.RevokedBecause, g.Version); err != nil {
		return nil, err
	}
	return []changed{{storage.GrantChanged, g.Organisation, g.ID, g.Version}}, s.record(ctx, tx, entry)
}

// Presented implements [storage.Grants].
func (s *Store) Presented(ctx context.Context, hash [32]byte) (storage.Presented, error) {
	p, err := scanPresented(s.sql.grants.present.QueryRowContext(ctx, hash[:]))
	if err != nil {
		return storage.Presented{}, s.missing("presented", err)
	}
	return p, nil
}

func scanPresented(row scanner) (p storage.Presented, err error) {
	var (
		token tokenRow
		grant grantRow
		app   appRow
	)
	if err := row.Scan(append(slices.Concat(token.columns(), grant.columns(), app.columns()), &p.Blocked)...); err != nil {
		return p, err
	}
	var errs [3]error
	p.Token, errs[0] = token.token()
	p.Grant, errs[1] = grant.grant()
	p.App, errs[2] = app.app()
	return p, errors.Join(errs[:]...)
}

// Rotate implements [storage.Grants].
func (s *Store) Rotate(ctx context.Context, r storage.Rotation) (access storage.Token, repeated bool, err error) {
	if err := r.Check(); err != nil {
		return storage.Token{}, false, err
	}
	var reused bool
	var gone []changed
	err = s.write(ctx, func(tx *sql.Tx) (err error) {
		access, repeated, err = s.rotate(ctx, tx, r)
		if reused = errors.Is(err, storage.ErrReused); !reused {
			return err
		}
		old, err := scanPresented(tx.StmtContext(ctx, s.sql.grants.ofToken).QueryRowContext(ctx, r.Old[:]))
		if err != nil {
			return err
		}
		gone, err = s.reused(ctx, tx, old.Grant, r.Now)
		return err
	})
	s.tell(err, gone...)
	switch {
	case err != nil:
		return storage.Token{}, false, err
	case reused:
		return storage.Token{}, false, storage.ErrReused
	}
	return access, repeated, nil
}

// rotate writes nothing if it fails.
func (s *Store) rotate(ctx context.Context, tx *sql.Tx, r storage.Rotation) (access storage.Token, repeated bool, err error) {
	old, err := scanPresented(tx.StmtContext(ctx, s.sql.grants.ofToken).QueryRowContext(ctx, r.Old[:]))
	if err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			err = storage.ErrNotFound
		}
		return storage.Token{}, false, err
	}
	successor, err := s.token(ctx, tx, old.Token.Successor)
	if err != nil {
		return storage.Token{}, false, err
	}
	if access, err = s.token(ctx, tx, r.Access.Hash); err != nil {
		return storage.Token{}, false, err
	}
	if repeated, err = r.Judge(old, successor, access); err != nil || repeated {
		return access, repeated, err
	}
	if err := s.addTokens(ctx, tx, []storage.Token{r.Access, r.Refresh}); err != nil {
		return storage.Token{}, false, err
	}
	if _, err := tx.StmtContext(ctx, s.sql.grants.rotate).ExecContext(ctx, r.Old[:], r.Now.UnixMicro(), r.Refresh.Hash[:]); err != nil {
		return storage.Token{}, false, err
	}
	access, err = s.token(ctx, tx, r.Access.Hash)
	return access, false, err
}

// token returns the zero Token where there is none.
func (s *Store) token(ctx context.Context, tx *sql.Tx, hash [32]byte) (storage.Token, error) {
	var row tokenRow
	err := tx.StmtContext(ctx, s.sql.grants.token).QueryRowContext(ctx, hash[:]).Scan(row.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return storage.Token{}, nil
	}
	if err != nil {
		return storage.Token{}, err
	}
	return row.token()
}

func (s *Store) addCode(ctx context.Context, tx *sql.Tx, c storage.Code) error {
	var taken bool
	if err := tx.StmtContext(ctx, s.sql.grants.takenCode).QueryRowContext(ctx, c.Hash[:]).Scan(&taken); err != nil {
		return err
	}
	if taken {
		return storage.ErrConflict
	}
	_, err := tx.StmtContext(ctx, s.sql.grants.addCode).ExecContext(ctx, c.Hash[:], c.Grant, c.RedirectURI, c.RedirectGiven, c.Challenge,
		c.Thumbprint, c.Expires.UnixMicro(), nil)
	return err
}

func (s *Store) addTokens(ctx context.Context, tx *sql.Tx, tokens []storage.Token) error {
	for _, t := range tokens {
		known, err := s.token(ctx, tx, t.Hash)
		if err != nil {
			return err
		}
		if known.Hash == t.Hash {
			return storage.ErrConflict
		}
		scopes, err1 := encode(t.Scopes, len(t.Scopes), "[]")
		resources, err2 := encode(t.Resources, len(t.Resources), "[]")
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if _, err := tx.StmtContext(ctx, s.sql.grants.addToken).ExecContext(ctx, t.Hash[:], string(t.Kind), t.Grant, scopes, resources,
			t.Thumbprint, t.Certificate, t.Created.UnixMicro(), t.Expires.UnixMicro(), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// DropToken implements [storage.Grants].
func (s *Store) DropToken(ctx context.Context, hash [32]byte) error {
	var dropped []changed
	err := s.write(ctx, func(tx *sql.Tx) error {
		dropped = nil
		var grant string
		err := tx.StmtContext(ctx, s.sql.grants.drop).QueryRowContext(ctx, hash[:]).Scan(&grant)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			dropped, err = grantsOf(tx.StmtContext(ctx, s.sql.grants.touch).QueryContext(ctx, grant))
		}
		return err
	})
	s.tell(err, dropped...)
	return err
}

// codeRow is a code in the types of its columns.
type codeRow struct {
	storage.Code
	hash    []byte
	expires int64
	used    sql.NullInt64
}

// columns are those that codeColumns names, to be scanned.
func (r *codeRow) columns() []any {
	return []any{&r.hash, &r.Grant, &r.RedirectURI, &r.RedirectGiven, &r.Challenge, &r.Thumbprint, &r.expires, &r.used}
}

func (r *codeRow) code() storage.Code {
	c := r.Code
	copy(c.Hash[:], r.hash)
	c.Expires, c.Used = time.UnixMicro(r.expires).UTC(), moment(r.used)
	return c
}

// tokenRow is a token in the types of its columns.
type tokenRow struct {
	storage.Token
	hash, successor   []byte
	scopes, resources string
	created, expires  int64
	rotated           sql.NullInt64
}

// columns are those that tokenColumns names, to be scanned.
func (r *tokenRow) columns() []any {
	return []any{&r.hash, &r.Kind, &r.Grant, &r.scopes, &r.resources, &r.Thumbprint, &r.Certificate, &r.created, &r.expires,
		&r.rotated, &r.successor}
}

func (r *tokenRow) token() (storage.Token, error) {
	t := r.Token
	copy(t.Hash[:], r.hash)
	copy(t.Successor[:], r.successor)
	t.Created, t.Expires, t.Rotated = time.UnixMicro(r.created).UTC(), time.UnixMicro(r.expires).UTC(), moment(r.rotated)
	if err := errors.Join(decode(r.scopes, &t.Scopes), decode(r.resources, &t.Resources)); err != nil {
		return storage.Token{}, fmt.Errorf("sqlite: a token of grant %q: %w", t.Grant, err)
	}
	return t, nil
}
