// Package storage defines what Strikeplate keeps and the contracts that a
// backend fulfils: records, small interfaces, and the sentinel errors that each
// method returns. It contains no backend; those are in the sub-packages memory,
// sqlite and postgres, and package storagetest checks any backend, yours
// included, against these contracts.
//
// # Whose clock
//
// Contracts take the caller's time wherever a result depends on it
// ([Mutation.Now], [Query.Now]); a backend reads no clock of its own, except the
// database's for one-use writes.
//
// # Security notes
//
// A stored key holds a hash and the last four characters, never the secret.
// Every call but the look-up by a presented credential names the organisation,
// so a caller cannot reach across organisations by guessing ids.
package storage

import "errors"

// The failures that callers branch on. Anything else that a backend returns
// means "could not tell", and is answered 503, never 401.
var (
	// ErrNotFound: no such record in that organisation.
	ErrNotFound = errors.New("storage: not found")
	// ErrConflict: the record changed since it was read, or a new record's ID
	// or Lookup is taken. Read again, then decide again.
	ErrConflict = errors.New("storage: conflict")
	// ErrRevoked: the key is revoked, and revoked keys never change again.
	ErrRevoked = errors.New("storage: key is revoked")
	// ErrPermanent: the change touches a field that is fixed at creation.
	ErrPermanent = errors.New("storage: field is permanent")
	// ErrLimit: the organisation would hold more active keys than allowed.
	ErrLimit = errors.New("storage: key limit reached")
	// ErrNoAudit: a mutation without an audit entry is refused.
	ErrNoAudit = errors.New("storage: mutation without an audit entry")
)
