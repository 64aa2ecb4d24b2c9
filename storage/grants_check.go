package storage

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxForm is the most that a pushed request may hold, in bytes.
const maxForm = 8 << 10

// Check refuses what no store may begin: a grant without an audit entry
// (ErrNoAudit), with records that are out of bounds or belong to another grant, or
// with a hash twice. Backends call it first, so that they agree.
func (n NewGrant) Check() error {
	if len(n.Audit) == 0 {
		return ErrNoAudit
	}
	if err := n.Grant.check(); err != nil {
		return err
	}
	if c := n.Consent; c != nil {
		if c.Organisation != n.Grant.Organisation || c.Subject != n.Grant.Subject || c.ClientID != n.Grant.ClientID {
			return errors.New("storage: consent: of another grant")
		}
		if err := checkScopes("consent", c.Scopes); err != nil {
			return err
		}
	}
	if n.Code != nil {
		if len(n.Tokens) > 0 {
			return errors.New("storage: grant: begun with a code and with tokens")
		}
		if err := n.Code.check(n.Grant.ID); err != nil {
			return err
		}
	}
	if err := checkTokens(n.Grant.ID, n.Tokens); err != nil {
		return err
	}
	return checkEntries(n.Audit)
}

// Check refuses a revocation without an audit entry (ErrNoAudit), without an
// Organisation, or that names nothing.
func (r GrantRevocation) Check() error {
	if len(r.Audit) == 0 {
		return ErrNoAudit
	}
	switch {
	case r.ID == "" && r.Subject == "" && r.ClientID == "":
		return errors.New("storage: revocation: of nothing")
	case r.Now.IsZero():
		return errors.New("storage: revocation: at no time")
	}
	if err := checkIDs("revocation", r.Organisation); err != nil {
		return err
	}
	if err := checkLengths("revocation", maxID, r.ID, r.Subject); err != nil {
		return err
	}
	if err := checkLengths("revocation", maxClient, r.ClientID); err != nil {
		return err
	}
	if err := checkLengths("revocation", maxReason, r.Because); err != nil {
		return err
	}
	return checkEntries(r.Audit)
}

// Check refuses a rotation at no time, or to something other than one access and
// one new refresh token of the same grant.
func (r Rotation) Check() error {
	switch {
	case r.Now.IsZero():
		return errors.New("storage: rotation: at no time")
	case r.Access.Kind != AccessToken || r.Refresh.Kind != RefreshToken:
		return errors.New("storage: rotation: not to an access and a refresh token")
	case r.Refresh.Hash == r.Old:
		return errors.New("storage: rotation: to itself")
	}
	return checkTokens(r.Access.Grant, []Token{r.Access, r.Refresh})
}

// Check refuses a request that no store may keep.
func (p Pushed) Check() error {
	switch {
	case p.Hash == [32]byte{}:
		return errors.New("storage: pushed request: no hash")
	case len(p.Form) > maxForm:
		return fmt.Errorf("storage: pushed request: %d bytes where %d are the most", len(p.Form), maxForm)
	case p.Expires.IsZero():
		return errors.New("storage: pushed request: it never expires")
	case !ValidText(p.Form):
		return errText
	}
	return checkClient("pushed request", p.ClientID)
}

// Buys refuses a use at no time, and tokens that a code can't buy: those of another
// grant, out of bounds, or with a hash twice.
func (c Code) Buys(now time.Time, tokens []Token) error {
	if now.IsZero() {
		return errors.New("storage: code: used at no time")
	}
	return checkTokens(c.Grant, tokens)
}

func (g Grant) check() error {
	if err := checkIDs("grant", g.ID, g.Organisation); err != nil {
		return err
	}
	if err := checkClient("grant", g.ClientID); err != nil {
		return err
	}
	if err := checkLengths("grant", maxID, g.Subject, g.Thumbprint); err != nil {
		return err
	}
	if err := checkScopes("grant", g.Scopes); err != nil {
		return err
	}
	switch {
	case g.Version != 0 || !g.Revoked.IsZero() || g.RevokedBecause != "":
		return errors.New("storage: grant: not a new one")
	case g.Created.IsZero() || !g.Expires.After(g.Created):
		return errors.New("storage: grant: it expires before it is created")
	}
	return checkURLs("grant", g.Resources)
}

func (c Code) check(grant string) error {
	switch {
	case c.Hash == [32]byte{}:
		return errors.New("storage: code: no hash")
	case c.Grant != grant:
		return errors.New("storage: code: of another grant")
	case c.Expires.IsZero():
		return errors.New("storage: code: it never expires")
	case !c.Used.IsZero():
		return errors.New("storage: code: used already")
	}
	if err := checkLengths("code", maxID, c.Challenge, c.Thumbprint); err != nil {
		return err
	}
	return checkURLs("code", []string{c.RedirectURI})
}

func checkTokens(grant string, tokens []Token) error {
	var hashes [][32]byte
	for _, t := range tokens {
		if t.Grant != grant || grant == "" {
			return errors.New("storage: token: of another grant")
		}
		if slices.Contains(hashes, t.Hash) {
			return errors.New("storage: token: a hash appears twice")
		}
		hashes = append(hashes, t.Hash)
		if err := t.check(); err != nil {
			return err
		}
	}
	return nil
}

func (t Token) check() error {
	switch {
	case t.Hash == [32]byte{}:
		return errors.New("storage: token: no hash")
	case t.Kind != AccessToken && t.Kind != RefreshToken:
		return fmt.Errorf("storage: token: unknown kind %q", t.Kind)
	case t.Created.IsZero() || !t.Expires.After(t.Created):
		return errors.New("storage: token: it expires before it is created")
	case !t.Rotated.IsZero() || t.Successor != [32]byte{}:
		return errors.New("storage: token: rotated already")
	}
	if err := checkScopes("token", t.Scopes); err != nil {
		return err
	}
	if err := checkLengths("token", maxID, t.Thumbprint, t.Certificate); err != nil {
		return err
	}
	return checkURLs("token", t.Resources)
}
