package storage

import (
	"context"
	"time"
)

// Operator is what the service's own upkeep needs and no tenant may reach: its
// calls go across organisations. Nothing that answers requests takes one.
type Operator interface {
	// Organisations returns up to limit organisations that have keys or audit
	// entries, in ascending order, beginning behind after ("" for the first).
	Organisations(ctx context.Context, after string, limit int) ([]string, error)

	// Undelivered returns up to limit audit entries that the consumer has not
	// acknowledged: of each organisation the oldest first, and none skipped,
	// whatever the order in which transactions commit. A consumer that was never
	// heard of begins with the oldest entry that is kept.
	Undelivered(ctx context.Context, consumer string, limit int) ([]Entry, error)

	// Acknowledge records that the consumer is done with the organisation's
	// entries up to a position. A lower one than before changes nothing.
	Acknowledge(ctx context.Context, consumer, organisation string, position int64) error

	// TrimAudit removes up to limit of the oldest entries from before a moment,
	// and returns how many. Positions of the others stay. A reader whose cursor
	// points into what was removed continues with the oldest entry that is kept.
	TrimAudit(ctx context.Context, before time.Time, limit int) (int, error)

	// ForgetAddresses removes the client addresses from up to limit entries from
	// before a moment, and returns how many.
	ForgetAddresses(ctx context.Context, before time.Time, limit int) (int, error)

	// EraseOrganisation removes all that is stored of an organisation: keys,
	// audit log, account and users. Watchers have been told of each key, of the
	// account and of each user when it returns. Erasing what isn't there succeeds.
	EraseOrganisation(ctx context.Context, organisation string) error
}
