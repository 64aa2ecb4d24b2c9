package storage

import (
	"context"
	"net/netip"
	"time"
)

// Actor is who asks for a change: a person signed in, or a part of the system.
// The zero Actor may do nothing.
type Actor struct {
	User, Organisation string
	// Role is the embedder's word for the user's role, such as "admin".
	Role string
	// Scopes are the actor's own; a non-admin grants none beyond them.
	Scopes []string
	// Client is the address that the request came from.
	Client netip.Addr
}

// Entry is one line of the audit log: who did what to which record, from where.
// It never holds a hash or a secret.
type Entry struct {
	// Position orders entries of an organisation; the backend sets it.
	Position int64
	// Organisation is whose record was touched.
	Organisation string
	Actor        Actor
	// Action is a dotted name such as "key.created".
	Action string
	// Target is the id of the record.
	Target string
	At     time.Time
	// Before and After are the record as JSON; nil where there is none. A
	// backend may reformat them.
	Before, After []byte
}

// Audit reads the log. It has no append: entries are written by [Keys.Commit]
// alone, together with the change that they describe.
type Audit interface {
	// Entries returns a page of the organisation's log, oldest first, and the
	// cursor that continues it: the cursor is never empty, so that a reader can
	// come back later for what was committed meanwhile. No entry is ever skipped
	// by a reader who continues, whatever the order in which transactions commit.
	//
	// Where entries were removed since (by [Operator], or by the bound of a
	// backend that has one), the reader continues with the oldest one that is
	// kept. Backends that count an organisation's Positions by one (memory and
	// postgres do) show that by a gap.
	//
	// With q.Newest the order is the other way round, newest first, for people who
	// want to see what happened last. Such a cursor continues with what is older,
	// and is empty once the oldest that is kept was returned; what was committed
	// meanwhile is not seen by continuing. A cursor belongs to the order that it
	// came from.
	Entries(ctx context.Context, q Query) (page []Entry, next string, err error)
}
