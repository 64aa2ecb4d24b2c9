package storagetest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// usageBounds: what is bounded, and what is taken away again.
var usageBounds = []check[storage.Usage]{
	{"UsagePatternsBounded", usagePatternsBounded},
	{"UsageKeysBounded", usageKeysBounded},
	{"UsageComplete", usageComplete},
	{"UsagePause", usagePause},
	{"UsagePrune", usagePrune},
	{"UsagePruneNames", usagePruneNames},
	{"UsagePruneInstances", usagePruneInstances},
	{"UsageErase", usageErase},
	{"UsageClaim", usageClaim},
}

// usagePatternsBounded: further patterns and codes are one row, and sums stay.
func usagePatternsBounded(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	k := usageKey("acme", "k1")
	const beyond = 20
	for part := range 4 {
		b := storage.UsageBatch{}
		for i := range (storage.MaxUsagePatterns + beyond) / 4 {
			b.Rows = append(b.Rows, row(k, fmt.Sprintf("GET /%d/%d", part, i), noon, 2, 1))
		}
		c.send(c.next("i1", b))
	}
	c.send(c.next("i1", storage.UsageBatch{Refusals: []storage.UsageRefusal{
		{UsageKey: k, Code: "one code too many", Proven: true, Hour: noon, Count: 1, Last: noon},
		{UsageKey: k, Code: "and another", Proven: true, Hour: noon, Count: 2, Last: noon}}}))
	c.want("all requests", requests(2, storage.MaxUsagePatterns+beyond), c.total("acme"))
	all := c.endpoints(of(around("acme", storage.PerHour), "", "k1"))
	if len(all) != 1000 || all[0].Pattern != storage.UsageOther || all[0].Requests() != beyond {
		t.Errorf("%d endpoints, the busiest %+v, want 1000, of which %d requests to others", len(all), all[0], beyond)
	}
	if got := c.refusals(around("acme", storage.PerHour)); len(got) != 1 || got[0].Code != storage.UsageOther || got[0].Count != 3 {
		t.Errorf("refusals: %+v, want 3 of others", got)
	}
	// Names that are known stay known, and another organisation has its own.
	c.add(row(k, "GET /0/0", noon, 2, 100), row(usageKey("globex", "k1"), "GET /new", noon, 2, 1))
	if all := c.endpoints(of(around("acme", storage.PerHour), "", "k1")); all[0].Pattern != "GET /0/0" || all[0].Requests() != 101 {
		t.Errorf("the busiest endpoint: %+v", all[0])
	}
	if all := c.endpoints(around("globex", storage.PerHour)); len(all) != 1 || all[0].Pattern != "GET /new" {
		t.Errorf("another organisation's endpoints: %+v", all)
	}
}

