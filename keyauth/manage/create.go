package manage

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

const maxName = 100 // characters

// Creation says what a new key shall be. Scopes, access, owner and environment
// are permanent.
type Creation struct {
	// Name is required: 1 to 100 characters after trimming.
	Name string
	// Prefix names the format, as in keyauth.Format; it may be empty for a pair
	// without one.
	Prefix string
	// Environment; empty: live.
	Environment strikeplate.Environment
	// Access is required. Legacy can't be created.
	Access strikeplate.Access
	// Owner is the active member whom a user-level key acts as; required for
	// those levels, refused for the others.
	Owner  string
	Scopes []string
	// Expires is the first moment at which the key no longer works; zero: never.
	Expires  time.Time
	Allow    []netip.Prefix
	Metadata map[string]string
}

// Created is a new key and its secret, which can't be had again.
type Created struct {
	Key    Key
	Secret strikeplate.Secret
}

// Create makes a key. What it refuses with: 403 forbidden, 400 invalid_request,
// 402 subscription_required, 409 key_limit_reached.
func (s *Service) Create(ctx context.Context, a storage.Actor, c Creation) (Created, error) {
	now := s.Now()
	key := draft(a, c, now)
	if err := s.authorize(ctx, a, ActionCreate, key); err != nil {
		return Created{}, err
	}
	if err := c.check(now); err != nil {
		return Created{}, err
	}
	if err := s.standing(ctx, a.Organisation, c.Owner); err != nil {
		return Created{}, err
	}
	minted, err := s.Scheme.Mint(ctx, c.Prefix, key.Environment)
	if errors.Is(err, keyauth.ErrNoFormat) {
		return Created{}, invalid("format", "no keys with prefix %q are issued for environment %q", c.Prefix, key.Environment)
	}
	if err != nil {
		return Created{}, told(err, "minting")
	}
	key.Lookup, key.Last4, key.Hash, key.Format = minted.Lookup, minted.Last4, minted.Hash, minted.Format
	if err := s.commit(ctx, a, ActionCreate, nil, key, s.limit(a.Organisation)); err != nil {
		return Created{}, err
	}
	key.Version = 1
	return Created{Key: show(key, now), Secret: minted.Secret}, nil
}

// draft is the record as far as it is known before minting.
func draft(a storage.Actor, c Creation, now time.Time) storage.Key {
	id := "key_" + rand.Text()
	env := c.Environment
	if env == "" {
		env = strikeplate.Live
	}
	return storage.Key{
		ID: id, Lineage: id, Organisation: a.Organisation, Name: strings.TrimSpace(c.Name),
		Environment: env, Access: c.Access, Scopes: slices.Clone(c.Scopes), Owner: c.Owner, Creator: a.User,
		Allow: c.Allow, Metadata: c.Metadata, SecretVersion: 1, Created: now, Expires: c.Expires,
	}
}

func (c Creation) check(now time.Time) error {
	name := strings.TrimSpace(c.Name)
	switch {
	case name == "":
		return invalid("name", "give the key a name that tells what it is for")
	case utf8.RuneCountInString(name) > maxName:
		return invalid("name", "at most %d characters are allowed", maxName)
	case !storage.ValidText(name):
		return invalid("name", "it contains characters that can't be stored")
	case !c.Expires.IsZero() && !now.Before(c.Expires):
		return invalid("expires", "it must be in the future")
	}
	return c.checkAccess()
}

func (c Creation) checkAccess() error {
	switch c.Access {
	case strikeplate.UserLimited, strikeplate.UserFull:
		if c.Owner == "" {
			return invalid("owner", "a user-level key is issued to one member; name one")
		}
	case strikeplate.OrganisationLimited, strikeplate.OrganisationFull:
		if c.Owner != "" {
			return invalid("owner", "a key for the whole organisation is issued to nobody in particular")
		}
	case "":
		return invalid("access", "choose how much of the organisation's data the key reaches")
	default:
		return invalid("access", "%q is not a level that new keys can have", c.Access)
	}
	return nil
}

func invalid(field, format string, args ...any) error {
	e := refuse(http.StatusBadRequest, CodeRequest, field+": "+format+".", args...)
	e.Params = map[string]string{"field": field}
	return e
}

// standing refuses new keys for organisations that haven't paid and for owners
// who aren't active members.
func (s *Service) standing(ctx context.Context, organisation, owner string) error {
	if s.Directory == nil {
		return nil
	}
	account, err := s.Directory.Account(ctx, organisation)
	switch {
	case errors.Is(err, storage.ErrNotFound) || err == nil && account.Lapsed:
		return refuse(http.StatusPaymentRequired, strikeplate.CodeLapsed, "An active subscription is required to create API keys.")
	case err != nil:
		return told(err, "asking for the account")
	case owner == "":
		return nil
	}
	user, err := s.Directory.User(ctx, organisation, owner)
	switch {
	case errors.Is(err, storage.ErrNotFound) || err == nil && !user.Active:
		return invalid("owner", "%q is not an active member of the organisation", owner)
	case err != nil:
		return told(err, "asking for the owner")
	}
	return nil
}

func (s *Service) limit(organisation string) *storage.Limit {
	if s.MaxKeys == Unlimited {
		return nil
	}
	return &storage.Limit{Organisation: organisation, Max: s.MaxKeys}
}
