// Package manage is a key's life: who may create one, with what, and how it
// ends. It is one service object, behind which a console or an embedder's own
// pages stand.
//
//	keys, err := manage.New(manage.Config{
//		Scheme: scheme, Keys: store, Directory: store, MaxKeys: 25,
//	})
//	...
//	created, err := keys.Create(ctx, actor, manage.Creation{
//		Name: "CRM Sync", Environment: strikeplate.Test,
//		Access: strikeplate.OrganisationLimited, Scopes: []string{"meetings:read"},
//	})
//	show(created.Secret.Reveal()) // once: it can't be shown again
//
// Failures that a person can mend are a [*strikeplate.Error] with a status, a
// stable code and a sentence that says what to do; [strikeplate.Fail] tells them
// in the product's dialect. Any other failure means that the store could not be
// asked.
//
// # Security notes
//
// Every call names its actor and reaches the actor's own organisation only,
// whatever a replaced rule allows. The zero Actor may do nothing. A mutation and
// its audit entry are one transaction. Secrets are returned once, in a type that
// redacts itself.
package manage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
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
	// Directory knows who is an active member and who has paid. Required, unless
	// InsecureNoDirectory says that everybody is and has.
	Directory           storage.Directory
	InsecureNoDirectory bool
	// MaxKeys bounds an organisation's active keys; required. No bound is spelt
	// Unlimited, and 0 is refused: it is more likely forgotten than meant.
	MaxKeys int
	// Authorize decides whether the actor may do the action to a key of its own
	// organisation; nil: actors with the role "admin" may do everything, others
	// nothing.
	Authorize func(ctx context.Context, a storage.Actor, action string, k storage.Key) error
	// Now is the caller's clock; nil: time.Now.
	Now func() time.Time
}

// The actions that Config.Authorize is asked about and that the audit log names.
const (
	ActionCreate = "key.create"
	ActionRevoke = "key.revoke"
)

// Codes of the refusals that this package adds to those of package strikeplate.
const (
	CodeForbidden = "forbidden"         // 403: the actor may not do this
	CodeRequest   = "invalid_request"   // 400: a field is missing or wrong; the message names it
	CodeNotFound  = "key_not_found"     // 404: no such key in the actor's organisation
	CodeLimit     = "key_limit_reached" // 409: revoke a key first
	CodeConflict  = "conflict"          // 409: the key changed meanwhile
)

// Service manages keys. It is safe for concurrent use.
type Service struct {
	Config
}

// New checks c.
func New(c Config) (*Service, error) {
	switch {
	case c.Scheme == nil || c.Keys == nil:
		return nil, errors.New("manage: Scheme and Keys are required")
	case c.Directory == nil && !c.InsecureNoDirectory:
		return nil, errors.New("manage: a Directory is required: it knows who is a member and who has paid")
	case c.MaxKeys == 0:
		return nil, errors.New("manage: MaxKeys is required; no bound is spelt Unlimited")
	case c.MaxKeys < 0 && c.MaxKeys != Unlimited:
		return nil, errors.New("manage: MaxKeys must be positive or Unlimited")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Authorize == nil {
		c.Authorize = administratorsOnly
	}
	return &Service{c}, nil
}

func administratorsOnly(_ context.Context, a storage.Actor, _ string, _ storage.Key) error {
	if a.Role != "admin" {
		return refuse(http.StatusForbidden, CodeForbidden, "Only administrators of the organisation may manage API keys.")
	}
	return nil
}

// authorize stands in front of every action. The tenant check is its own, so
// that no replaced rule can forget it.
func (s *Service) authorize(ctx context.Context, a storage.Actor, action string, k storage.Key) error {
	if a.User == "" || a.Organisation == "" {
		return refuse(http.StatusForbidden, CodeForbidden, "Sign in to manage API keys.")
	}
	if k.Organisation != a.Organisation {
		return notFound()
	}
	return s.Authorize(ctx, a, action, k)
}

func refuse(status int, code, format string, args ...any) *strikeplate.Error {
	return &strikeplate.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func notFound() *strikeplate.Error {
	return refuse(http.StatusNotFound, CodeNotFound, "There is no such API key in your organisation.")
}

// told turns a store's sentinels into what to tell the actor.
func told(err error, doing string) error {
	var e *strikeplate.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrNotFound):
		return notFound()
	case errors.Is(err, storage.ErrConflict):
		e = refuse(http.StatusConflict, CodeConflict, "The key was changed by somebody else meanwhile. Look at it again.")
	case errors.Is(err, storage.ErrRevoked):
		e = refuse(http.StatusConflict, strikeplate.CodeRevoked, "The key is revoked, and revoked keys never change.")
	default:
		return fmt.Errorf("manage: %s: %w", doing, err)
	}
	e.Err = err
	return e
}
