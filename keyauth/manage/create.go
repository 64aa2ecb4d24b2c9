package manage

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

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
	// Access is required, unless the service's terms set it. Legacy can't be
	// created.
	Access strikeplate.Access
	// Owner is the active member whom a user-level key acts as; required for
	// those levels, refused for the others.
	Owner string
	// Scopes; where the service has a catalog, at least one of it. A wildcard that
	// it declares grants the scopes that it stands for now, and no later ones.
	Scopes []string
	// Expires is the first moment at which the key no longer works. Zero: as the
	// service's terms have it, or never where NoExpiry says so.
	Expires  time.Time
	NoExpiry bool
	// Allow are the networks that the key may be used from; empty: any. At most
	// 100. See [ParseAllow].
	Allow []netip.Prefix
	// Metadata is the caller's own: at most 50 entries and 4 KiB.
	Metadata map[string]string
}

// Created is a new key and its secret, which can't be had again.
type Created struct {
	Key    Key                `json:"key"`
	Secret strikeplate.Secret `json:"-"`
}

// Create makes a key. What it refuses with, in the order in which it is
// checked: 403 forbidden, 400 invalid_request, 402 subscription_required, 403
// plan_required, 409 key_limit_reached; and 503 outcome_unknown where the store
// can't tell whether the key was made.
func (s *Service) Create(ctx context.Context, a storage.Actor, c Creation) (Created, error) {
	now := s.now()
	key := s.draft(a, c, now)
	if err := s.authorizeSecret(ctx, a, ActionCreate, key); err != nil {
		return Created{}, err
	}
	if err := s.check(c, &key, now); err != nil {
		return Created{}, err
	}
	account, err := s.subscribed(ctx, a.Organisation)
	if err != nil {
		return Created{}, err
	}
	if err := s.ownedByMember(ctx, a.Organisation, key.Owner); err != nil {
		return Created{}, err
	}
	if len(key.Allow) > 0 {
		if err := s.audited(ctx, a, ActionCreate, "", s.c.Terms.planAllows(account)); err != nil {
			return Created{}, err
		}
	}
	limit, err := s.room(ctx, a.Organisation, now, 0)
	if err != nil {
		return Created{}, err
	}
	secret, err := s.mint(ctx, c.Prefix, &key)
	if err != nil {
		return Created{}, err
	}
	if err := s.commit(ctx, a, now, limit, change{action: ActionCreate, after: key}); err != nil {
		return Created{}, err
	}
	key.Version++
	return Created{Key: s.view(key, now), Secret: secret}, nil
}

// draft is the record as it is asked for, before anything of it is checked.
func (s *Service) draft(a storage.Actor, c Creation, now time.Time) storage.Key {
	id := newID()
	key := storage.Key{
		ID: id, Lineage: id, Organisation: a.Organisation, Name: strings.TrimSpace(c.Name),
		Environment: c.Environment, Access: c.Access, Scopes: s.settleScopes(c.Scopes), Owner: c.Owner, Creator: a.User,
		Allow: c.Allow, SecretVersion: 1, Created: now,
	}
	if len(c.Metadata) > 0 {
		key.Metadata = maps.Clone(c.Metadata)
	}
	if key.Environment == "" {
		key.Environment = strikeplate.Live
	}
	if key.Access == "" {
		key.Access = s.c.Terms.Access
	}
	return key
}

func newID() string { return "key_" + rand.Text() }

// check judges a draft and settles what it leaves open.
func (s *Service) check(c Creation, key *storage.Key, now time.Time) error {
	err := checkName(key.Name)
	if err == nil {
		err = s.checkAccess(c.Access, *key)
	}
	if err == nil {
		err = s.checkScopes(key.Scopes)
	}
	if err == nil {
		key.Expires, err = s.c.Terms.settleExpiry(c.Expires, c.NoExpiry, now)
	}
	if err == nil {
		key.Allow, err = settleAllow(key.Allow)
	}
	if err == nil {
		err = checkMetadata(key.Metadata)
	}
	return err
}

// mint gives key a new secret of a format, named as stored records do, and
// seals it where secrets are kept.
func (s *Service) mint(ctx context.Context, format string, key *storage.Key) (strikeplate.Secret, error) {
	minted, err := s.c.Scheme.Mint(ctx, format, key.Environment)
	if errors.Is(err, keyauth.ErrNoFormat) {
		return strikeplate.Secret{}, invalid("format", "keys with prefix %.100q are not issued for the environment %.100q", format, key.Environment)
	}
	if err != nil {
		return strikeplate.Secret{}, told(err, "minting")
	}
	key.Lookup, key.Last4, key.Hash, key.Format = minted.Lookup, minted.Last4, minted.Hash, minted.Format
	key.Sealed, err = s.c.Reveal.seal(*key, minted.Secret)
	return minted.Secret, err
}
