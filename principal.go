package strikeplate

import (
	"context"
	"time"
)

// Kind says what sort of credential a [Principal] was made from.
type Kind string

// The kinds of credential that this module's authenticators make.
const (
	KindKey   Kind = "key"   // an API key, by package keyauth
	KindToken Kind = "token" // an OAuth access token, by package oauth
)

// Environment keeps sandbox data apart from production data.
type Environment string

// The two environments. A credential of a format without environments is live.
const (
	Live Environment = "live"
	Test Environment = "test"
)

// Access is how much of its organisation's data a credential reaches.
// The zero value reaches nothing: policies deny it.
type Access string

// The access levels, narrowest first.
const (
	UserLimited         Access = "user-limited" // the owner's non-private data
	UserFull            Access = "user-full"    // all that the owner may see
	OrganisationLimited Access = "org-limited"  // the organisation's non-private data
	OrganisationFull    Access = "org-full"     // all that licences and settings allow
	Legacy              Access = "legacy"       // keys from before levels existed; import alone sets it
)

// ForUser reports whether the level ties a credential to one user, its owner.
func (a Access) ForUser() bool { return a == UserLimited || a == UserFull }

// Principal says who a request acts for and what it was granted.
//
// One Principal is shared by every request that presents the same credential,
// so it is never written after it was made: treat it, its slices and its map
// as read-only. Reading it from many goroutines is safe.
type Principal struct {
	Kind        Kind        `json:"kind"`
	Environment Environment `json:"environment"`
	Access      Access      `json:"access,omitempty"`
	// Expires is when the credential ends; zero means never.
	Expires time.Time `json:"expires,omitzero"`
	// Credential is the record's public id, fit for logs; never the secret.
	Credential string `json:"credential"`
	// Lineage names the line of rotated credentials that share one quota and
	// one usage history; for OAuth it is the grant.
	Lineage string `json:"lineage"`
	// ClientID is the OAuth client; empty for API keys.
	ClientID     string `json:"client_id,omitempty"`
	Organisation string `json:"organisation"`
	// Subject is the user that a user-level credential acts as; empty for
	// credentials of the whole organisation.
	Subject string `json:"subject,omitempty"`
	// Plan names a set of limits.
	Plan string `json:"plan,omitempty"`
	// Scopes are the effective ones: the credential's own, narrowed to what
	// its owner currently has.
	Scopes []string `json:"scopes"`
	// Settings are facts about the account that policies may read.
	Settings map[string]any `json:"settings,omitempty"`
}

type principalKey struct{}

// FromContext returns the Principal that [Require] put on the request, or that
// [NewContext] stored. It reports false on a request without one, such as an
// anonymous request let through by [Optional].
func FromContext(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	return p, ok && p != nil
}

// NewContext returns a context that carries p, for tests, gRPC interceptors and
// background workers. HTTP services use [Require]. A nil p hides who was in ctx.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}
