package storage

import "context"

// Account is what Strikeplate needs to know of an organisation.
type Account struct {
	Organisation string
	// Plan names a set of limits.
	Plan string
	// Lapsed: the subscription has ended. Keys stay and answer 402.
	Lapsed bool
	// Settings are facts that policies may read. They hold what JSON can:
	// strings, float64, bool, nil, []any, map[string]any.
	Settings map[string]any
}

// User is a member of an organisation.
type User struct {
	ID, Organisation, Name, Role string
	// Active is false for a deactivated user; keys issued to one answer 401.
	Active bool
	// Scopes narrow what the user's keys may do to the user's current rights.
	// Nil narrows nothing; empty but not nil leaves nothing.
	Scopes []string
}

// Directory answers from the embedder's own user and billing data. Answers are
// remembered for at most five seconds. It is safe for concurrent use.
type Directory interface {
	// Account returns an organisation. ErrNotFound counts as lapsed; any other
	// error as "could not tell" (503).
	Account(ctx context.Context, organisation string) (Account, error)
	// User returns a member. ErrNotFound, also for another organisation's user,
	// counts as deactivated.
	User(ctx context.Context, organisation, id string) (User, error)
}

// EditableDirectory is the Directory that each backend brings for services
// that keep no such data themselves. Its changes reach the [Feed], every
// watcher of this store value before the method returns. Text that is not
// [ValidText] and Settings that JSON cannot hold are refused.
type EditableDirectory interface {
	Directory
	// PutAccount creates or replaces an account.
	PutAccount(ctx context.Context, a Account) error
	// PutUser creates or replaces a user. Failures: ErrConflict if the id
	// belongs to another organisation.
	PutUser(ctx context.Context, u User) error
}
