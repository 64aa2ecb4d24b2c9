package storage

import (
	"errors"
	"slices"
	"time"
)

// What follows decides about records as they are stored. Every backend asks here,
// under whatever lock it holds, so that all decide alike.

// Status returns the grant's state at a moment: [Active], [Expired] or [Revoked].
func (g Grant) Status(now time.Time) Status {
	switch {
	case !g.Revoked.IsZero():
		return Revoked
	case !now.Before(g.Expires):
		return Expired
	default:
		return Active
	}
}

// Usable returns why the grant can't be used at a moment: nil, ErrExpired,
// ErrBlocked or ErrRevoked. What is blocked has been revoked as well, and says that
// it is blocked as long as it is.
func (g Grant) Usable(now time.Time, app App, blocked bool) error {
	switch {
	case !now.Before(g.Expires):
		return ErrExpired
	case blocked:
		return ErrBlocked
	case !g.Revoked.IsZero() || !app.Revoked.IsZero():
		return ErrRevoked
	}
	return nil
}

// Usable returns why the code can't be used at a moment: nil, or the failure of
// [Grants.UseCode].
func (c Code) Usable(now time.Time, g Grant, app App, blocked bool) error {
	switch {
	case !c.Used.IsZero():
		return ErrReused
	case !now.Before(c.Expires):
		return ErrExpired
	}
	return g.Usable(now, app, blocked)
}

// Judge decides about r by what is stored: the old token with all around it, and
// its successor and the access token with r's hash, both the zero Token if there
// is none. It returns true for a repetition, or the failure of [Grants.Rotate].
func (r Rotation) Judge(old Presented, successor, access Token) (repeated bool, err error) {
	t := old.Token
	switch {
	case t.Kind != RefreshToken:
		return false, ErrNotFound
	case r.Access.Grant != t.Grant:
		return false, errors.New("storage: rotation: to tokens of another grant")
	case !t.Rotated.IsZero():
		if !r.repeats(t, successor, access) {
			return false, ErrReused
		}
		return true, old.Grant.Usable(r.Now, old.App, old.Blocked)
	case !r.Now.Before(t.Expires):
		return false, ErrExpired
	}
	return false, old.Grant.Usable(r.Now, old.App, old.Blocked)
}

// repeats reports whether r is the exchange by which old was rotated. Clocks of
// instances differ by a little, so r may seem to come first; a Grace of zero lets
// no repetition through then either.
func (r Rotation) repeats(old, successor, access Token) bool {
	return r.Grace > 0 && r.Now.Sub(old.Rotated) < r.Grace &&
		r.Refresh.Hash == old.Successor && successor.Hash == old.Successor && successor.Rotated.IsZero() &&
		access.Hash == r.Access.Hash && access.Kind == AccessToken && access.Grant == old.Grant
}

// reusedBecause is why a grant is revoked whose code or token was used twice.
const reusedBecause = "a code or a refresh token was used twice"

// Reuse returns the grant as it is once its code or token was used twice, and what
// the log says of it. Nobody signed in asked for that, so the Actor is zero.
func (g Grant) Reuse(now time.Time) (Grant, Entry) {
	g.Version++
	g.Revoked = now
	g.RevokedBecause = reusedBecause
	return g, Entry{
		Organisation: g.Organisation, Action: "grant.reused", Target: g.ID, At: now,
		After: []byte(`{"revoked_because":"` + reusedBecause + `"}`),
	}
}

// Matches reports whether the revocation is about g.
func (r GrantRevocation) Matches(g Grant) bool {
	switch {
	case g.Organisation != r.Organisation:
		return false
	case r.ID != "":
		return g.ID == r.ID
	}
	return (r.Subject == "" || g.Subject == r.Subject) && (r.ClientID == "" || g.ClientID == r.ClientID)
}

// With returns the consent that is known after more was given: both's scopes. If
// they are more than MaxGrantScopes, what was known before is forgotten, and the
// user is asked again for it.
func (c Consent) With(more Consent) Consent {
	scopes := slices.Clone(c.Scopes)
	for _, s := range more.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	if len(scopes) <= MaxGrantScopes {
		more.Scopes = scopes
	}
	return more
}
