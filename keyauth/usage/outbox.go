package usage

import (
	"net/netip"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// outbox is what is on its way to the store: batches that are sealed, in order,
// and what was counted since. A sealed batch never changes, because whether the
// store has it may be unknown.
type outbox struct {
	instance  string
	sequence  uint64 // of the last sealed batch
	sealed    []storage.UsageBatch
	attempted bool // the first of them was sent, with an unknown outcome
	pending   *table
	until     time.Time // what was counted before is sealed or stored
	gap       time.Time // the last one that isn't sealed yet
	final     bool      // the last batch is sealed
}

// begin makes a new instance. Its first batch holds no counts: it tells the store
// that somebody counts, and may be sent again even where it was forgotten.
func (b *outbox) begin(every time.Duration) {
	b.instance, b.sequence, b.attempted = newInstance(), 1, false
	b.sealed = append([]storage.UsageBatch{{Instance: b.instance, Sequence: 1, Every: every}}, b.sealed...)
	for i := range b.sealed[1:] {
		b.sequence++
		b.sealed[i+1].Instance, b.sealed[i+1].Sequence = b.instance, b.sequence
	}
}

// seal makes batches of what is pending, at least one: an instance with nothing
// to tell says that it is there.
func (b *outbox) seal(every time.Duration, until time.Time, final bool) {
	var rows []storage.UsageRow
	for _, r := range b.pending.counts {
		rows = append(rows, storage.UsageRow{UsageKey: b.pending.entries[r.id.entry].key, Pattern: r.name,
			Minute: storage.UsageTime(int64(r.id.minute)), UsageCounts: r.counts})
	}
	seen, addresses := b.pending.facts()
	refusals := b.pending.refusalsSeen()
	if b.pending.gap != 0 {
		b.gap = later(b.gap, moment(b.pending.gap))
	}
	for first := true; first || len(rows)+len(seen)+len(addresses)+len(refusals) > 0; first = false {
		b.sequence++
		b.sealed = append(b.sealed, storage.UsageBatch{
			Instance: b.instance, Sequence: b.sequence, Every: every, Until: b.until, Gap: b.gap,
			Rows: take(&rows), Seen: take(&seen), Addresses: take(&addresses), Refusals: take(&refusals),
		})
		b.gap = time.Time{}
	}
	last := &b.sealed[len(b.sealed)-1]
	last.Until, last.Final = until, final
	b.until, b.final = until, final
	b.pending.reset()
}

// batchRows is less than a store takes: others that want to write wait for each
// batch, with SQLite for all of it.
const batchRows = storage.MaxUsageRows / 4

// take cuts off as much as a batch holds.
func take[T any](all *[]T) []T {
	n := min(len(*all), batchRows)
	part := (*all)[:n:n]
	*all = (*all)[n:]
	return part
}

func (t *table) facts() (seen []storage.UsageSeen, addresses []storage.UsageAddress) {
	for i := range t.entries {
		e := &t.entries[i]
		seen = append(seen, storage.UsageSeen{UsageKey: e.key, First: moment(e.first), Succeeded: moment(e.succeeded), Presented: moment(e.presented),
			Browser: e.browser, BrowserAt: moment(e.browserAt), Origin: e.origin})
		known := slices.Clone(e.addresses[:e.known])
		if e.others.count > 0 {
			known = append(known, e.others)
		}
		for _, a := range known {
			if a.client.IsValid() {
				a.client = a.client.Unmap().WithZone("")
			} else {
				a.client = netip.Addr{}
			}
			addresses = append(addresses, storage.UsageAddress{UsageKey: e.key, Address: a.client, Count: a.count, First: moment(a.first), Last: moment(a.last)})
		}
	}
	return seen, addresses
}

func (t *table) refusalsSeen() (all []storage.UsageRefusal) {
	for id, r := range t.refusals {
		all = append(all, storage.UsageRefusal{UsageKey: r.key, Code: id.code, Proven: id.proven,
			Hour: storage.UsageTime(int64(id.hour) * 60), Count: r.count, Last: moment(r.last)})
	}
	return all
}

// requests is how many a batch holds.
func requests(b storage.UsageBatch) (n int64) {
	for _, r := range b.Rows {
		n += r.Requests()
	}
	return n
}

func moment(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds).UTC()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
