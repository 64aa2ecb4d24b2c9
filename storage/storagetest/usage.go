package storagetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// RunUsage checks every promise of [storage.Usage]. open returns an empty store,
// and a new one at each call. Where the store is [storage.Keys] as well, it is
// also checked that use is attributed to the keys' organisations; where it is a
// [storage.Operator], that erasing an organisation erases its usage.
func RunUsage(t *testing.T, open func(*testing.T) storage.Usage) {
	run(t, usageCases, open)
	run(t, usageRaces, func(t *testing.T) usagePair {
		s := open(t)
		return usagePair{s, s}
	})
}

// RunUsagePair checks what must hold between two store values on the same data.
// open returns both on a new, empty database.
func RunUsagePair(t *testing.T, open func(*testing.T) (here, there storage.Usage)) {
	run(t, usageRaces, func(t *testing.T) usagePair {
		here, there := open(t)
		return usagePair{here, there}
	})
}

// usagePair is two store values on the same data; they may be one.
type usagePair struct{ here, there storage.Usage }

func (p usagePair) nth(i int) storage.Usage {
	if i%2 == 0 {
		return p.here
	}
	return p.there
}

var usageCases = slices.Concat([]check[storage.Usage]{
	{"UsageAdded", usageAdded},
	{"UsageModel", usageModel},
	{"UsageTwice", usageTwice},
	{"UsageForgotten", usageForgotten},
	{"UsageRange", usageRange},
	{"UsageApart", usageApart},
	{"UsageRefused", usageRefused},
	{"UsageCancelled", usageCancelled},
}, usageFacts, usageBounds)

// usageAdded: one batch, seen from everywhere.
func usageAdded(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	k, other := usageKey("acme", "k1"), usageKey("acme", "k2")
	sandbox := usageKey("acme", "k3")
	sandbox.Environment = strikeplate.Test
	c.add(
		row(k, "GET /v1/a", noon.Add(30*time.Second), 2, 5),
		row(k, "GET /v1/a", noon, 4, 1),
		row(k, "GET /v1/b", noon.Add(time.Minute), 5, 2),
		row(k, "GET /v1/b", noon.Add(-time.Minute), 0, 1),
		row(other, "GET /v1/a", noon, 2, 7),
		row(sandbox, "GET /v1/a", noon, 3, 9),
	)
	sum := func(all ...storage.UsageCounts) (sum storage.UsageCounts) {
		for _, one := range all {
			sum.Add(one)
		}
		return sum
	}
	at := func(start time.Time, counts ...storage.UsageCounts) storage.UsagePoint {
		return storage.UsagePoint{Start: start, UsageCounts: sum(counts...)}
	}
	morning, day := noon.Add(-time.Hour), noon.Truncate(24*time.Hour)
	for _, q := range []storage.UsageQuery{
		of(around("acme", storage.PerMinute), "", "k1"), of(around("acme", storage.PerMinute), k.Lineage, ""), of(around("acme", storage.PerMinute), k.Lineage, "k1"),
	} {
		c.want("minutes of a key", []storage.UsagePoint{
			at(noon.Add(-time.Minute), requests(0, 1)), at(noon, requests(2, 5), requests(4, 1)), at(noon.Add(time.Minute), requests(5, 2)),
		}, c.series(q))
	}
	hour := of(around("acme", storage.PerHour), "", "k1")
	c.want("hours of a key", []storage.UsagePoint{at(morning, requests(0, 1)), at(noon, requests(2, 5), requests(4, 1), requests(5, 2))}, c.series(hour))
	days := around("acme", storage.PerDay)
	c.want("days of a key", []storage.UsagePoint{at(day, requests(0, 1), requests(2, 5), requests(4, 1), requests(5, 2))}, c.series(of(days, "", "k1")))
	c.want("days of the organisation", []storage.UsagePoint{
		at(day, requests(0, 1), requests(2, 12), requests(4, 1), requests(5, 2), requests(3, 9)),
	}, c.series(days))
	sandboxDays := days
	sandboxDays.Environment = strikeplate.Test
	c.want("days of an environment", []storage.UsagePoint{at(day, requests(3, 9))}, c.series(sandboxDays))
	c.want("endpoints of a key", []storage.UsageEndpoint{
		{Pattern: "GET /v1/a", UsageCounts: sum(requests(2, 5), requests(4, 1))}, {Pattern: "GET /v1/b", UsageCounts: sum(requests(5, 2), requests(0, 1))},
	}, c.endpoints(hour))
	c.want("endpoints of the organisation", []storage.UsageEndpoint{
		{Pattern: "GET /v1/a", UsageCounts: sum(requests(2, 12), requests(4, 1), requests(3, 9))}, {Pattern: "GET /v1/b", UsageCounts: sum(requests(5, 2), requests(0, 1))},
	}, c.endpoints(days))
	if rate := c.total("acme").ErrorRate(); rate != 3.0/25 {
		t.Errorf("the error rate is %v, want 3 of 25", rate)
	}
	for _, q := range []storage.UsageQuery{
		of(days, "", "nobody"), of(days, "nobody", ""), of(days, "nobody", "k1"), of(days, other.Lineage, "k1"), around("globex", storage.PerDay), around("", storage.PerDay),
	} {
		if points, all := c.series(q), c.endpoints(q); len(points)+len(all) > 0 {
			t.Errorf("%+v: %v, %v, want nothing", q, points, all)
		}
	}
}

