package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

// Code implements storage.Grants.
func (s *Store) Code(ctx context.Context, hash [32]byte) (storage.Code, storage.Grant, error) {
	var code codeScan
	var grant grantScan
	err := s.pool.QueryRow(ctx, s.sql.grants.code, hash[:]).Scan(slices.Concat(code.columns(), grant.columns())...)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return storage.Code{}, storage.Grant{}, storage.ErrNotFound
	case err != nil:
		return storage.Code{}, storage.Grant{}, failed("read a code", err)
	}
	return code.code(), grant.grant(), nil
}

// UseCode implements storage.Grants.
func (s *Store) UseCode(ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
	if err := allStorable("use a code", append(timesOf(tokens), now)...); err != nil {
		return err
	}
	var c lockedCode
	var verdict error // of a transaction that is committed all the same
	var gone []changed
	err := s.mutate(ctx, "use a code", func(b *pgx.Batch) {
		b.Queue(s.sql.patience)
		b.Queue(s.sql.grants.lockCode, hash[:]).QueryRow(c.scan)
	}, func(tx pgx.Tx) (err error) {
		gone, verdict = nil, nil
		if verdict, err = s.useCode(ctx, tx, c, now, tokens); errors.Is(err, storage.ErrReused) {
			gone, err = s.reusedHere(ctx, tx, c.grant, now)
			verdict = storage.ErrReused
		}
		return err
	})
	if errors.Is(err, errBusy) {
		return s.reused(ctx, c.grant, now)
	}
	s.tell(err, gone...)
	if err != nil {
		return err
	}
	return verdict
}

// lockedCode is a code with what decides about it.
type lockedCode struct {
	storage.Code
	grant   storage.Grant
	app     storage.App // as far as it counts
	blocked bool
}

func (c *lockedCode) scan(row pgx.Row) error {
	var code codeScan
	var grant grantScan
	var revoked *time.Time
	err := row.Scan(append(slices.Concat(code.columns(), grant.columns()), &revoked, &c.blocked)...)
	c.Code, c.grant, c.app.Revoked = code.code(), grant.grant(), utc(revoked)
	return orNone(err)
}

func (s *Store) useCode(ctx context.Context, tx pgx.Tx, c lockedCode, now time.Time, tokens []storage.Token) (verdict, err error) {
	if err := c.Buys(now, tokens); err != nil {
		return nil, err
	}
	verdict = c.Usable(now, c.grant, c.app, c.blocked)
	if errors.Is(verdict, storage.ErrReused) {
		return nil, verdict
	}
	b := &pgx.Batch{}
	b.Queue(s.sql.grants.useCode, c.Hash[:], micros(now))
	if verdict == nil {
		s.addTokens(b, tokens)
	}
	return verdict, tx.SendBatch(ctx, b).Close()
}

// errBusy: the organisation is locked by another transaction.
var errBusy = errors.New("organisation is locked")

// reusedHere revokes the grant whose code or token was used twice, in the
// transaction that found that and has locked it. Who writes to a log locks the
// organisation before a grant, so this must not wait for it: errBusy. Usually it
// need not, and then many that present the same code or token do no more than wait
// for the first of them.
func (s *Store) reusedHere(ctx context.Context, tx pgx.Tx, g storage.Grant, now time.Time) ([]changed, error) {
	if !g.Revoked.IsZero() {
		return nil, nil
	}
	next, entry := g.Reuse(now)
	log, err := newLedger([]storage.Entry{entry}, "")
	if err != nil {
		return nil, err
	}
	var free string
	err = tx.QueryRow(ctx, s.sql.grants.tryLog, g.Organisation).Scan(&free)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errBusy
	}
	if err != nil {
		return nil, err
	}
	b := &pgx.Batch{}
	s.openLog(b, log)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	return s.writeReuse(ctx, tx, next, log)
}

