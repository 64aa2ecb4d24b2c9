package manage

import (
	"context"
	"errors"
	"net/http"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// subscribed refuses new keys for organisations that haven't paid.
func (s *Service) subscribed(ctx context.Context, organisation string) (storage.Account, error) {
	if s.c.Directory == nil {
		return storage.Account{}, nil
	}
	account, err := s.c.Directory.Account(ctx, organisation)
	switch {
	case errors.Is(err, storage.ErrNotFound) || err == nil && account.Lapsed:
		return account, refuse(http.StatusPaymentRequired, strikeplate.CodeLapsed,
			"New API keys need an active subscription. Renew it; your present keys then work again too.")
	case err != nil:
		return account, told(err, "asking for the account")
	}
	return account, nil
}

// member reports whether the user is an active member; "" is nobody, and fine.
func (s *Service) member(ctx context.Context, organisation, user string) (bool, error) {
	if s.c.Directory == nil || user == "" {
		return true, nil
	}
	u, err := s.c.Directory.User(ctx, organisation, user)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil && u.Active, err
}

// ownedByMember refuses new keys for owners who aren't active members.
func (s *Service) ownedByMember(ctx context.Context, organisation, owner string) error {
	active, err := s.member(ctx, organisation, owner)
	switch {
	case err != nil:
		return told(err, "asking for the owner")
	case !active:
		return invalid("owner", "%.100q is not an active member of the organisation", owner)
	}
	return nil
}
