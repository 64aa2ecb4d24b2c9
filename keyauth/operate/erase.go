package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/strikeplate/strikeplate/storage"
)

// ErrRemains is returned by [Service.Erase] where keys are created as fast as
// they are erased: stop that, and call again.
var ErrRemains = errors.New("operate: erase: the organisation has keys again")

const eraseAttempts = 3

// Erase removes all that is stored of an organisation, for ever: keys, audit log,
// account and users, those that are imported too. Its keys are refused from the
// next request on by this process's Authenticators that follow the store's feed,
// and by others within their Cache.Fresh. The embedder's own records of it, and
// events that were delivered, are not ours to erase.
//
// It has looked, when it returns nil, and found no key. A failure may leave a
// part: call again. Erasing an organisation that isn't there succeeds. It is
// logged, since there is no log left to say so.
func (s *Service) Erase(ctx context.Context, organisation string) error {
	if organisation == "" || !storage.ValidText(organisation) {
		return errors.New("operate: erase: an organisation is required")
	}
	for range eraseAttempts {
		if err := s.c.Operator.EraseOrganisation(ctx, organisation); err != nil {
			return fmt.Errorf("operate: erase: %w", err)
		}
		left, _, err := s.c.Keys.ListKeys(ctx, storage.Query{Organisation: organisation, Now: s.now(), Limit: 1})
		if err != nil {
			return fmt.Errorf("operate: erase: %w", err)
		}
		if len(left) == 0 {
			s.c.Logger.InfoContext(ctx, "an organisation was erased", "organisation", organisation, "by", s.c.Name)
			return nil
		}
	}
	return ErrRemains
}
