package manage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// authorize stands in front of every action, and has refusals audited.
func (s *Service) authorize(ctx context.Context, a storage.Actor, action string, k storage.Key) error {
	return s.audited(ctx, a, action, k.ID, s.judge(ctx, a, action, k))
}

// authorizeSecret stands in front of every action that hands out a secret.
func (s *Service) authorizeSecret(ctx context.Context, a storage.Actor, action string, k storage.Key) error {
	err := s.judge(ctx, a, action, k)
	if err == nil {
		err = s.within(ctx, a, k)
	}
	return s.audited(ctx, a, action, k.ID, err)
}

// audited records err if it denies something.
func (s *Service) audited(ctx context.Context, a storage.Actor, action, target string, err error) error {
	var e *strikeplate.Error
	if errors.As(err, &e) && e.Status == http.StatusForbidden {
		return s.denied(ctx, a, action, target, e)
	}
	return err
}

// judge decides without leaving a trace. Who is asking and in which
// organisation is checked here, so that no replaced rule can forget it.
func (s *Service) judge(ctx context.Context, a storage.Actor, action string, k storage.Key) error {
	p, called := strikeplate.FromContext(ctx)
	switch {
	case a.User == "" || a.Organisation == "" || !storage.ValidText(a.User+a.Organisation+a.Role):
		return forbidden("Sign in to manage API keys.")
	case called && p.Kind != strikeplate.KindToken, ownID.MatchString(a.User):
		return forbidden("An API key can't manage API keys. Sign in as a user.")
	case k.Organisation != a.Organisation:
		return notFound()
	}
	err := s.c.Authorize(ctx, a, action, k)
	var refusal *strikeplate.Error
	if err != nil && !errors.As(err, &refusal) {
		return fmt.Errorf("manage: deciding on %s: %w", action, err)
	}
	return err
}

// ownID is the form of the ids that draft gives to keys.
var ownID = regexp.MustCompile(`^key_[A-Z2-7]{26}$`)

func (c *Config) administratorsOnly(_ context.Context, a storage.Actor, _ string, _ storage.Key) error {
	if !slices.Contains(c.AdminRoles, a.Role) {
		return forbidden("Only administrators of the organisation may manage API keys. Ask one of them.")
	}
	return nil
}

// within holds actors who are no administrators to what they have themselves:
// keys issued to them, with scopes that they have in this session and in the
// directory.
func (s *Service) within(ctx context.Context, a storage.Actor, k storage.Key) error {
	switch {
	case slices.Contains(s.c.AdminRoles, a.Role):
		return nil
	case !k.Access.ForUser() || k.Owner != a.User:
		return forbidden("Only administrators may hold keys that act for others than themselves. Have the key issued to yourself, at a user level.")
	}
	if beyond := missing(k.Scopes, a.Scopes); len(beyond) > 0 {
		return forbidden("You can't grant scopes that you don't have: %s.", quoted(beyond))
	}
	if s.c.Directory == nil {
		return nil
	}
	user, err := s.c.Directory.User(ctx, a.Organisation, a.User)
	switch {
	case errors.Is(err, storage.ErrNotFound) || err == nil && !user.Active:
		return forbidden("You are not an active member of the organisation.")
	case err != nil:
		return told(err, "asking for the actor")
	case user.Scopes == nil:
		return nil
	}
	if beyond := missing(k.Scopes, user.Scopes); len(beyond) > 0 {
		return forbidden("You can't grant scopes that you don't have: %s.", quoted(beyond))
	}
	return nil
}

// missing returns those of want that are not in have.
func missing(want, have []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(have, s) })
}