func (s *Store) writeReuse(ctx context.Context, tx pgx.Tx, g storage.Grant, log *ledger) ([]changed, error) {
	b := &pgx.Batch{}
	b.Queue(s.sql.grants.reused, g.ID, micros(g.Revoked), g.RevokedBecause, g.Version)
	s.writeLog(b, log)
	return []changed{{storage.GrantChanged, g.Organisation, g.ID, g.Version}}, tx.SendBatch(ctx, b).Close()
}

// reused does the same in a transaction of its own, which waits for the
// organisation. What it is about stays true meanwhile. Whoever presented the code or
// token can't prevent it by hanging up.
func (s *Store) reused(ctx context.Context, g storage.Grant, now time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reuseTimeout)
	defer cancel()
	_, entry := g.Reuse(now)
	log, err := newLedger([]storage.Entry{entry}, "")
	if err != nil {
		return err
	}
	var gone []changed
	err = s.mutate(ctx, "revoke a grant", func(b *pgx.Batch) {
		s.openLog(b, log)
		b.Queue(s.sql.grants.lockGrant, g.ID).QueryRow(func(row pgx.Row) (err error) {
			g, err = scanGrant(row)
			if errors.Is(err, pgx.ErrNoRows) || err == nil && !g.Revoked.IsZero() {
				return errNothing
			}
			return err
		})
	}, func(tx pgx.Tx) (err error) {
		next, _ := g.Reuse(now)
		gone, err = s.writeReuse(ctx, tx, next, log)
		return err
	})
	s.tell(err, gone...)
	if err != nil {
		return err
	}
	return storage.ErrReused
}

// reuseTimeout is how long a revocation may take that nobody waits for.
const reuseTimeout = 10 * time.Second

// Presented implements storage.Grants. It is one round trip.
func (s *Store) Presented(ctx context.Context, hash [32]byte) (storage.Presented, error) {
	p, err := scanPresented(s.pool.QueryRow(ctx, s.sql.grants.presented, hash[:]))
	if errors.Is(err, pgx.ErrNoRows) {
		return storage.Presented{}, storage.ErrNotFound
	}
	return p, failed("read a token", err)
}

func scanPresented(row pgx.Row) (p storage.Presented, err error) {
	var (
		token tokenScan
		grant grantScan
		app   appScan
	)
	if err := row.Scan(append(slices.Concat(token.columns(), grant.columns(), app.columns()), &p.Blocked)...); err != nil {
		return storage.Presented{}, err
	}
	p.Token, p.Grant = token.token(), grant.grant()
	p.App, err = app.app()
	return p, err
}

// Rotate implements storage.Grants.
func (s *Store) Rotate(ctx context.Context, r storage.Rotation) (access storage.Token, repeated bool, err error) {
	if err := r.Check(); err != nil {
		return storage.Token{}, false, err
	}
	if err := allStorable("rotate a token", append(timesOf([]storage.Token{r.Access, r.Refresh}), r.Now)...); err != nil {
		return storage.Token{}, false, err
	}
	var old storage.Presented
	var reused bool
	var gone []changed
	err = s.mutate(ctx, "rotate a token", func(b *pgx.Batch) {
		b.Queue(s.sql.patience)
		b.Queue(s.sql.grants.lockToken, r.Old[:]).QueryRow(func(row pgx.Row) (err error) {
			old, err = scanPresented(row)
			return orNone(err)
		})
	}, func(tx pgx.Tx) (err error) {
		gone = nil
		access, repeated, err = s.rotate(ctx, tx, old, r)
		if reused = errors.Is(err, storage.ErrReused); reused {
			gone, err = s.reusedHere(ctx, tx, old.Grant, r.Now)
		}
		return err
	})
	if errors.Is(err, errBusy) {
		return storage.Token{}, false, s.reused(ctx, old.Grant, r.Now)
	}
	s.tell(err, gone...)
	switch {
	case err != nil:
		return storage.Token{}, false, err
	case reused:
		return storage.Token{}, false, storage.ErrReused
	}
	return access, repeated, nil
}