// usageModel: random batches, from several instances, some sent twice, against
// a sum of them.
func usageModel(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	r := rand.New(rand.NewPCG(1, 2)) // the same batches each time
	type place struct {
		Credential, Pattern string
		Step                storage.UsageStep
		Start               time.Time
	}
	model := make(map[place]*storage.UsageCounts)
	for range 30 {
		var rows []storage.UsageRow
		for range 1 + r.IntN(40) {
			k := usageKey("acme", fmt.Sprint("k", r.IntN(5)))
			one := row(k, fmt.Sprint("GET /", r.IntN(4)), noon.Add(time.Duration(r.IntN(60*60*72))*time.Second), r.IntN(6), 1+r.IntN(9))
			one.Latency[r.IntN(6)] += int64(r.IntN(3))
			rows = append(rows, one)
			for _, step := range storage.UsageSteps {
				for _, p := range []place{{k.Credential, one.Pattern, step, step.Start(one.Minute)}, {k.Credential, "", step, step.Start(one.Minute)}, {"", "", step, step.Start(one.Minute)}} {
					if model[p] == nil {
						model[p] = &storage.UsageCounts{}
					}
					model[p].Add(one.UsageCounts)
				}
			}
		}
		b := c.next(fmt.Sprint("i", r.IntN(3)), storage.UsageBatch{Rows: rows})
		c.send(b)
		if r.IntN(3) == 0 {
			c.send(b)
		}
	}
	got := make(map[place]*storage.UsageCounts)
	for _, step := range storage.UsageSteps {
		for _, credential := range []string{"", "k0", "k1", "k2", "k3", "k4"} {
			q := of(around("acme", step), "", credential)
			q.From, q.To = noon.Add(-24*time.Hour), noon.Add(96*time.Hour)
			for _, p := range c.series(q) {
				got[place{credential, "", step, p.Start}] = &p.UsageCounts
			}
			if credential == "" || step == storage.PerMinute {
				continue
			}
			for start := step.Start(q.From); start.Before(q.To); start = start.Add(step.Width()) {
				q.From, q.To = start, start.Add(1)
				for _, e := range c.endpoints(q) {
					got[place{credential, e.Pattern, step, start}] = &e.UsageCounts
				}
				q.To = noon.Add(96 * time.Hour)
			}
		}
	}
	maps.DeleteFunc(model, func(p place, _ *storage.UsageCounts) bool { return p.Step == storage.PerMinute && p.Pattern != "" })
	c.want("all counts", model, got)
}

