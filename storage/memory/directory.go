package memory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/strikeplate/strikeplate/storage"
)

// account keeps Settings as JSON: a deep copy that nobody shares, holding what
// the other backends could hold.
type account struct {
	storage.Account // Settings nil
	settings        []byte
}

var errText = errors.New("memory: text is not UTF-8 or holds a NUL byte")

// Account implements [storage.Directory].
func (s *Store) Account(ctx context.Context, organisation string) (storage.Account, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return storage.Account{}, err
	}
	stored, ok := s.accounts[organisation]
	unlock()
	if !ok {
		return storage.Account{}, storage.ErrNotFound
	}
	a := stored.Account
	if err := json.Unmarshal(stored.settings, &a.Settings); err != nil {
		return storage.Account{}, fmt.Errorf("memory: settings of %q: %w", organisation, err)
	}
	return a, nil
}

// User implements [storage.Directory].
func (s *Store) User(ctx context.Context, organisation, id string) (storage.User, error) {
	unlock, err := s.reading(ctx)
	if err != nil {
		return storage.User{}, err
	}
	defer unlock()
	u, ok := s.users[id]
	if !ok || u.Organisation != organisation {
		return storage.User{}, storage.ErrNotFound
	}
	u.Scopes = slices.Clone(u.Scopes)
	return u, nil
}

// PutAccount implements [storage.EditableDirectory].
func (s *Store) PutAccount(ctx context.Context, a storage.Account) error {
	if !storage.ValidText(a.Organisation) || !storage.ValidText(a.Plan) {
		return errText
	}
	settings, err := json.Marshal(a.Settings)
	if err != nil {
		return fmt.Errorf("memory: settings of %q: %w", a.Organisation, err)
	}
	a.Settings = nil
	defer s.writes.begin()()
	unlock, err := s.writing(ctx)
	if err != nil {
		return err
	}
	s.accounts[a.Organisation] = account{a, settings}
	unlock()
	s.watchers.Changed(storage.AccountChanged, a.Organisation, a.Organisation, 0)
	return nil
}

// PutUser implements [storage.EditableDirectory].
func (s *Store) PutUser(ctx context.Context, u storage.User) error {
	for _, text := range append([]string{u.ID, u.Organisation, u.Name, u.Role}, u.Scopes...) {
		if !storage.ValidText(text) {
			return errText
		}
	}
	defer s.writes.begin()()
	if err := s.writeUser(ctx, u); err != nil {
		return err
	}
	s.watchers.Changed(storage.UserChanged, u.Organisation, u.ID, 0)
	return nil
}

func (s *Store) writeUser(ctx context.Context, u storage.User) error {
	unlock, err := s.writing(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if stored, ok := s.users[u.ID]; ok && stored.Organisation != u.Organisation {
		return storage.ErrConflict
	}
	u.Scopes = slices.Clone(u.Scopes)
	s.users[u.ID] = u
	return nil
}
