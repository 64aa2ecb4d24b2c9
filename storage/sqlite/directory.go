package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/strikeplate/strikeplate/storage"
)

var errText = errors.New("sqlite: text is not UTF-8 or holds a NUL byte")

// Account implements [storage.Directory].
func (s *Store) Account(ctx context.Context, organisation string) (storage.Account, error) {
	a := storage.Account{Organisation: organisation}
	var settings []byte
	err := s.sql.account.QueryRowContext(ctx, organisation).Scan(&a.Plan, &a.Lapsed, &settings)
	if errors.Is(err, sql.ErrNoRows) {
		return storage.Account{}, storage.ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal(settings, &a.Settings)
	}
	if err != nil {
		return storage.Account{}, s.failed("account", err)
	}
	return a, nil
}

// User implements [storage.Directory].
func (s *Store) User(ctx context.Context, organisation, id string) (storage.User, error) {
	u := storage.User{ID: id, Organisation: organisation}
	var scopes sql.NullString
	err := s.sql.user.QueryRowContext(ctx, id, organisation).Scan(&u.Name, &u.Role, &u.Active, &scopes)
	if errors.Is(err, sql.ErrNoRows) {
		return storage.User{}, storage.ErrNotFound
	}
	if err == nil && scopes.Valid { // [] is not NULL: it leaves nothing
		err = json.Unmarshal([]byte(scopes.String), &u.Scopes)
	}
	if err != nil {
		return storage.User{}, s.failed("user", err)
	}
	return u, nil
}

// PutAccount implements [storage.EditableDirectory].
func (s *Store) PutAccount(ctx context.Context, a storage.Account) error {
	if !storage.ValidText(a.Organisation) || !storage.ValidText(a.Plan) {
		return errText
	}
	settings, err := json.Marshal(a.Settings)
	if err != nil {
		return fmt.Errorf("sqlite: settings of %q: %w", a.Organisation, err)
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, s.sql.putAccount).ExecContext(ctx, a.Organisation, a.Plan, a.Lapsed, string(settings))
		return err
	})
	if err == nil || errors.Is(err, errUnknown) {
		s.watchers.Changed(storage.AccountChanged, a.Organisation, a.Organisation, 0)
	}
	return err
}

// PutUser implements [storage.EditableDirectory].
func (s *Store) PutUser(ctx context.Context, u storage.User) error {
	for _, t := range append([]string{u.ID, u.Organisation, u.Name, u.Role}, u.Scopes...) {
		if !storage.ValidText(t) {
			return errText
		}
	}
	var scopes sql.NullString
	if u.Scopes != nil {
		list, err := encode(u.Scopes, len(u.Scopes), "[]")
		if err != nil {
			return fmt.Errorf("sqlite: scopes of %q: %w", u.ID, err)
		}
		scopes = sql.NullString{String: list, Valid: true}
	}
	err := s.write(ctx, func(tx *sql.Tx) error {
		done, err := tx.StmtContext(ctx, s.sql.putUser).ExecContext(ctx, u.ID, u.Organisation, u.Name, u.Role, u.Active, scopes)
		if err != nil {
			return err
		}
		if rows, err := done.RowsAffected(); err != nil || rows == 0 {
			return errors.Join(err, storage.ErrConflict)
		}
		return nil
	})
	if err == nil || errors.Is(err, errUnknown) {
		s.watchers.Changed(storage.UserChanged, u.Organisation, u.ID, 0)
	}
	return err
}
