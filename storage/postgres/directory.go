package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

var errText = errors.New("postgres: text is not UTF-8 or holds a NUL byte")

// Account implements storage.Directory.
func (s *Store) Account(ctx context.Context, organisation string) (storage.Account, error) {
	if !storage.ValidText(organisation) {
		return storage.Account{}, storage.ErrNotFound
	}
	var a storage.Account
	err := s.pool.QueryRow(ctx, s.sql.account, organisation).Scan(&a.Organisation, &a.Plan, &a.Lapsed, &a.Settings)
	if err != nil {
		return storage.Account{}, missing("read an account", err)
	}
	return a, nil
}

// User implements storage.Directory.
func (s *Store) User(ctx context.Context, organisation, id string) (storage.User, error) {
	if !storage.ValidText(organisation) || !storage.ValidText(id) {
		return storage.User{}, storage.ErrNotFound
	}
	var u storage.User
	err := s.pool.QueryRow(ctx, s.sql.user, organisation, id).Scan(
		&u.ID, &u.Organisation, &u.Name, &u.Role, &u.Active, &u.Scopes)
	if err != nil {
		return storage.User{}, missing("read a user", err)
	}
	return u, nil
}

func missing(doing string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return storage.ErrNotFound
	}
	return failed(doing, err)
}

// PutAccount implements storage.EditableDirectory.
func (s *Store) PutAccount(ctx context.Context, a storage.Account) error {
	if !validTexts(a.Organisation, a.Plan) || !validSettings(a.Settings) {
		return errText
	}
	var settings *string
	if a.Settings != nil {
		text, err := json.Marshal(a.Settings)
		if err != nil {
			return fmt.Errorf("postgres: settings of %q: %w", a.Organisation, err)
		}
		settings = jsonText(text)
	}
	_, err := s.pool.Exec(ctx, s.sql.putAccount, a.Organisation, a.Plan, a.Lapsed, settings)
	// Told in any case: a failure doesn't always say that nothing was written.
	s.watchers.Changed(storage.AccountChanged, a.Organisation, a.Organisation, 0)
	return failed("put an account", err)
}

// PutUser implements storage.EditableDirectory.
func (s *Store) PutUser(ctx context.Context, u storage.User) error {
	if !validTexts(append([]string{u.ID, u.Organisation, u.Name, u.Role}, u.Scopes...)...) {
		return errText
	}
	tag, err := s.pool.Exec(ctx, s.sql.putUser, u.ID, u.Organisation, u.Name, u.Role, u.Active, u.Scopes)
	if err == nil && tag.RowsAffected() == 0 {
		return storage.ErrConflict // the id is another organisation's
	}
	s.watchers.Changed(storage.UserChanged, u.Organisation, u.ID, 0)
	return failed("put a user", err)
}

func validTexts(texts ...string) bool {
	for _, text := range texts {
		if !storage.ValidText(text) {
			return false
		}
	}
	return true
}

// validSettings looks for text in settings that could not be stored, or that
// JSON would silently replace.
func validSettings(value any) bool {
	switch v := value.(type) {
	case string:
		return storage.ValidText(v)
	case []any:
		for _, element := range v {
			if !validSettings(element) {
				return false
			}
		}
	case map[string]any:
		for name, element := range v {
			if !storage.ValidText(name) || !validSettings(element) {
				return false
			}
		}
	}
	return true
}