// usageTwice: a lost reply.
func usageTwice(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	k := usageKey("acme", "k1")
	batch := func() storage.UsageBatch {
		return c.next("i1", storage.UsageBatch{
			Rows:      []storage.UsageRow{row(k, "GET /", noon, 2, 1)},
			Seen:      []storage.UsageSeen{{UsageKey: k, First: noon, Succeeded: noon, Presented: noon, Browser: 1, BrowserAt: noon, Origin: "https://a.example"}},
			Addresses: []storage.UsageAddress{{UsageKey: k, Address: netip.MustParseAddr("192.0.2.1"), Count: 1, First: noon, Last: noon}},
			Refusals:  []storage.UsageRefusal{{UsageKey: k, Code: "c", Proven: true, Hour: noon, Count: 1, Last: noon}},
		})
	}
	first, second := batch(), batch()
	for _, b := range []storage.UsageBatch{first, first, second, second, first, second} {
		c.send(b)
	}
	changed := second // what was sent under a sequence is what counts
	changed.Rows = []storage.UsageRow{row(k, "GET /other", noon, 2, 100)}
	c.send(changed)
	c.want("requests after two batches, sent several times", requests(2, 2), c.total("acme"))
	if got := c.credentials("acme", "k1")["k1"].Browser; got != 2 {
		t.Errorf("%d requests by a browser, want 2", got)
	}
	if got := c.addresses(of(around("acme", storage.PerDay), "", "k1")); len(got) != 1 || got[0].Count != 2 {
		t.Errorf("addresses: %+v, want one with 2 requests", got)
	}
	if got := c.refusals(around("acme", storage.PerHour)); len(got) != 1 || got[0].Count != 2 {
		t.Errorf("refusals: %+v, want one with 2", got)
	}
	another := first
	another.Instance = "i2"
	c.send(another)
	c.want("requests after the same from another instance", requests(2, 3), c.total("acme"))
	leap := c.next("i1", storage.UsageBatch{Rows: first.Rows}) // one was given up before it
	leap.Sequence += 5
	c.send(leap)
	c.want("requests after a leap", requests(2, 4), c.total("acme"))
}

func usageForgotten(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	c.sequences["i1"] = 1
	b := c.next("i1", storage.UsageBatch{Rows: []storage.UsageRow{row(usageKey("acme", "k1"), "GET /", noon, 2, 1)}})
	wantForgotten := func() {
		t.Helper()
		if err := s.AddUsage(t.Context(), b); err != storage.ErrForgotten { //nolint:errorlint // the very value
			t.Fatalf("batch 2 of an instance that is not known: %v", err)
		}
	}
	wantForgotten()
	c.want("requests after a batch that was refused", storage.UsageCounts{}, c.total("acme"))
	wantForgotten()
	b.Sequence = 1
	c.send(b)
	c.want("requests after the first batch", requests(2, 1), c.total("acme"))
}

// usageRange: from, but not to.
func usageRange(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	k := usageKey("acme", "k1")
	for i := range 5 {
		c.add(row(k, fmt.Sprint("GET /", i), noon.Add(time.Duration(i-2)*time.Minute), 2, 1))
		c.add(row(k, fmt.Sprint("GET /", i), noon.Add(time.Duration(i-2)*24*time.Hour), 2, 1))
	}
	for _, r := range []struct {
		from, to time.Duration
		want     int
	}{
		{0, 1, 1}, {0, time.Minute, 1}, {0, time.Minute + 1, 2}, {1, time.Minute, 0}, {-1, 1, 1}, {-time.Minute, 0, 1},
		{-2 * time.Minute, 3 * time.Minute, 5}, {3 * time.Minute, time.Hour, 0},
	} {
		q := of(around("acme", storage.PerMinute), "", "k1")
		q.From, q.To = noon.Add(r.from), noon.Add(r.to)
		if points, all := c.series(q), c.endpoints(q); len(points) != r.want || len(all) != r.want {
			t.Errorf("from noon %+v to %+v: %d minutes and %d endpoints, want %d", r.from, r.to, len(points), len(all), r.want)
		}
	}
	q := around("acme", storage.PerDay)
	q.From, q.To = noon.Add(-24*time.Hour), noon.Add(12*time.Hour)
	points := c.series(q)
	if len(points) != 1 || !points[0].Start.Equal(noon.Truncate(24*time.Hour)) || points[0].Requests() != 6 {
		t.Errorf("days that begin after yesterday noon and before midnight: %+v, want today with 6", points)
	}
}

