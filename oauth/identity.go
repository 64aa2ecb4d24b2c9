package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"

	"github.com/strikeplate/strikeplate"
)

// Trust says for whom an issuer may speak, and how its claims are read.
type Trust struct {
	// Organisations are those that the issuer may speak for: a token for any other
	// is refused, whatever it says. Required, unless InsecureAnyOrganisation trusts
	// the issuer with all of them.
	Organisations           []string
	InsecureAnyOrganisation bool
	// Identify says whom a token acts for. Nil: the organisation is the claim org_id
	// or, where that is missing and Organisations has one entry, that one; a token
	// of a user is user-full for the user "iss|sub"; one that a client got for
	// itself (its sub is its client_id, RFC 9068 5) has the level Machines.
	//
	// An [*strikeplate.Error] that it fails with is the answer, any other error is
	// 503.
	Identify func(ctx context.Context, c Claims) (Identity, error)
	// Machines is the access level of tokens behind which there is no user:
	// OrganisationLimited or OrganisationFull. Empty: they are refused.
	Machines strikeplate.Access
}

// Identity is whom a token acts for.
type Identity struct {
	// Organisation must be one of the issuer's.
	Organisation string
	// User is the user's id in the Directory; empty: "iss|sub". It must not be an
	// e-mail address: who gets one later gets what its owner had (RFC 9068 5,
	// OpenID Connect Core 5.7). Only for access levels of a user.
	User   string
	Access strikeplate.Access
	// Environment: empty means live.
	Environment strikeplate.Environment
	// Plan stands over the account's. Empty: the account's counts.
	Plan string
	// Scopes are the token's, or fewer; nil: the token's.
	Scopes []string
}

func (t *Trust) settle() error {
	if (len(t.Organisations) == 0) != t.InsecureAnyOrganisation {
		return errors.New("name the Organisations that it may speak for, or else set InsecureAnyOrganisation")
	}
	if slices.Contains(t.Organisations, "") {
		return errors.New("Organisations must not be empty texts")
	}
	if err := checkMachines(t.Machines); err != nil {
		return err
	}
	if t.Identify == nil {
		t.Identify = t.identify
	}
	t.Organisations = slices.Clone(t.Organisations)
	return nil
}

func checkMachines(level strikeplate.Access) error {
	switch level {
	case "", strikeplate.OrganisationLimited, strikeplate.OrganisationFull:
		return nil
	}
	return fmt.Errorf("Machines can't be %q: no user stands behind such tokens", level)
}

const (
	errForeign = invalid("The access token's issuer does not speak for that organisation.")
	errMachine = invalid("Access tokens without a user are not accepted here.")
)

var errEmail = errors.New("oauth: Identify returned an e-mail address as the User; addresses change hands")

// identify is what Identify means when it is nil.
func (t *Trust) identify(_ context.Context, c Claims) (Identity, error) {
	id := Identity{Organisation: c.Organisation, Access: strikeplate.UserFull}
	if id.Organisation == "" && len(t.Organisations) == 1 {
		id.Organisation = t.Organisations[0]
	}
	if c.Subject == "" || c.Subject == c.ClientID {
		id.Access = t.Machines
		if id.Access == "" {
			return Identity{}, errMachine
		}
	}
	return id, nil
}

// principal asks whom the claims act for, and makes sure that the issuer may say so.
func (t *Trust) principal(ctx context.Context, r *Resource, c *Claims, d digest) (strikeplate.Principal, error) {
	id, err := t.Identify(ctx, *c)
	switch {
	case err != nil:
		return strikeplate.Principal{}, err
	case id.Organisation == "" || !t.InsecureAnyOrganisation && !slices.Contains(t.Organisations, id.Organisation):
		return strikeplate.Principal{}, errForeign
	case c.email != "" && id.User == c.email:
		return strikeplate.Principal{}, errEmail
	}
	p := strikeplate.Principal{
		Kind: strikeplate.KindToken, Environment: id.Environment, Access: id.Access, Expires: c.Expires,
		Credential: "token_" + short(d[:]), Lineage: lineage(c), ClientID: c.ClientID,
		Organisation: id.Organisation, Plan: id.Plan, Scopes: c.Scopes,
	}
	if p.Environment == "" {
		p.Environment = strikeplate.Live
	}
	if id.Access.ForUser() {
		if p.Subject = id.User; p.Subject == "" {
			p.Subject = c.Issuer + "|" + c.Subject
		}
	}
	if id.Scopes != nil {
		p.Scopes = intersect(id.Scopes, c.Scopes)
	}
	p.Scopes = r.narrowed(p.Scopes)
	return p, nil
}

// narrowed keeps the catalog's scopes.
func (r *Resource) narrowed(scopes []string) []string {
	if r.scopes == nil {
		return append([]string{}, scopes...)
	}
	return intersect(scopes, r.scopes)
}

// lineage stands for a grant: what one client does for one subject of one issuer.
// It is hashed, so that no issuer can choose one that is a key's id.
func lineage(c *Claims) string {
	sum := sha256.Sum256([]byte(c.Issuer + "\x00" + c.ClientID + "\x00" + c.Subject))
	return "grant_" + short(sum[:])
}

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// short is 128 bits of a digest: enough to tell records apart, too little to be
// one's digest.
func short(sum []byte) string { return letters.EncodeToString(sum[:16]) }
