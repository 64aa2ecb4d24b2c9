// Package manage is a key's life: who may create one, with what, and how it
// ends. It is one service object, behind which a console or an embedder's own
// pages stand.
//
//	keys, err := manage.New(manage.Config{
//		Scheme: scheme, Keys: store, Directory: store, Catalog: catalog, MaxKeys: 25,
//	})
//	...
//	created, err := keys.Create(ctx, actor, manage.Creation{
//		Name: "CRM Sync", Prefix: "mvo_", Environment: strikeplate.Test,
//		Access: strikeplate.OrganisationLimited, Scopes: []string{"meetings:read"},
//	})
//	show(created.Secret.Reveal()) // once: it can't be shown again
//
// Scopes, access, owner and environment are permanent: nothing here changes
// them. The name is changed by Rename, which touches no credential; allowlist,
// expiry and metadata by Update. A key is replaced by Rotate, which lets the old
// one work for a while, or by Regenerate, which doesn't; Revoke ends it.
//
// Failures that a person can mend are a [*strikeplate.Error] with a status, a
// stable code and a sentence that says what to do; [strikeplate.Fail] tells them
// in the product's dialect. Any other failure means that the store, the
// directory or the rule could not be asked.
//
// # Security notes
//
// Every call names its actor and reaches the actor's own organisation only,
// whatever a replaced rule allows. The zero Actor may do nothing, nor may an API
// key. An actor who is no administrator gets hold of no secret that reaches
// beyond the actor. A mutation and its audit entry are one transaction, and
// denials are audited. Secrets are returned once, in a type that redacts itself;
// keeping them, encrypted, to be copied later is off unless [Reveal] is set up.
package manage

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/denials"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// Unlimited says, as Config.MaxKeys, that an organisation may hold any number
// of keys.
const Unlimited = -1

// Config wires a [Service].
type Config struct {
	// Scheme and Keys are required, and the same that the Authenticator has.
	Scheme *keyauth.Scheme
	Keys   storage.Keys
	// Audit reads the log that Keys writes; nil: Keys reads it itself.
	Audit storage.Audit
	// Directory knows who is an active member, who has paid and for what plan.
	// Required, unless InsecureNoDirectory says that everybody is and has.
	Directory           storage.Directory
	InsecureNoDirectory bool
	// Catalog lists the product's scopes: each key needs at least one of them.
	// Nil: the product has no scopes of its own, and a key may do without.
	Catalog *scope.Catalog
	// MaxKeys bounds an organisation's active keys; required. No bound is spelt
	// Unlimited, and 0 is refused: it is more likely forgotten than meant.
	MaxKeys int
	// MaxKeysOf raises or lowers the bound for an organisation; it returns 0 where
	// MaxKeys holds. Nil: it holds for all.
	MaxKeysOf func(ctx context.Context, organisation string) (int, error)
	// Terms are what keys may be like; zero: the level is chosen at creation, and
	// keys live until they are revoked.
	Terms Terms
	// Reveal keeps secrets, encrypted, to be copied later; zero: they are not kept.
	Reveal Reveal
	// Authorize decides whether the actor may do the action to a key of its own
	// organisation: nil is yes, a [*strikeplate.Error] the refusal, and any other
	// error "could not decide". For actions that are about no one key, k has
	// nothing but its Organisation. Nil: administrators may do everything, others
	// nothing.
	Authorize func(ctx context.Context, a storage.Actor, action string, k storage.Key) error
	// AdminRoles are the roles of administrators; nil: "admin". Whom a replaced
	// Authorize admits besides them gets no secret that reaches beyond the actor.
	AdminRoles []string
	// LastUsed tells when each of the keys was last used successfully, as package
	// usage knows it; a key that was never used is left out. Nil: lists don't tell.
	LastUsed func(ctx context.Context, ids []string) (map[string]time.Time, error)
	// Now is the caller's clock; nil: time.Now.
	Now func() time.Time
}

// Terms are what a service's keys may be like.
type Terms struct {
	// Access is the level of every new key. Empty: the level is chosen at
	// creation, and there is no key without one. Set: it can't be chosen.
	Access strikeplate.Access
	// DefaultLifetime of keys whose creator names no end; zero: MaxLifetime, or
	// for ever where that is zero too.
	DefaultLifetime time.Duration
	// MaxLifetime bounds the time from a key's creation to its end; zero: no bound.
	MaxLifetime time.Duration
	// MaxOverlap bounds how long a rotated key goes on working; zero: 7 days.
	MaxOverlap time.Duration
	// MaxAge is a secret's age from which lists recommend to rotate; zero: 90 days,
	// negative: never.
	MaxAge time.Duration
	// AllowlistPlans are the plans that have IP allowlists; nil: every plan.
	AllowlistPlans []string
}

// The actions that Config.Authorize is asked about and that the audit log names.
const (
	ActionList       = "key.list"       // about no one key; each listed key is an ActionView
	ActionView       = "key.view"       // see a key's record
	ActionCreate     = "key.create"     // also the entry of a rotation's successor
	ActionRename     = "key.rename"     // change the name
	ActionUpdate     = "key.update"     // change allowlist, expiry or metadata
	ActionRotate     = "key.rotate"     // have a successor made
	ActionRegenerate = "key.regenerate" // have the secret replaced
	ActionRevoke     = "key.revoke"     // end a key
	ActionRevokeAll  = "key.revoke_all" // end many; their entries are ActionRevoke
	ActionReveal     = "key.reveal"     // copy a kept secret
	ActionAudit      = "audit.read"     // read the log; about no one key

	ActionDenied = "key.denied"        // audit only: somebody was refused
	ActionForget = "key.secret_erased" // audit only: a kept secret was erased
)

// Service manages keys. It is safe for concurrent use.
type Service struct {
	c       Config
	denials denials.Log
}

func (s *Service) now() time.Time { return micros(s.c.Now()) }

// micros is t as every backend keeps it, so that what is returned, logged and
// stored is the same.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
