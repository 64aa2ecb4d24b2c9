package storagetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// usageRaces: the promises under concurrency. They alternate between the two
// values of a pair.
var usageRaces = []check[usagePair]{
	{"UsageRace", usageRace},
	{"UsageTwiceRace", usageTwiceRace},
	{"UsageNamesRace", usageNamesRace},
	{"UsageClaimRace", usageClaimRace},
	{"UsageEraseRace", usageEraseRace},
}

// usageRace: 64 instances add to the same credentials, in different orders.
func usageRace(t testing.TB, p usagePair) {
	each := 5
	if hurries() {
		each = 2
	}
	errs := together(many, func(i int) error {
		for n := range each {
			b := storage.UsageBatch{Instance: fmt.Sprint("i", i), Sequence: uint64(n + 1), Now: noon, Every: time.Second}
			for j := range 6 {
				k := usageKey(fmt.Sprint("org", (i+j)%2), fmt.Sprint("k", (i*5+j)%3))
				b.Rows = append(b.Rows, row(k, fmt.Sprint("GET /", (i+j)%4), noon.Add(time.Duration(j)*time.Minute), 2, 1))
				b.Seen = append(b.Seen, storage.UsageSeen{UsageKey: k, First: noon, Presented: noon.Add(time.Duration(i*each+n) * time.Second), Browser: 1, BrowserAt: noon})
				b.Refusals = append(b.Refusals, storage.UsageRefusal{UsageKey: k, Code: fmt.Sprint("c", j%2), Hour: noon, Count: 1, Last: noon})
			}
			if err := p.nth(i+n).AddUsage(t.Context(), b); err != nil {
				return fmt.Errorf("batch %d of instance %d: %w", n+1, i, err)
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	c := countedBy(t, p.here)
	var sum storage.UsageCounts
	var browser, refused int64
	for _, organisation := range []string{"org0", "org1"} {
		sum.Add(c.total(organisation))
		for _, seen := range c.credentials(organisation, "k0", "k1", "k2") {
			browser += seen.Browser
		}
		for _, r := range c.refusals(around(organisation, storage.PerHour)) {
			refused += r.Count
		}
	}
	all := many * each * 6
	c.want("all requests", requests(2, all), sum)
	if browser != int64(all) || refused != int64(all) {
		t.Errorf("%d by browsers and %d refused, want %d", browser, refused, all)
	}
}

// usageTwiceRace: a batch is sent again while it is still on its way.
func usageTwiceRace(t testing.TB, p usagePair) {
	for round := range turns(10) {
		organisation := fmt.Sprint("org", round)
		errs := together(many, func(i int) error {
			return p.nth(i).AddUsage(t.Context(), storage.UsageBatch{
				Instance: fmt.Sprint("i", round), Sequence: 1, Now: noon, Every: time.Second,
				Rows: []storage.UsageRow{row(usageKey(organisation, "k1"), "GET /", noon, 2, 1)},
			})
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if n := countedBy(t, p.here).total(organisation).Requests(); n != 1 {
			t.Fatalf("round %d: a batch that was sent %d times counts %d times", round, many, n)
		}
	}
}

// sayHello makes a round's instances known beforehand: first batches may wait for
// each other, and a race must not.
func sayHello(c *counted, round int) {
	for i := range many {
		c.send(storage.UsageBatch{Instance: fmt.Sprintf("r%d-%d", round, i), Sequence: 1, Now: noon, Every: time.Second})
	}
}

// usageNamesRace: many at once bring new names, where there is room for a few.
func usageNamesRace(t testing.TB, p usagePair) {
	const room, each = 10, 2
	for round := range turns(5) {
		c := countedBy(t, p.here)
		organisation := fmt.Sprint("org", round)
		k := usageKey(organisation, "k1")
		var fill storage.UsageBatch
		for i := range storage.MaxUsagePatterns - room {
			fill.Rows = append(fill.Rows, row(k, fmt.Sprint("GET /", i), noon, 2, 1))
		}
		c.send(c.next(organisation, fill))
		sayHello(c, round)
		errs := together(many, func(i int) error {
			b := storage.UsageBatch{Instance: fmt.Sprintf("r%d-%d", round, i), Sequence: 2, Now: noon, Every: time.Second}
			for n := range each {
				b.Rows = append(b.Rows, row(k, fmt.Sprintf("GET /%d/%d", i, n), noon, 2, 1))
			}
			return p.nth(i).AddUsage(t.Context(), b)
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		c.want("all requests", requests(2, storage.MaxUsagePatterns-room+many*each), c.total(organisation))
		all := c.endpoints(around(organisation, storage.PerDay))
		if len(all) != 1000 || all[0].Pattern != storage.UsageOther || all[0].Requests() != many*each-room {
			t.Fatalf("round %d: %d endpoints, %s with %d requests, want %d to others", round, len(all), all[0].Pattern, all[0].Requests(), many*each-room)
		}
	}
}

// usageClaimRace: of 64 that claim a task at once one gets it.
func usageClaimRace(t testing.TB, p usagePair) {
	for round := range turns(rounds) {
		var won atomic.Int32
		errs := together(many, func(i int) error {
			now := noon.Add(time.Duration(round) * time.Minute)
			ok, err := p.nth(i).ClaimUsage(t.Context(), storage.UsageClaim{Task: "t", Holder: fmt.Sprintf("r%d-%d", round, i), Now: now, Until: now.Add(time.Minute)})
			if ok {
				won.Add(1)
			}
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if won.Load() != 1 {
			t.Fatalf("round %d: %d got the task", round, won.Load())
		}
	}
}

// usageEraseRace: whoever adds and erases at once, the organisation's sum is that
// of its keys.
func usageEraseRace(t testing.TB, p usagePair) {
	c := countedBy(t, p.here)
	for round := range turns(10) {
		sayHello(c, round)
		errs := together(many, func(i int) error {
			if i%16 == 15 {
				return p.nth(i/16).EraseUsage(t.Context(), "acme")
			}
			return p.nth(i).AddUsage(t.Context(), storage.UsageBatch{
				Instance: fmt.Sprintf("r%d-%d", round, i), Sequence: 2, Now: noon, Every: time.Second,
				Rows: []storage.UsageRow{row(usageKey("acme", fmt.Sprint("k", i%2)), fmt.Sprint("GET /", i%3), noon, 2, 1)},
			})
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		day := around("acme", storage.PerDay)
		var keys, endpoints storage.UsageCounts
		for _, id := range []string{"k0", "k1"} {
			for _, point := range c.series(of(day, "", id)) {
				keys.Add(point.UsageCounts)
			}
		}
		for _, e := range c.endpoints(day) {
			endpoints.Add(e.UsageCounts)
		}
		c.want(fmt.Sprintf("round %d: the sum of keys and the total", round), c.total("acme"), keys)
		c.want(fmt.Sprintf("round %d: the sum of endpoints and the total", round), c.total("acme"), endpoints)
	}
	if err := p.there.EraseUsage(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	c.want("after the last erasure", storage.UsageCounts{}, c.total("acme"))
}