func (s *Store) rotate(ctx context.Context, tx pgx.Tx, old storage.Presented, r storage.Rotation) (access storage.Token, repeated bool, err error) {
	var successor storage.Token
	if !old.Token.Rotated.IsZero() {
		if successor, access, err = s.two(ctx, tx, old.Token.Successor, r.Access.Hash); err != nil {
			return access, false, err
		}
	}
	if repeated, err = r.Judge(old, successor, access); err != nil || repeated {
		return access, repeated, err
	}
	b := &pgx.Batch{}
	s.addTokens(b, []storage.Token{r.Access, r.Refresh})
	b.Queue(s.sql.grants.rotate, r.Old[:], micros(r.Now), r.Refresh.Hash[:])
	return asStored(r.Access), false, tx.SendBatch(ctx, b).Close()
}

// two returns tokens by their hashes, the zero Token where there is none.
func (s *Store) two(ctx context.Context, tx pgx.Tx, one, other [32]byte) (first, second storage.Token, err error) {
	rows, err := tx.Query(ctx, s.sql.grants.two, one[:], other[:])
	if err != nil {
		return first, second, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (storage.Token, error) {
		var r tokenScan
		err := row.Scan(r.columns()...)
		return r.token(), err
	})
	for _, t := range found {
		switch t.Hash {
		case one:
			first = t
		case other:
			second = t
		}
	}
	return first, second, err
}

func (s *Store) addTokens(b *pgx.Batch, tokens []storage.Token) {
	for _, t := range tokens {
		b.Queue(s.sql.grants.addToken, t.Hash[:], string(t.Kind), t.Grant, orEmpty(t.Scopes), orEmpty(t.Resources), t.Thumbprint,
			t.Certificate, micros(t.Created), micros(t.Expires))
	}
}

func timesOf(tokens []storage.Token) []time.Time {
	var all []time.Time
	for _, t := range tokens {
		all = append(all, t.Created, t.Expires)
	}
	return all
}

// DropToken implements storage.Grants.
func (s *Store) DropToken(ctx context.Context, hash [32]byte) error {
	var dropped []changed
	err := s.mutate(ctx, "drop a token", func(*pgx.Batch) {}, func(tx pgx.Tx) error {
		dropped = nil
		var grant string
		err := tx.QueryRow(ctx, s.sql.grants.drop, hash[:]).Scan(&grant)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNothing
		}
		if err == nil {
			dropped, err = grantsOf(tx.Query(ctx, s.sql.grants.touch, grant))
		}
		return err
	})
	s.tell(err, dropped...)
	return err
}

// codeScan is a code in the types of its columns.
type codeScan struct {
	storage.Code
	hash []byte
	used *time.Time
}

func (r *codeScan) columns() []any {
	return []any{&r.hash, &r.Grant, &r.RedirectURI, &r.RedirectGiven, &r.Challenge, &r.Thumbprint, &r.Expires, &r.used}
}

func (r *codeScan) code() storage.Code {
	c := r.Code
	copy(c.Hash[:], r.hash)
	c.Expires, c.Used = c.Expires.UTC(), utc(r.used)
	return c
}

// tokenScan is a token in the types of its columns.
type tokenScan struct {
	storage.Token
	hash, successor []byte
	rotated         *time.Time
}

func (r *tokenScan) columns() []any {
	return []any{&r.hash, &r.Kind, &r.Grant, &r.Scopes, &r.Resources, &r.Thumbprint, &r.Certificate, &r.Created, &r.Expires,
		&r.rotated, &r.successor}
}

func (r *tokenScan) token() storage.Token {
	t := r.Token
	copy(t.Hash[:], r.hash)
	copy(t.Successor[:], r.successor)
	t.Rotated = utc(r.rotated)
	return asStored(t)
}

// asStored is a token as it comes back.
func asStored(t storage.Token) storage.Token {
	t.Scopes, t.Resources = orNil(t.Scopes), orNil(t.Resources)
	t.Created, t.Expires = micros(t.Created), micros(t.Expires)
	return t
}