// usageKeysBounded: further credentials are one, and that is no complete
// knowledge.
func usageKeysBounded(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	for part := range storage.MaxUsageKeys / storage.MaxUsageRows {
		var b storage.UsageBatch
		for i := range storage.MaxUsageRows {
			b.Seen = append(b.Seen, storage.UsageSeen{UsageKey: usageKey("acme", fmt.Sprintf("k%d-%d", part, i)), First: noon, Presented: noon})
		}
		c.send(c.next("i1", b))
	}
	later := noon.Add(30 * time.Second)
	c.want("complete up to the bound", noon, c.completeSince("acme", later))
	c.send(c.next("i1", storage.UsageBatch{
		Now:  later,
		Rows: []storage.UsageRow{row(usageKey("acme", "x1"), "GET /", noon, 2, 1), row(usageKey("acme", "x2"), "GET /", noon, 2, 2), row(usageKey("acme", "k0-0"), "GET /", noon, 2, 4)},
		Seen: []storage.UsageSeen{{UsageKey: usageKey("acme", "x1"), First: noon, Presented: noon}, {UsageKey: usageKey("acme", "x2"), First: noon, Presented: noon}},
		Addresses: []storage.UsageAddress{
			{UsageKey: usageKey("acme", "x1"), Address: netip.MustParseAddr("192.0.2.1"), Count: 1, First: noon, Last: noon},
			{UsageKey: usageKey("acme", "x2"), Address: netip.MustParseAddr("192.0.2.1"), Count: 1, First: noon, Last: noon},
		},
	}))
	c.want("all requests", requests(2, 7), c.total("acme"))
	day := around("acme", storage.PerDay)
	if got := c.series(of(day, "", storage.UsageOther)); len(got) != 1 || got[0].Requests() != 3 {
		t.Errorf("requests of others: %+v, want 3", got)
	}
	if got := c.series(of(day, "", "k0-0")); len(got) != 1 || got[0].Requests() != 4 {
		t.Errorf("requests of one that is known: %+v, want 4", got)
	}
	if got := c.credentials("acme", "x1", "x2", "k0-0", storage.UsageOther); len(got) != 2 {
		t.Errorf("known are %v, want k0-0 and the others", got)
	}
	if got := c.addresses(of(day, "", storage.UsageOther)); len(got) != 1 || got[0].Count != 2 {
		t.Errorf("addresses of others: %+v", got)
	}
	c.want("complete beyond the bound", later, c.completeSince("acme", noon.Add(time.Minute)))
	c.want("complete in another organisation", noon, c.completeSince("globex", later))
}

// usageComplete: nobody is taken for idle on what is not known.
func usageComplete(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	c.want("before anything was counted", time.Time{}, c.completeSince("acme", noon))
	at := func(d time.Duration, b storage.UsageBatch) storage.UsageBatch {
		b.Now, b.Until = noon.Add(d), noon.Add(d)
		return b
	}
	c.send(c.next("i1", at(0, storage.UsageBatch{})))
	c.want("after the first report", noon, c.completeSince("acme", noon.Add(time.Second)))
	c.send(c.next("i2", at(5*time.Second, storage.UsageBatch{})))
	c.want("after a second instance began", noon, c.completeSince("acme", noon.Add(6*time.Second)))
	c.want("before three intervals and ten seconds", noon, c.completeSince("acme", noon.Add(40*time.Second)))
	late := noon.Add(41 * time.Second)
	c.want("of the first instance nothing was heard", late, c.completeSince("acme", late))
	c.send(c.next("i1", at(42*time.Second, storage.UsageBatch{})))
	c.want("when it reports again", noon, c.completeSince("acme", noon.Add(43*time.Second)))
	c.send(c.next("i1", at(50*time.Second, storage.UsageBatch{Final: true})))
	c.send(c.next("i2", at(50*time.Second, storage.UsageBatch{Final: true})))
	c.want("when both have ended", noon, c.completeSince("acme", noon.Add(24*time.Hour)))
	c.send(c.next("i3", at(time.Minute, storage.UsageBatch{Gap: noon.Add(55 * time.Second)})))
	c.want("after something was dropped", noon.Add(55*time.Second), c.completeSince("acme", noon.Add(time.Minute)))
	c.send(c.next("i3", at(2*time.Minute, storage.UsageBatch{Gap: noon.Add(time.Second)})))
	mute := c.next("i4", storage.UsageBatch{Now: noon.Add(2 * time.Minute)})
	mute.Until = time.Time{} // it says nothing of how far it is
	c.send(mute)
	c.want("while one doesn't say how far it is", noon.Add(2*time.Minute), c.completeSince("acme", noon.Add(2*time.Minute)))
	c.send(c.next("i4", at(2*time.Minute, storage.UsageBatch{Final: true})))
	c.want("after an older gap", noon.Add(55*time.Second), c.completeSince("acme", noon.Add(2*time.Minute)))
}

