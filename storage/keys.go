package storage

import (
	"context"
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate"
)

// Key is one API key's record.
//
// Organisation, Lineage, Format, Environment, Access, Scopes, Owner, Creator
// and Created are permanent: a [Mutation] that changes one is refused with
// [ErrPermanent] (with [ErrNotFound] for the Organisation, which is part of the
// name). Once Revoked is set, nothing changes any more ([ErrRevoked]).
//
// Backends keep times to the microsecond and return them in UTC; the zero time
// stays zero. Empty slices and maps come back nil. Text must be [ValidText].
type Key struct {
	// ID names the record for ever. Lookup is the public part of the current
	// credential, by which a presented one is found; regenerating a key gives
	// it a new Lookup under the same ID. Both are unique across organisations.
	ID, Lookup string
	// Lineage is shared by a key and its rotated successors.
	Lineage      string
	Organisation string
	Name         string
	// Last4 are the last characters of the credential, to recognise it by.
	Last4 string
	// Format names the key shape that it was issued in.
	Format      string
	Environment strikeplate.Environment
	Access      strikeplate.Access
	Scopes      []string
	// Owner is the user that a user-level key acts as; empty for the others.
	Owner string
	// Creator is the user who created the key, for the record; it carries no rights.
	Creator string
	// Allow lists the networks that the key may be used from; empty: any.
	Allow    []netip.Prefix
	Metadata map[string]string
	// Hash is a PHC string. Sealed is the encrypted secret where a service
	// offers to reveal keys later; nil elsewhere.
	Hash   string
	Sealed []byte
	// SecretVersion rises when the secret changes; a re-hash of the same secret
	// leaves it alone. Version rises with every change; the backend sets it.
	SecretVersion, Version int64
	Created                time.Time
	// Regenerated is when the secret was last replaced; zero: it is the first one.
	Regenerated time.Time
	// Expires is the first moment at which the key no longer works; zero: never.
	Expires time.Time
	// Revoked is when the key was revoked; zero: it was not.
	Revoked        time.Time
	RevokedBecause string
}

// SecretSince is when the key's current secret was made.
func (k Key) SecretSince() time.Time {
	if k.Regenerated.IsZero() {
		return k.Created
	}
	return k.Regenerated
}

// Status is where a key is in its life.
type Status string

// The states a key can be in, and two sets of them to ask [Keys.ListKeys] for.
const (
	Active  Status = "active"
	Expired Status = "expired"
	Revoked Status = "revoked"

	AnyStatus Status = ""          // all of them
	Unrevoked Status = "unrevoked" // Active and Expired
)

// Status returns the key's state at a moment: [Active], [Expired] or [Revoked].
func (k Key) Status(now time.Time) Status {
	switch {
	case !k.Revoked.IsZero():
		return Revoked
	case !k.Expires.IsZero() && !now.Before(k.Expires):
		return Expired
	default:
		return Active
	}
}

// In reports whether s belongs to the set that want names.
func (s Status) In(want Status) bool {
	return want == AnyStatus || s == want || want == Unrevoked && s != Revoked
}

// Query selects a page of one organisation's records.
type Query struct {
	Organisation string // required
	// Status filters keys, judged at Now; empty: all.
	Status Status
	Now    time.Time
	// Lineage keeps to the keys of one lineage; empty: all. Entries know none.
	Lineage string
	// Newest has entries begin with the newest; keys are in one order only.
	Newest bool
	// Cursor is empty for the first page, else the previous page's next.
	// An unreadable cursor is ErrNotFound.
	Cursor string
	// Limit is the page's size; 0 means 50, and 1,000 is the most.
	Limit int
}

// PageSize is the number of records that q asks for: Limit within its bounds.
func (q Query) PageSize() int {
	switch {
	case q.Limit <= 0:
		return 50
	case q.Limit > 1000:
		return 1000
	default:
		return q.Limit
	}
}

// Mutation is one transaction: all of it happens or none.
type Mutation struct {
	// Now is the caller's clock.
	Now time.Time
	// Put are the records to write. Version 0 creates; any other value is
	// compared with the stored one. The stored Version becomes Put's plus one.
	// A key may appear once.
	Put []Key
	// Limit, if set, is checked after Put under the organisation's lock, so
	// that it holds however many create at once.
	Limit *Limit
	// Audit records who did what; at least one entry is required.
	Audit []Entry
}

// Limit bounds the keys of an organisation that are [Active] at the mutation's
// Now. A key in the overlap of a rotation counts, like its successor.
type Limit struct {
	Organisation string
	Max          int
}

// Keys stores API keys. Every method is safe for concurrent use. Returned
// records are the caller's own: changing one changes nothing stored.
type Keys interface {
	// KeyByLookup finds the key that a presented credential names. It reads the
	// primary, never a lagging replica. Failures: ErrNotFound.
	KeyByLookup(ctx context.Context, lookup string) (Key, error)

	// Key returns a record by id, from the primary. Failures: ErrNotFound, also
	// when the key belongs to another organisation.
	Key(ctx context.Context, organisation, id string) (Key, error)

	// ListKeys returns a page of keys, newest first by Created (equal times in a
	// fixed order), and the cursor of the next one, empty at the end. Keys created meanwhile neither repeat nor displace
	// others.
	ListKeys(ctx context.Context, q Query) (page []Key, next string, err error)

	// Commit applies m. Every watcher of this store value has been told of each
	// changed key when Commit returns, also where the outcome is unknown.
	//
	// Failures, in this order of precedence for each record: ErrNoAudit;
	// ErrNotFound (an update of a key that isn't in that organisation);
	// ErrRevoked; ErrConflict; ErrPermanent; ErrLimit. Nothing is written then,
	// nor when [Mutation.Check] refuses m with another error or when ctx has
	// ended before the call. [Key.Replaces] decides for one record.
	Commit(ctx context.Context, m Mutation) error
}
