package storage

import (
	"context"
	"errors"
	"time"
)

// The failures that only grants have.
var (
	// ErrReused: the code or token was used before. Whoever presents it now, or did
	// before, may have stolen it, so its grant has been revoked.
	ErrReused = errors.New("storage: used before")
	// ErrExpired: the code or token has ended.
	ErrExpired = errors.New("storage: expired")
	// ErrBlocked: an administrator keeps the app out of the organisation.
	ErrBlocked = errors.New("storage: app is blocked")
)

// Grant is what one person let one app do, once: the family of tokens that
// come from one authorization. With an empty Subject it is what an app may do for
// its own organisation.
//
// All but the Version and the revocation is permanent.
type Grant struct {
	ID, ClientID, Organisation string
	// Subject is the user on whose behalf the app acts.
	Subject string
	// Scopes are what was granted; what a token may do is narrowed further by the
	// app's and the user's scopes of the moment.
	Scopes []string
	// Resources are the audiences that tokens are for (RFC 8707); empty: the
	// service's own.
	Resources []string
	// Authenticated is when the user last proved who they are, for RFC 9470.
	Authenticated time.Time
	// Thumbprint binds the grant's refresh tokens of a public app to a DPoP key
	// (RFC 9449): the SHA-256 of the JWK, base64url; empty: unbound.
	Thumbprint string
	Version    int64
	Created    time.Time
	// Expires is the end of the whole family, whatever was refreshed meanwhile.
	Expires time.Time
	// Revoked is when it was revoked; zero: it was not.
	Revoked        time.Time
	RevokedBecause string
}

// Consent is what a user agreed to, so that they are not asked again. It outlives
// grants; revoking an app's grants for a user forgets it.
type Consent struct {
	Organisation, Subject, ClientID string
	Scopes                          []string
	Given                           time.Time
}

// Code is what is kept of an authorization code.
type Code struct {
	Hash  [32]byte // SHA-256
	Grant string   // the grant's ID
	// RedirectURI is the one that the code was sent to; RedirectGiven says that the
	// request named it, so that the token request must too (RFC 6749 4.1.3).
	RedirectURI   string
	RedirectGiven bool
	// Challenge is the S256 code challenge; empty where the app does without.
	Challenge string
	// Thumbprint is the DPoP key that the request announced (dpop_jkt), or empty.
	Thumbprint string
	Expires    time.Time
	// Used is when it was used, with success or not; zero: it was not.
	Used time.Time
}

// TokenKind tells what a token is for.
type TokenKind string

// The kinds of token.
const (
	AccessToken  TokenKind = "access"
	RefreshToken TokenKind = "refresh"
)

// Token is what is kept of an access or refresh token. Tokens are random, 256
// bits, so an unsalted digest protects them.
type Token struct {
	Hash  [32]byte // SHA-256
	Kind  TokenKind
	Grant string // the grant's ID
	// Scopes and Resources are the grant's, or fewer.
	Scopes    []string
	Resources []string
	// Thumbprint binds the token to a DPoP key, Certificate to a client certificate
	// (RFC 8705 x5t#S256); base64url, or empty.
	Thumbprint, Certificate string
	Created, Expires        time.Time
	// Rotated is when a refresh token was exchanged, and Successor the hash of the
	// refresh token that took its place; zero: it was not.
	Rotated   time.Time
	Successor [32]byte
}

// Presented is a token with all that decides whether it counts, of one moment.
type Presented struct {
	Token Token
	Grant Grant
	App   App
	// Blocked: an administrator of the grant's organisation keeps the app out.
	Blocked bool
}

// NewGrant is one transaction: a grant, and what its first use is.
type NewGrant struct {
	Now   time.Time
	Grant Grant // Version 0
	// Consent, if set, is remembered: its scopes are added to those known.
	Consent *Consent
	// Code is how the app gets its tokens; nil: it gets Tokens at once.
	Code   *Code
	Tokens []Token
	Audit  []Entry // at least one
}

// Rotation exchanges a refresh token.
type Rotation struct {
	Old [32]byte
	// Now is the caller's clock. Repeating the exchange within Grace is what a
	// client does whose answer was lost.
	Now   time.Time
	Grace time.Duration
	// Access and Refresh are the new tokens. A server that derives them from the
	// old one offers the same again when the client repeats.
	Access, Refresh Token
}

// GrantQuery selects a page of an organisation's grants, newest first.
type GrantQuery struct {
	Query
	// Subject and ClientID keep to one user's and one app's; empty: all.
	Subject, ClientID string
}

// GrantRevocation revokes grants of an organisation that are not revoked yet: the
// one with the ID, or else all of the Subject, of the ClientID, or of both. At
// least one of the three is required.
type GrantRevocation struct {
	Now                                 time.Time
	Organisation, ID, Subject, ClientID string
	Because                             string
	Audit                               []Entry // at least one
}

// Pushed is what is kept of a pushed authorization request (RFC 9126).
type Pushed struct {
	Hash     [32]byte // of the request_uri's random part
	ClientID string
	// Form is the request, URL-encoded; at most 8 KiB.
	Form    string
	Expires time.Time
}

