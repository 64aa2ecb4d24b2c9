// Package operate is the upkeep of a service's keys by its operator: importing
// keys that another system issued, making weak hashes strong, noticing keys that
// idle, age or are about to expire, delivering audit entries, and keeping and
// erasing data for as long as it may be kept.
//
//	service, err := operate.New(operate.Config{Scheme: scheme, Keys: store, Operator: store, Name: "nightly"})
//	...
//	report, err := service.Import(ctx, operate.Migration{ID: "from-old-gateway"}, rows)
//	...
//	report, err := service.Sweep(ctx, operate.Hygiene{MaxAge: 90 * 24 * time.Hour})
//	...
//	events, err := operate.NewEvents(operate.EventsConfig{Operator: store, Feed: store, Consumer: "alerts", Handle: send})
//	...
//	go events.Run(ctx)
//
// Why it is no part of package manage: its calls go across organisations and ask
// nobody's leave. They belong into a command or a job of the operator's. Nothing
// that a tenant, a console or an API can reach may hold a [Service].
//
// # Importing
//
// A key of another system is recognised by a [keyauth.Foreign] shape, which says
// where the look-up id stands in it. Declare the shape first, in the format that
// the rows name by its Prefix:
//
//	keyauth.Format{Prefix: "acme_", Foreign: []keyauth.Foreign{{
//		Prefix: "ak_", Separator: ".", // ak_LOOKUP.SECRET
//		MinLength: 20, MaxLength: 80, Until: lastDay,
//	}}}
//
// and HashOfWhole where the other system hashed all of the key. Where it kept
// nothing but the SHA-256 of whole keys, say DigestKey and DigestOfSHA256, and
// leave the rows' Lookup empty. Rows that no shape could ever find are refused.
//
// # Security notes
//
// Import never touches a record that exists, whatever became of it: a key that
// was revoked, or whose secret was replaced, doesn't come back by being imported
// again, under this migration's id or another's. A row's hash is in no report, no
// error and no audit entry. Sweep revokes only where it is told to and only what
// is known for the whole time; a deactivated owner, a lapsed account or a gap in
// what is known are no reason to revoke.
package operate

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// Config wires a [Service].
type Config struct {
	// Scheme and Keys are required, and the same that the Authenticator has.
	Scheme *keyauth.Scheme
	Keys   storage.Keys
	// Operator reaches across organisations; required.
	Operator storage.Operator
	// Audit reads the log that Keys writes; nil: Keys reads it itself.
	Audit storage.Audit
	// Directory knows who is deactivated and who has not paid, so that Sweep
	// doesn't take their keys for idle ones; nil: Sweep refuses to revoke.
	Directory storage.Directory
	// Catalog lists the product's scopes: an imported key needs at least one of
	// them, unless it is a legacy one. Nil: scopes are checked for their form.
	Catalog *scope.Catalog
	// Name says who does it, as the Actor's User in the audit log; empty: "operator".
	Name string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Logger receives what a report has no room for; nil: [slog.Default].
	Logger *slog.Logger
}

// The actions that the audit log names, besides those of package manage:
// what idles is revoked by "key.revoke".
const (
	ActionImport   = "key.import"   // a key of another system was taken over
	ActionWrap     = "key.wrap"     // its weak hash was wrapped
	ActionExpiring = "key.expiring" // it will expire soon; once for each expiry
	ActionOverdue  = "key.overdue"  // it is older than it should get; once
)

// Service does an operator's work. It is safe for concurrent use.
type Service struct{ c Config }

// New checks c.
func New(c Config) (*Service, error) {
	if c.Scheme == nil || c.Keys == nil || c.Operator == nil {
		return nil, errors.New("operate: Scheme, Keys and Operator are required")
	}
	if !storage.ValidText(c.Name) {
		return nil, fmt.Errorf("operate: Name: %q can't be stored", c.Name)
	}
	if c.Audit == nil {
		log, ok := c.Keys.(storage.Audit)
		if !ok {
			return nil, errors.New("operate: Audit is required where Keys can't read the log itself")
		}
		c.Audit = log
	}
	c.Name = cmp.Or(c.Name, "operator")
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Service{c}, nil
}

// now is the clock at the precision that every backend keeps.
func (s *Service) now() time.Time { return s.c.Now().UTC().Truncate(time.Microsecond) }

// actor is who audit entries name.
func (s *Service) actor(organisation string) storage.Actor {
	return storage.Actor{User: s.c.Name, Organisation: organisation, Role: "operator"}
}
