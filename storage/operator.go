package storage

import (
	"context"
	"time"
)

// Operator is what the service's own upkeep needs and no tenant may reach: its
// calls go across organisations. Nothing that answers requests takes one.
//
// A limit counts as [BatchSize] says, so that each call is short and mutations
// hardly notice; call again for more. Two calls may hold them up: the first that
// names a consumer, for a second at most, and an erasure, while it removes the
// records (in postgres only mutations of the same organisation).
//
// A consumer follows the audit logs of all organisations, to deliver them
// elsewhere. Its name is not empty and [ValidText]; other names are refused.
// What a consumer has acknowledged is stored for ever, so consumers are few:
// the 17th name is refused.
type Operator interface {
	// Organisations returns up to limit organisations that have keys or audit
	// entries, in ascending order (of bytes), beginning behind after ("" for the
	// first).
	Organisations(ctx context.Context, after string, limit int) ([]string, error)

	// Undelivered returns up to limit audit entries that the consumer has not
	// acknowledged: of each organisation the oldest first, and none skipped,
	// whatever the order in which transactions commit. A consumer that was never
	// heard of begins with the oldest entry that is kept.
	//
	// None are returned only if none wait. What was returned is returned again
	// until it is acknowledged, by this call's successors on any instance. Each
	// call goes on with the organisations behind those of the call before, and
	// divides limit as [Shares] does: neither a long log nor one that nobody
	// acknowledges holds up the others.
	Undelivered(ctx context.Context, consumer string, limit int) ([]Entry, error)

	// Acknowledge records that the consumer is done with the organisation's
	// entries up to a position. A lower one than before changes nothing; one that
	// the log has not reached counts as the newest entry's.
	Acknowledge(ctx context.Context, consumer, organisation string, position int64) error

	// TrimAudit removes up to limit of the oldest entries from before a moment,
	// by their At, and returns how many. Positions of the others stay. A reader
	// whose cursor points into what was removed continues with the oldest entry
	// that is kept.
	//
	// Trimming wins over delivery: how long entries are kept is a promise too,
	// so one that was not acknowledged by then is never delivered. Leave the
	// slowest consumer a margin.
	TrimAudit(ctx context.Context, before time.Time, limit int) (int, error)

	// ForgetAddresses removes the client addresses from up to limit entries from
	// before a moment, by their At and the oldest first, and returns how many
	// had one.
	ForgetAddresses(ctx context.Context, before time.Time, limit int) (int, error)

	// EraseOrganisation removes all that is stored of an organisation: keys,
	// audit log, account and users. Watchers have been told of each key, of the
	// account and of each user when it returns. Erasing what isn't there succeeds.
	//
	// What consumers acknowledged is removed as well. The number of entries that
	// there have been may stay, under the organisation's name, so that Positions
	// never begin again: a reader with an old cursor, or a consumer, skips
	// nothing if the organisation returns. What is committed meanwhile stays or
	// goes. A failure may leave a part; call again.
	EraseOrganisation(ctx context.Context, organisation string) error
}

// MaxConsumers is how many consumers an [Operator] knows.
const MaxConsumers = 16

// BatchSize is the number that a limit of an [Operator] stands for: 1,000 if it
// is 0 or less, and never more than 10,000.
func BatchSize(limit int) int {
	if limit <= 0 {
		return 1000
	}
	return min(limit, 10_000)
}

// Shares divides limit among organisations that have entries waiting: each gets
// as much as every other, and what one doesn't need goes to the rest. If there
// are more organisations than entries to give, the first ones get one each.
func Shares(waiting []int64, limit int) []int {
	shares := make([]int, len(waiting))
	for open := len(waiting); open > 0 && limit > 0; {
		each := max(limit/open, 1)
		open = 0
		for i, w := range waiting {
			more := int(max(min(w-int64(shares[i]), int64(each), int64(limit)), 0))
			shares[i] += more
			limit -= more
			if int64(shares[i]) < w {
				open++
			}
		}
	}
	return shares
}
