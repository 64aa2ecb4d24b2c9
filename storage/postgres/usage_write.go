package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

// write adds a batch whose keys and names are admitted, in one round trip, and
// another one where a key has too many addresses.
func (a *usageAdmission) write(ctx context.Context, b storage.UsageBatch) error {
	var out pgx.Batch
	out.Queue(a.s.sql.usage.touchNames, numbers(a.names), a.now)
	series, endpoints := b.Tallies()
	if len(series) > 0 {
		out.Queue(a.s.sql.usage.series, a.tallies(series, false)...)
		out.Queue(a.s.sql.usage.endpoints, a.tallies(endpoints, true)...)
	}
	if len(b.Seen) > 0 {
		out.Queue(a.s.sql.usage.seen, a.seen(b.Seen)...)
	}
	var addressed []int64
	if len(b.Addresses) > 0 {
		var args []any
		addressed, args = a.addresses(b.Addresses)
		out.Queue(a.s.sql.usage.addresses, args...)
	}
	if len(b.Refusals) > 0 {
		out.Queue(a.s.sql.usage.refusals, a.refusals(b.RefusalTallies())...)
	}
	if err := a.tx.SendBatch(ctx, &out).Close(); err != nil {
		return err
	}
	return a.trimAddresses(ctx, addressed)
}

// tallies are the columns of rows to add, an array each.
func (a *usageAdmission) tallies(all []storage.UsageTally, patterns bool) []any {
	n := len(all)
	keys, steps, buckets, names := make([]int64, n), make([]int16, n), make([]int32, n), make([]int64, n)
	var counts [13][]int64
	for c := range counts {
		counts[c] = make([]int64, n)
	}
	for i, t := range all {
		keys[i], steps[i], buckets[i] = a.keys[tallyRef(t)], int16(t.Step), int32(storage.UsageMinute(t.Start))
		names[i] = a.names[storage.UsageName{Organisation: t.Organisation, Name: t.Pattern}]
		for c := range 6 {
			counts[c][i], counts[6+c][i] = t.Class[c], t.Latency[c]
		}
		counts[12][i] = t.Nanoseconds
	}
	args := []any{keys, steps, buckets}
	if patterns {
		args = append(args, names)
	}
	for _, column := range counts {
		args = append(args, column)
	}
	return args
}

func (a *usageAdmission) seen(all []storage.UsageSeen) []any {
	var keys, browser []int64
	var first, succeeded, presented, browserAt []*time.Time
	var origins []string
	for _, s := range all {
		keys, browser, origins = append(keys, a.keys[refOf(s.UsageKey)]), append(browser, s.Browser), append(origins, s.Origin)
		first, succeeded = append(first, orNull(s.First)), append(succeeded, orNull(s.Succeeded))
		presented, browserAt = append(presented, orNull(s.Presented)), append(browserAt, orNull(s.BrowserAt))
	}
	return []any{keys, first, succeeded, presented, browser, browserAt, origins}
}

func (a *usageAdmission) addresses(all []storage.UsageAddress) (keys []int64, args []any) {
	var counts []int64
	var first, last []time.Time
	var addresses []string
	for _, one := range all {
		keys, counts = append(keys, a.keys[refOf(one.UsageKey)]), append(counts, one.Count)
		first, last = append(first, micros(one.First)), append(last, micros(one.Last))
		text := ""
		if one.Address.IsValid() {
			text = one.Address.String()
		}
		addresses = append(addresses, text)
	}
	return keys, []any{keys, addresses, counts, first, last}
}

func (a *usageAdmission) refusals(all []storage.UsageRefusalTally) []any {
	var keys, codes, counts []int64
	var steps []int16
	var buckets []int32
	var proven []bool
	var last []time.Time
	for _, r := range all {
		keys = append(keys, a.keys[refOf(r.UsageKey)])
		codes = append(codes, a.names[storage.UsageName{Organisation: r.Organisation, Name: r.Code}])
		counts, proven, last = append(counts, r.Count), append(proven, r.Proven), append(last, micros(r.Last))
		steps, buckets = append(steps, int16(r.Step)), append(buckets, int32(storage.UsageMinute(r.Hour)))
	}
	return []any{keys, steps, buckets, codes, proven, counts, last}
}

// trimAddresses folds what is beyond the bound. The keys' rows are locked, so
// nobody adds addresses meanwhile.
func (a *usageAdmission) trimAddresses(ctx context.Context, keys []int64) error {
	if len(keys) == 0 {
		return nil
	}
	rows, err := a.tx.Query(ctx, a.s.sql.usage.crowded, keys, storage.MaxUsageAddresses)
	if err != nil {
		return err
	}
	crowded, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	for _, key := range crowded {
		if _, err := a.tx.Exec(ctx, a.s.sql.usage.trimAddresses, key, storage.MaxUsageAddresses/2); err != nil {
			return err
		}
	}
	return nil
}