// Grants stores what apps were let do, and their codes and tokens. Every method is
// safe for concurrent use, by several instances of a service too. Watchers of this
// store value have been told GrantChanged of each grant that was revoked when a
// method returns; a new one changes nothing that anybody remembers.
//
// The clock is the caller's. Codes live a minute, and instances whose clock is
// more than five seconds off are not ready, so no database's clock is asked.
type Grants interface {
	// BeginGrant stores a new grant. Failures, in this order: ErrNoAudit and what
	// [NewGrant.Check] says; ErrNotFound (no such app); ErrRevoked (the app is);
	// ErrBlocked; ErrConflict (the ID or a hash is taken).
	BeginGrant(ctx context.Context, n NewGrant) error

	// Grant returns one, from the primary. Failures: ErrNotFound, also when it
	// belongs to another organisation.
	Grant(ctx context.Context, organisation, id string) (Grant, error)
	// ListGrants returns a page. Status: [Active] (neither revoked nor ended at
	// Now), [Expired], [Revoked], [Unrevoked], [AnyStatus].
	ListGrants(ctx context.Context, q GrantQuery) (page []Grant, next string, err error)
	// RevokeGrants revokes, and returns how many it did. Where ID is empty it
	// forgets the consent of the Subject, or of every user, to the ClientID, or to
	// every app, as named. Where that changes nothing, nothing is logged. Failures:
	// ErrNoAudit and what [GrantRevocation.Check] says; ErrNotFound (an ID that isn't
	// the organisation's).
	RevokeGrants(ctx context.Context, r GrantRevocation) (int, error)
	// Consent returns what a user agreed to. Failures: ErrNotFound.
	Consent(ctx context.Context, organisation, subject, clientID string) (Consent, error)

	// Code returns an authorization code, used or not, with its grant, so that the
	// client can be checked before anything is consumed. Failures: ErrNotFound.
	Code(ctx context.Context, hash [32]byte) (Code, Grant, error)
	// UseCode uses the code up and stores the tokens that it buys, in one
	// transaction; without tokens it is burnt. Of many at the same time one
	// succeeds.
	//
	// Failures, in this order: ErrNotFound; what [Code.Buys] says of the tokens;
	// ErrReused (its grant is revoked then, with a line in the log, and so are the
	// tokens that were bought; a burnt code too); ErrExpired (the code or the grant),
	// ErrBlocked, ErrRevoked (the grant or the app is), and it is used up then;
	// ErrConflict (a token's hash is taken; nothing is written). [Code.Usable]
	// decides, and [Grant.Reuse] says what is written when it was used before.
	UseCode(ctx context.Context, hash [32]byte, now time.Time, tokens []Token) error

	// Presented returns a token with all that decides whether it counts, whether
	// it does or not, from the primary and of one moment. Failures: ErrNotFound.
	Presented(ctx context.Context, hash [32]byte) (Presented, error)
	// Rotate exchanges a refresh token for a new pair, in one transaction. Of many
	// at the same time one does, and reports false.
	//
	// One that was exchanged already is a repetition if that was less than Grace
	// ago, Refresh and Access have the hashes that were stored then, the successor
	// has not been exchanged itself, and neither is gone: nothing changes, and the
	// access token that was stored then is returned with true, so that the client
	// gets the same answer. Anything else is ErrReused.
	//
	// Failures, in this order: what [Rotation.Check] says; ErrNotFound (also for an
	// access token); ErrReused (the grant is revoked then, with a line in the log);
	// ErrExpired (the token or the grant; of a repetition the grant alone);
	// ErrBlocked; ErrRevoked (the grant or the app is); ErrConflict (a new hash is
	// taken). Nothing is written but for ErrReused. [Rotation.Judge] decides.
	Rotate(ctx context.Context, r Rotation) (access Token, repeated bool, err error)
	// DropToken forgets one access token (RFC 7009); unknown ones are no error. Its
	// grant's Version rises, unless that was revoked before, and watchers are told
	// GrantChanged. A refresh token is revoked with its grant.
	DropToken(ctx context.Context, hash [32]byte) error

	// Push keeps an authorization request, TakePushed returns it once: of many at
	// the same time one gets it. Failures of Push: ErrConflict; what [Pushed.Check]
	// says. Failures of TakePushed: ErrNotFound, also if it was taken; ErrExpired,
	// and it is taken then.
	Push(ctx context.Context, p Pushed) error
	TakePushed(ctx context.Context, hash [32]byte, now time.Time) (Pushed, error)

	// UseOnce records that something was used, such as a DPoP proof's jti, until it
	// expires, and reports whether that was the first time; of many at the same
	// time one is told so.
	UseOnce(ctx context.Context, hash [32]byte, now, expires time.Time) (first bool, err error)

	// PruneGrants removes up to limit each of what ended or was revoked before a
	// moment: codes, tokens, pushed requests, what was used once, and grants. It
	// returns how many it removed in all; limit counts as [BatchSize] says. Codes and
	// tokens of a grant that is over go too, and the grant once none are left, so
	// that no call is long. Until then rotated refresh tokens stay, since their reuse
	// must be noticed.
	PruneGrants(ctx context.Context, before time.Time, limit int) (int, error)
}
