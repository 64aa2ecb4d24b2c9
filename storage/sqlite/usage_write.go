package sqlite

import (
	"database/sql"

	"github.com/strikeplate/strikeplate/storage"
)

// add adds a batch whose keys and names are admitted.
func (a *usageAdmission) add(b storage.UsageBatch) error {
	series, endpoints := b.Tallies()
	for _, t := range series {
		args := []any{a.tallied(t), int(t.Step), storage.UsageMinute(t.Start)}
		if _, err := a.exec(a.series, append(args, countArgs(t.UsageCounts)...)...); err != nil {
			return err
		}
	}
	for _, t := range endpoints {
		args := []any{a.tallied(t), int(t.Step), storage.UsageMinute(t.Start), a.names[storage.UsageName{Organisation: t.Organisation, Name: t.Pattern}]}
		if _, err := a.exec(a.endpoints, append(args, countArgs(t.UsageCounts)...)...); err != nil {
			return err
		}
	}
	for _, s := range b.Seen {
		if _, err := a.exec(a.seen, a.keys[refOf(s.UsageKey)], micros(s.First), micros(s.Succeeded), micros(s.Presented),
			s.Browser, micros(s.BrowserAt), s.Origin); err != nil {
			return err
		}
	}
	for _, r := range b.RefusalTallies() {
		if _, err := a.exec(a.refusal, a.keys[refOf(r.UsageKey)], int(r.Step), storage.UsageMinute(r.Hour),
			a.names[storage.UsageName{Organisation: r.Organisation, Name: r.Code}], r.Proven, r.Count, r.Last.UnixMicro()); err != nil {
			return err
		}
	}
	return a.addAddresses(b.Addresses)
}

// tallied is the number of the row of the keys that a tally belongs to.
func (a *usageAdmission) tallied(t storage.UsageTally) int64 {
	if t.Total {
		return a.keys[usageRef{t.Organisation, true, string(t.Environment)}]
	}
	return a.keys[refOf(t.UsageKey)]
}

func countArgs(c storage.UsageCounts) []any {
	args := make([]any, 0, 13)
	for _, n := range c.Class {
		args = append(args, n)
	}
	for _, n := range c.Latency {
		args = append(args, n)
	}
	return append(args, c.Nanoseconds)
}

func (a *usageAdmission) addAddresses(all []storage.UsageAddress) error {
	keys := make(map[int64]bool)
	for _, one := range all {
		text := ""
		if one.Address.IsValid() {
			text = one.Address.String()
		}
		key := a.keys[refOf(one.UsageKey)]
		if _, err := a.exec(a.address, key, text, one.Count, one.First.UnixMicro(), one.Last.UnixMicro()); err != nil {
			return err
		}
		keys[key] = true
	}
	for key := range keys {
		if err := a.crowd(key); err != nil {
			return err
		}
	}
	return nil
}

// crowd folds what is beyond the bound.
func (a *usageAdmission) crowd(key int64) error {
	var held int
	if _, err := a.scan(a.countAddresses, []any{key}, &held); err != nil || held <= storage.MaxUsageAddresses {
		return err
	}
	var requests, first, last sql.NullInt64
	if _, err := a.scan(a.sumCrowded, []any{key, storage.MaxUsageAddresses / 2}, &requests, &first, &last); err != nil || !requests.Valid {
		return err
	}
	if _, err := a.exec(a.trimAddresses, key, storage.MaxUsageAddresses/2); err != nil {
		return err
	}
	_, err := a.exec(a.address, key, "", requests.Int64, first.Int64, last.Int64)
	return err
}