// usagePause: where nobody counted, there may have been use.
func usagePause(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	c.send(c.next("i1", storage.UsageBatch{Now: noon, Final: true}))
	update := noon.Add(storage.UsagePause)
	c.send(c.next("i2", storage.UsageBatch{Now: update, Final: true}))
	c.want("after an update", noon, c.completeSince("acme", update))
	month := noon.Add(30 * 24 * time.Hour)
	c.send(c.next("i3", storage.UsageBatch{Now: month}))
	c.want("after a month without counting", month, c.completeSince("acme", month))
	c.send(c.next("i3", storage.UsageBatch{Now: month.Add(2 * storage.UsagePause), Final: true}))
	c.want("an instance that was slow has not begun", month, c.completeSince("acme", month.Add(3*storage.UsagePause)))
}

// usagePrune: what is older goes, in pieces, and what isn't stays.
func usagePrune(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	k := usageKey("acme", "k1")
	for day := range 4 {
		at := noon.Add(time.Duration(-day) * 24 * time.Hour)
		c.send(c.next("i1", storage.UsageBatch{
			Rows:      []storage.UsageRow{row(k, "GET /a", at, 2, 1), row(k, "GET /b", at, 2, 1)},
			Seen:      []storage.UsageSeen{{UsageKey: k, First: at, Succeeded: at, Presented: at, Browser: 1, BrowserAt: at, Origin: "https://a.example"}},
			Addresses: []storage.UsageAddress{{UsageKey: k, Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(day)}), Count: 1, First: at, Last: at}},
			Refusals:  []storage.UsageRefusal{{UsageKey: k, Code: "c", Proven: true, Hour: at, Count: 1, Last: at}},
		}))
	}
	type left struct{ Minutes, Hours, Days, Endpoints, Addresses, Refusals int }
	count := func() left {
		key := func(step storage.UsageStep) storage.UsageQuery { return of(around("acme", step), "", "k1") }
		minutes := key(storage.PerMinute)
		minutes.From, minutes.To = noon.Add(-5*24*time.Hour), noon.Add(time.Hour)
		var endpoints int
		for _, e := range c.endpoints(key(storage.PerHour)) {
			endpoints += int(e.Requests())
		}
		return left{len(c.series(minutes)), len(c.series(key(storage.PerHour))), len(c.series(key(storage.PerDay))), endpoints,
			len(c.addresses(key(storage.PerDay))), len(c.refusals(key(storage.PerDay)))}
	}
	prune := func(cut storage.UsageCutoffs, limit int) int {
		t.Helper()
		n, err := s.PruneUsage(t.Context(), cut, limit)
		if err != nil {
			t.Fatalf("PruneUsage(%+v): %v", cut, err)
		}
		return n
	}
	all := left{4, 4, 4, 8, 4, 1}
	c.want("what is there", all, count())
	if n := prune(storage.UsageCutoffs{}, 0); n != 0 {
		t.Errorf("a cut without times removed %d rows", n)
	}
	// The moment itself stays. Of two days each a row for key and total, and twice
	// as many for the two patterns.
	if n := prune(storage.UsageCutoffs{Now: noon, Minutes: noon.Add(-24 * time.Hour)}, 0); n != 2*2*3 {
		t.Errorf("removed %d rows of minutes, want 12", n)
	}
	c.want("after minutes were cut", left{2, 4, 4, 8, 4, 1}, count())
	for rest := 2*2*3 + 2; rest > 0; rest -= 5 {
		if n := prune(storage.UsageCutoffs{Now: noon, Hours: noon.Add(-24 * time.Hour)}, 5); n != min(5, rest) {
			t.Fatalf("removed %d rows of hours at once, want %d", n, min(5, rest))
		}
	}
	c.want("after hours were cut", left{2, 2, 4, 4, 4, 1}, count())
	if got := c.refusals(of(around("acme", storage.PerHour), "", "k1")); len(got) != 1 || got[0].Count != 2 {
		t.Errorf("refusals that are left: %+v", got)
	}
	if n := prune(storage.UsageCutoffs{Now: noon, Days: noon.Truncate(24 * time.Hour), Addresses: noon.Add(-24 * time.Hour)}, 0); n != 3*2*3+3+2 {
		t.Errorf("removed %d rows of days and addresses, want 23", n)
	}
	c.want("after days and addresses were cut", left{2, 2, 1, 4, 2, 1}, count())
	if origin := c.credentials("acme", "k1")["k1"].Origin; origin != "https://a.example" {
		t.Errorf("the origin of today is %q", origin)
	}
	prune(storage.UsageCutoffs{Now: noon, Addresses: noon.Add(time.Minute)}, 0)
	got := c.credentials("acme", "k1")["k1"]
	if got.Origin != "" || got.Browser != 4 || !got.Succeeded.Equal(noon) {
		t.Errorf("after addresses were cut: %+v, want counts without an origin", got)
	}
}

