package storage

import (
	"context"
	"time"
)

// Subject says what kind of record a change is about.
type Subject string

// The records whose changes a feed reports.
const (
	KeyChanged     Subject = "key"     // id: Key.ID
	AccountChanged Subject = "account" // id: Account.Organisation
	UserChanged    Subject = "user"    // id: User.ID
	GrantChanged   Subject = "grant"   // id: Grant.ID
	AppChanged     Subject = "app"     // id: App.ClientID
)

// Feed tells caches what changed. It promises by barriers, not by sequence
// numbers: see [Sink.Fresh].
type Feed interface {
	// Watch calls s until ctx ends, then returns ctx's error; it mends lost
	// connections itself and returns early only when it can never work. When
	// Watch returns, no call to s is under way. It calls Lost before the first
	// Fresh: what was remembered earlier may have changed unseen.
	Watch(ctx context.Context, s Sink) error
}

// Sink receives a feed. Its methods must be quick and safe for concurrent use:
// a committing goroutine calls Changed itself, before Commit returns.
type Sink interface {
	// Changed: the record was created, changed or erased, and reading it now shows
	// that. It may be told more than once. version is the key's new Version, 0
	// where unknown or erased. organisation is the record's.
	Changed(subject Subject, organisation, id string, version int64)
	// Fresh: everything committed before asOf has been delivered. asOf carries
	// this process's monotonic clock. It arrives at least every 500 ms while the
	// feed works; its absence means that the feed is broken, not that nothing
	// changed.
	Fresh(asOf time.Time)
	// Lost: changes may have been missed. It is called again after the feed is
	// mended, before the first Fresh, so that whatever was remembered in between
	// is forgotten as well.
	Lost(err error)
}