// usageApart: the same names in two organisations.
func usageApart(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	for i, organisation := range []string{"acme", "globex"} {
		k := usageKey(organisation, "k1")
		at := noon.Add(time.Duration(i) * time.Minute)
		c.send(c.next("i1", storage.UsageBatch{
			Rows:      []storage.UsageRow{row(k, "GET /", noon, 2, 1+i)},
			Seen:      []storage.UsageSeen{{UsageKey: k, First: at, Succeeded: at, Presented: at}},
			Addresses: []storage.UsageAddress{{UsageKey: k, Address: netip.MustParseAddr("192.0.2.1"), Count: int64(1 + i), First: at, Last: at}},
			Refusals:  []storage.UsageRefusal{{UsageKey: k, Code: "c", Hour: noon, Count: int64(1 + i), Last: at}},
		}))
	}
	for i, organisation := range []string{"acme", "globex"} {
		at, n := noon.Add(time.Duration(i)*time.Minute), int64(1+i)
		k := usageKey(organisation, "k1")
		for _, q := range []storage.UsageQuery{around(organisation, storage.PerHour), of(around(organisation, storage.PerHour), k.Lineage, ""), of(around(organisation, storage.PerHour), "", "k1")} {
			if points := c.series(q); len(points) != 1 || points[0].Requests() != n {
				t.Errorf("series of %s: %+v, want %d requests", organisation, points, n)
			}
			if all := c.endpoints(q); len(all) != 1 || all[0].Requests() != n {
				t.Errorf("endpoints of %s: %+v, want %d requests", organisation, all, n)
			}
			if all := c.refusals(q); len(all) != 1 || all[0].Count != n {
				t.Errorf("refusals of %s: %+v, want %d", organisation, all, n)
			}
		}
		if all := c.addresses(of(around(organisation, storage.PerHour), "", "k1")); len(all) != 1 || all[0].Count != n {
			t.Errorf("addresses of %s: %+v, want one with %d", organisation, all, n)
		}
		want := map[string]storage.UsageSeen{"k1": {UsageKey: k, First: at, Succeeded: at, Presented: at}}
		c.want("credentials of "+organisation, want, c.credentials(organisation, "k1", "k2"))
		c.want("lineages of "+organisation, map[string]storage.UsageSeen{k.Lineage: want["k1"]}, c.lineages(organisation, k.Lineage, "k1"))
	}
}

// usageRefused: what no store may take, and that nothing is left of it.
func usageRefused(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	k := usageKey("acme", "k1")
	good := row(k, "GET /", noon, 2, 1)
	bad := map[string]func(*storage.UsageBatch){
		"no instance":          func(b *storage.UsageBatch) { b.Instance = "" },
		"no sequence":          func(b *storage.UsageBatch) { b.Sequence = 0 },
		"no clock":             func(b *storage.UsageBatch) { b.Now = time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC) },
		"no clock at all":      func(b *storage.UsageBatch) { b.Now = time.Time{} },
		"a negative interval":  func(b *storage.UsageBatch) { b.Every = -1 },
		"too many rows":        func(b *storage.UsageBatch) { b.Rows = slices.Repeat(b.Rows, storage.MaxUsageRows+1) },
		"a NUL byte":           func(b *storage.UsageBatch) { b.Rows[0].Pattern = "GET /\x00" },
		"not UTF-8":            func(b *storage.UsageBatch) { b.Rows[0].Credential = "caf\xe9" },
		"no credential":        func(b *storage.UsageBatch) { b.Rows[0].Credential = "" },
		"no pattern":           func(b *storage.UsageBatch) { b.Rows[0].Pattern = "" },
		"no minute":            func(b *storage.UsageBatch) { b.Rows[0].Minute = time.Time{} },
		"a negative count":     func(b *storage.UsageBatch) { b.Rows[0].Class[2] = -1 },
		"a long name":          func(b *storage.UsageBatch) { b.Rows[0].Pattern = string(make([]byte, storage.MaxUsageText+1)) },
		"nobody seen":          func(b *storage.UsageBatch) { b.Seen = []storage.UsageSeen{{}} },
		"an address of nobody": func(b *storage.UsageBatch) { b.Addresses = []storage.UsageAddress{{First: noon, Last: noon}} },
		"a zone": func(b *storage.UsageBatch) {
			b.Addresses = []storage.UsageAddress{{UsageKey: k, First: noon, Last: noon, Address: netip.MustParseAddr("fe80::1%eth0")}}
		},
		"a refusal without code": func(b *storage.UsageBatch) {
			b.Refusals = []storage.UsageRefusal{{UsageKey: k, Hour: noon, Last: noon}}
		},
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		b := storage.UsageBatch{Instance: "i1", Sequence: 1, Now: noon, Rows: []storage.UsageRow{good}}
		bad[name](&b)
		wantOther(t, name, s.AddUsage(t.Context(), b))
	}
	c.want("requests after batches that were refused", storage.UsageCounts{}, c.total("acme"))
	c.add(good)
	c.want("requests after one that was not", requests(2, 1), c.total("acme"))
	for name, change := range map[string]func(*storage.UsageQuery){
		"no step":          func(q *storage.UsageQuery) { q.Step = 0 },
		"an unknown step":  func(q *storage.UsageQuery) { q.Step = 9 },
		"no range":         func(q *storage.UsageQuery) { q.To = q.From },
		"from after to":    func(q *storage.UsageQuery) { q.From, q.To = q.To, q.From },
		"no from":          func(q *storage.UsageQuery) { q.From = time.Time{} },
		"too long a range": func(q *storage.UsageQuery) { q.To = q.From.Add(storage.MaxUsageBuckets*time.Minute + 1) },
		"a NUL byte":       func(q *storage.UsageQuery) { q.Credential = "a\x00b" },
	} {
		q := around("acme", storage.PerMinute)
		change(&q)
		_, err := s.UsageSeries(t.Context(), q)
		wantOther(t, "UsageSeries with "+name, err)
		_, err = s.UsageEndpoints(t.Context(), q)
		wantOther(t, "UsageEndpoints with "+name, err)
	}
	_, err := s.UsageAddresses(t.Context(), around("acme", storage.PerDay))
	wantOther(t, "UsageAddresses of a whole organisation", err)
	_, err = s.UsageOfCredentials(t.Context(), "acme", make([]string, storage.MaxUsageRows+1))
	wantOther(t, "UsageOfCredentials of too many", err)
	_, err = s.ClaimUsage(t.Context(), storage.UsageClaim{Holder: "i1", Now: noon, Until: noon})
	wantOther(t, "a claim of nothing", err)
	if got := c.credentials("acme", "a\x00b", "caf\xe9"); len(got) > 0 {
		t.Errorf("names that can't be stored are known: %v", got)
	}
}