// usagePruneNames: credentials and patterns that nobody has seen for long.
func usagePruneNames(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	old, fresh := usageKey("acme", "old"), usageKey("acme", "fresh")
	send := func(k storage.UsageKey, pattern string, at time.Time) {
		c.send(c.next("i1", storage.UsageBatch{Now: at, Rows: []storage.UsageRow{row(k, pattern, at, 2, 1)},
			Seen: []storage.UsageSeen{{UsageKey: k, First: at, Presented: at}}}))
	}
	send(old, "GET /old", noon.Add(-50*24*time.Hour))
	send(fresh, "GET /both", noon.Add(-50*24*time.Hour))
	send(fresh, "GET /both", noon)
	n, err := s.PruneUsage(t.Context(), storage.UsageCutoffs{Now: noon, Names: noon.Add(-24 * time.Hour)}, 0)
	if err != nil || n != 2 {
		t.Fatalf("removed %d, %v, want a credential and a pattern", n, err)
	}
	if got := c.credentials("acme", "old", "fresh"); len(got) != 1 || got["fresh"].Presented.IsZero() {
		t.Errorf("known are %v", got)
	}
	if got := c.series(of(around("acme", storage.PerDay), "", "old")); len(got) > 0 {
		t.Errorf("of a credential that is gone there is %v", got)
	}
	c.want("what the other did", []storage.UsageEndpoint{{Pattern: "GET /both", UsageCounts: requests(2, 2)}}, c.endpoints(of(around("acme", storage.PerDay), "", "fresh")))
	send(old, "GET /old", noon)
	c.want("when it comes back", []storage.UsageEndpoint{{Pattern: "GET /old", UsageCounts: requests(2, 1)}}, c.endpoints(of(around("acme", storage.PerDay), "", "old")))
}

// usagePruneInstances: one that was silent for long is given up, which is a gap.
func usagePruneInstances(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	c.send(c.next("ended", storage.UsageBatch{Now: noon, Final: true}))
	c.send(c.next("silent", storage.UsageBatch{Now: noon}))
	now := noon.Add(50 * time.Minute)
	c.send(c.next("live", storage.UsageBatch{Now: now}))
	prune := func(cut time.Time, want int) {
		t.Helper()
		n, err := s.PruneUsage(t.Context(), storage.UsageCutoffs{Now: now, Instances: cut}, 0)
		if err != nil || n != want {
			t.Fatalf("removed %d instances, %v, want %d", n, err, want)
		}
	}
	prune(noon, 0)
	c.want("while one is silent", now, c.completeSince("acme", now))
	prune(noon.Add(time.Minute), 2)
	c.want("after it was given up", now, c.completeSince("acme", now.Add(time.Second)))
	b := c.next("silent", storage.UsageBatch{Rows: []storage.UsageRow{row(usageKey("acme", "k1"), "GET /", noon, 2, 1)}})
	if err := s.AddUsage(t.Context(), b); err != storage.ErrForgotten { //nolint:errorlint // the very value
		t.Errorf("the silent one speaks up: %v", err)
	}
	c.send(c.next("live", storage.UsageBatch{Now: now.Add(time.Minute), Final: true}))
	now = now.Add(time.Hour)
	prune(now, 1)
	c.want("one that had ended leaves no gap", noon.Add(50*time.Minute), c.completeSince("acme", now))
}