func usageCancelled(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	c.add(row(usageKey("acme", "k1"), "GET /", noon, 2, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := of(around("acme", storage.PerDay), "", "k1")
	for name, call := range map[string]func() error{
		"AddUsage": func() error {
			return s.AddUsage(ctx, c.next("i1", storage.UsageBatch{Rows: []storage.UsageRow{row(usageKey("acme", "k1"), "GET /", noon, 2, 1)}}))
		},
		"UsageSeries":        func() error { _, err := s.UsageSeries(ctx, q); return err },
		"UsageEndpoints":     func() error { _, err := s.UsageEndpoints(ctx, q); return err },
		"UsageAddresses":     func() error { _, err := s.UsageAddresses(ctx, q); return err },
		"UsageRefusals":      func() error { _, err := s.UsageRefusals(ctx, q); return err },
		"UsageOfCredentials": func() error { _, err := s.UsageOfCredentials(ctx, "acme", []string{"k1"}); return err },
		"UsageOfLineages":    func() error { _, err := s.UsageOfLineages(ctx, "acme", []string{"k1"}); return err },
		"LastUsed":           func() error { _, err := s.LastUsed(ctx, []string{"k1"}); return err },
		"UsageCompleteSince": func() error { _, err := s.UsageCompleteSince(ctx, "acme", noon); return err },
		"PruneUsage": func() error {
			_, err := s.PruneUsage(ctx, storage.UsageCutoffs{Now: noon, Days: noon.Add(48 * time.Hour)}, 0)
			return err
		},
		"EraseUsage": func() error { return s.EraseUsage(ctx, "acme") },
		"ClaimUsage": func() error {
			_, err := s.ClaimUsage(ctx, storage.UsageClaim{Task: "t", Holder: "h", Now: noon, Until: noon})
			return err
		},
	} {
		promptly(t, name, func() {
			if err := call(); err == nil || isSentinel(err) {
				t.Errorf("%s with a cancelled context: %v", name, err)
			}
		})
	}
	c.want("requests after calls with a cancelled context", requests(2, 1), c.total("acme"))
}