// usageErase: all of one organisation, and nothing of another.
func usageErase(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	fill := func(organisation string) {
		k := usageKey(organisation, "k1")
		c.send(c.next("i1", storage.UsageBatch{
			Rows:      []storage.UsageRow{row(k, "GET /", noon, 2, 1)},
			Seen:      []storage.UsageSeen{{UsageKey: k, First: noon, Succeeded: noon, Presented: noon}},
			Addresses: []storage.UsageAddress{{UsageKey: k, Address: netip.MustParseAddr("192.0.2.1"), Count: 1, First: noon, Last: noon}},
			Refusals:  []storage.UsageRefusal{{UsageKey: k, Code: "c", Proven: true, Hour: noon, Count: 1, Last: noon}},
		}))
		if ok, err := s.ClaimUsage(t.Context(), storage.UsageClaim{Organisation: organisation, Task: "t", Holder: "i1", Now: noon, Until: noon.Add(time.Hour)}); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	wantGone := func(what string) {
		t.Helper()
		day := around("acme", storage.PerDay)
		key := of(day, "", "k1")
		n := len(c.series(day)) + len(c.series(key)) + len(c.endpoints(day)) + len(c.endpoints(key)) + len(c.addresses(key)) + len(c.refusals(day)) +
			len(c.credentials("acme", "k1")) + len(c.lineages("acme", "line of k1"))
		if n > 0 {
			t.Errorf("%s: %d rows are left", what, n)
		}
		if ok, err := s.ClaimUsage(t.Context(), storage.UsageClaim{Organisation: "acme", Task: "t", Holder: "another", Now: noon, Until: noon}); !ok || err != nil {
			t.Errorf("%s: the claim is left (%v)", what, err)
		}
	}
	fill("acme")
	fill("globex")
	for range 2 { // also if there is nothing
		if err := s.EraseUsage(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
	}
	wantGone("erased")
	c.want("another organisation", requests(2, 1), c.total("globex"))
	if ok, err := s.ClaimUsage(t.Context(), storage.UsageClaim{Organisation: "globex", Task: "t", Holder: "another", Now: noon, Until: noon}); ok || err != nil {
		t.Errorf("another organisation's claim is gone (%v)", err)
	}
	fill("acme")
	c.want("after it came back", requests(2, 1), c.total("acme"))
	if operator, ok := s.(storage.Operator); ok {
		if err := operator.EraseOrganisation(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		wantGone("erased with all else")
	}
}

// usageClaim: one holder at a time, and not for ever.
func usageClaim(t testing.TB, s storage.Usage) {
	for i, c := range []struct {
		organisation, task, holder string
		now, until                 int
		want                       bool
	}{
		{"", "prune", "i1", 0, 60, true},
		{"", "prune", "i2", 1, 99, false},
		{"", "prune", "i2", 59, 99, false},
		{"", "other", "i2", 1, 60, true},
		{"acme", "prune", "i2", 1, 60, true},
		{"", "prune", "i1", 30, 90, true},  // its own
		{"", "prune", "i2", 60, 99, false}, // which moved the end
		{"", "prune", "i2", 90, 120, true},
		{"", "prune", "i1", 91, 120, false},
		{"", "prune", "i2", 92, 92, true}, // given back
		{"", "prune", "i1", 92, 120, true},
	} {
		got, err := s.ClaimUsage(t.Context(), storage.UsageClaim{Organisation: c.organisation, Task: c.task, Holder: c.holder,
			Now: noon.Add(time.Duration(c.now) * time.Minute), Until: noon.Add(time.Duration(c.until) * time.Minute)})
		if got != c.want || err != nil {
			t.Fatalf("claim %d, %+v: %v, %v", i, c, got, err)
		}
	}
	n, err := s.PruneUsage(t.Context(), storage.UsageCutoffs{Now: noon.Add(time.Hour)}, 0)
	if err != nil || n != 2 {
		t.Errorf("removed %d claims that had ended, %v, want 2", n, err)
	}
}
