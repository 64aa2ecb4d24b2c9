package storagetest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// usageFacts: what is known of a credential besides counts.
var usageFacts = []check[storage.Usage]{
	{"UsageSeen", usageSeen},
	{"UsageOfNobody", usageOfNobody},
	{"UsageAddresses", usageAddresses},
	{"UsageRefusals", usageRefusals},
	{"UsageAttributed", usageAttributed},
}

// usageSeen: the first, the last and the last successful use, in whatever order
// they are reported.
func usageSeen(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	k, successor := usageKey("acme", "k1"), usageKey("acme", "k2")
	successor.Lineage = k.Lineage
	at := func(minutes int) time.Time {
		return noon.Add(time.Duration(minutes)*time.Minute + 123456789*time.Nanosecond)
	}
	kept := func(minutes int) time.Time { return at(minutes).Truncate(time.Microsecond) }
	seen := func(all ...storage.UsageSeen) { c.send(c.next("i1", storage.UsageBatch{Seen: all})) }
	seen(storage.UsageSeen{UsageKey: k, First: at(5), Presented: at(9)})
	c.want("a credential that never succeeded", map[string]storage.UsageSeen{"k1": {UsageKey: k, First: kept(5), Presented: kept(9)}}, c.credentials("acme", "k1", "k2"))
	seen(storage.UsageSeen{UsageKey: k, First: at(3), Succeeded: at(4), Presented: at(4), Browser: 2, BrowserAt: at(4), Origin: "https://b.example"})
	seen(storage.UsageSeen{UsageKey: k, First: at(1), Succeeded: at(2), Presented: at(2), Browser: 1, BrowserAt: at(2), Origin: "https://a.example"})
	seen(storage.UsageSeen{UsageKey: successor, First: at(7), Succeeded: at(8), Presented: at(8)},
		storage.UsageSeen{UsageKey: usageKey("acme", "k3"), First: at(30), Succeeded: at(30), Presented: at(30)})
	want := storage.UsageSeen{UsageKey: k, First: kept(1), Succeeded: kept(4), Presented: kept(9), Browser: 3, BrowserAt: kept(4), Origin: "https://b.example"}
	c.want("a credential", map[string]storage.UsageSeen{"k1": want}, c.credentials("acme", "k1"))
	line := want
	line.Succeeded = kept(8)
	c.want("a lineage", map[string]storage.UsageSeen{k.Lineage: line}, c.lineages("acme", k.Lineage))
	used, err := s.LastUsed(t.Context(), []string{"k1", "k2", "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	c.want("when they were last used", map[string]time.Time{"k1": kept(4), "k2": kept(8)}, used)
	if got := c.credentials("globex", "k1"); len(got) > 0 {
		t.Errorf("another organisation knows %v", got)
	}
}

// usageOfNobody: a lineage that isn't told is the credential, and refusals that
// name nobody make nobody known.
func usageOfNobody(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	c.send(c.next("i1", storage.UsageBatch{
		Rows: []storage.UsageRow{row(storage.UsageKey{Organisation: "acme", Credential: "k1"}, "GET /", noon, 2, 1)},
		Seen: []storage.UsageSeen{{UsageKey: storage.UsageKey{Organisation: "acme", Credential: "k1"}, First: noon, Presented: noon}},
		Refusals: []storage.UsageRefusal{
			{Code: "invalid_api_key", Hour: noon, Count: 3, Last: noon},
			{UsageKey: usageKey("acme", "k9"), Code: "temporarily_unavailable", Hour: noon, Count: 1, Last: noon},
		},
	}))
	k := storage.UsageKey{Organisation: "acme", Credential: "k1", Lineage: "k1"}
	c.want("a credential without a lineage", map[string]storage.UsageSeen{"k1": {UsageKey: k, First: noon, Presented: noon}}, c.lineages("acme", "k1"))
	if points := c.series(of(around("acme", storage.PerDay), "k1", "")); len(points) != 1 {
		t.Errorf("its series: %+v", points)
	}
	if got := c.credentials("acme", "k9", ""); len(got) > 0 {
		t.Errorf("one that was never proven is known as used: %+v", got)
	}
	if got := c.credentials("", ""); len(got) > 0 {
		t.Errorf("nobody is known as used: %+v", got)
	}
	c.want("refusals of nobody", []storage.UsageRefusal{{Code: "invalid_api_key", Count: 3, Last: noon}}, c.refusals(around("", storage.PerHour)))
	c.want("requests of nobody", storage.UsageCounts{}, c.total(""))
}

// usageAddresses: those with the most requests and those that were seen last are
// kept, the rest is one row, and no request is lost.
func usageAddresses(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	k := usageKey("acme", "k1")
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i / 250), byte(i%250 + 1)}) }
	var sum int64
	add := func(i, count int, at time.Time) {
		sum += int64(count)
		c.send(c.next("i1", storage.UsageBatch{Addresses: []storage.UsageAddress{{UsageKey: k, Address: address(i), Count: int64(count), First: at, Last: at}}}))
	}
	const half = storage.MaxUsageAddresses / 2
	q := of(around("acme", storage.PerDay), "", "k1")
	for i := range storage.MaxUsageAddresses {
		add(i, 1, noon.Add(time.Duration(i)*time.Minute))
	}
	got := c.addresses(q)
	if len(got) != storage.MaxUsageAddresses || got[0].Address != address(storage.MaxUsageAddresses-1) || got[len(got)-1].Address != address(0) {
		t.Fatalf("%d addresses, %v to %v, want all, the most recent first", len(got), got[0].Address, got[len(got)-1].Address)
	}
	for i := range half { // the oldest have the most requests
		add(i, 100, noon.Add(time.Duration(i)*time.Minute))
	}
	for i := range 100 {
		add(1000+i, 1, noon.Add(time.Hour+time.Duration(i)*time.Minute))
	}
	got = c.addresses(q)
	held := make(map[netip.Addr]storage.UsageAddress)
	var total int64
	for i, a := range got {
		held[a.Address] = a
		total += a.Count
		if a.UsageKey != k {
			t.Errorf("an address of %+v", a.UsageKey)
		}
		if !a.Address.IsValid() != (i == len(got)-1) {
			t.Errorf("row %d of %d is %v, want what is not kept at the end", i, len(got), a.Address)
		}
	}
	if total != sum {
		t.Errorf("%d requests, want %d", total, sum)
	}
	if len(got) > storage.MaxUsageAddresses+1 {
		t.Errorf("%d addresses are kept", len(got)-1)
	}
	for i := range half {
		if a := held[address(i)]; a.Count != 101 || !a.First.Equal(noon.Add(time.Duration(i)*time.Minute)) {
			t.Errorf("busy address %d: %+v", i, a)
		}
	}
	for i := 100 - half; i < 100; i++ {
		if _, ok := held[address(1000+i)]; !ok {
			t.Errorf("recent address %d is gone", i)
		}
	}
	if rest := held[netip.Addr{}]; !rest.First.Equal(noon.Add(half*time.Minute)) || rest.Last.Before(noon.Add(time.Hour)) {
		t.Errorf("the rest was seen from %v to %v", rest.First, rest.Last)
	}
	add(0, 1, noon.Add(-time.Hour)) // reported late
	a := func() storage.UsageAddress {
		for _, a := range c.addresses(q) {
			if a.Address == address(0) {
				return a
			}
		}
		return storage.UsageAddress{}
	}()
	c.want("an address", storage.UsageAddress{UsageKey: k, Address: address(0), Count: 102, First: noon.Add(-time.Hour), Last: noon}, a)
	six := netip.MustParseAddr("2001:db8::1")
	c.send(c.next("i1", storage.UsageBatch{Addresses: []storage.UsageAddress{{UsageKey: usageKey("acme", "k2"), Address: six, Count: 1, First: noon, Last: noon}}}))
	if got := c.addresses(of(q, "line of k2", "")); len(got) != 1 || got[0].Address != six {
		t.Errorf("addresses of a lineage: %+v", got)
	}
}

// usageRefusals: with a proven secret and without are two things.
func usageRefusals(t testing.TB, s storage.Usage) {
	c := countedBy(t, s)
	k, other := usageKey("acme", "k1"), usageKey("acme", "k2")
	other.Environment = strikeplate.Test
	add := func(k storage.UsageKey, code string, proven bool, at time.Time, n int) {
		c.send(c.next("i1", storage.UsageBatch{Refusals: []storage.UsageRefusal{{UsageKey: k, Code: code, Proven: proven, Hour: at, Count: int64(n), Last: at}}}))
	}
	add(k, "expired_api_key", true, noon.Add(5*time.Minute), 3)
	add(k, "expired_api_key", true, noon.Add(55*time.Minute), 2)
	add(k, "expired_api_key", true, noon.Add(25*time.Hour), 1)
	add(k, "too_many_failures", false, noon, 40)
	add(k, "expired_api_key", false, noon, 7)
	add(other, "ip_not_allowed", true, noon, 4)
	refusal := func(k storage.UsageKey, code string, proven bool, n int, last time.Time) storage.UsageRefusal {
		return storage.UsageRefusal{UsageKey: k, Code: code, Proven: proven, Count: int64(n), Last: last}
	}
	day := around("acme", storage.PerMinute)
	day.From, day.To = noon, noon.Add(24*time.Hour)
	ofKey := []storage.UsageRefusal{
		refusal(k, "too_many_failures", false, 40, noon), refusal(k, "expired_api_key", false, 7, noon),
		refusal(k, "expired_api_key", true, 5, noon.Add(55*time.Minute)),
	}
	c.want("refusals of a key in a day", ofKey, c.refusals(of(day, "", "k1")))
	c.want("refusals of its lineage", ofKey, c.refusals(of(day, k.Lineage, "")))
	c.want("refusals of the organisation", append(ofKey, refusal(other, "ip_not_allowed", true, 4, noon)), c.refusals(day))
	day.Environment = strikeplate.Test
	c.want("refusals in an environment", []storage.UsageRefusal{refusal(other, "ip_not_allowed", true, 4, noon)}, c.refusals(day))
	day.Environment = ""
	day.From, day.To = noon.Add(time.Minute), noon.Add(26*time.Hour)
	c.want("refusals of later hours", []storage.UsageRefusal{refusal(k, "expired_api_key", true, 1, noon.Add(25*time.Hour))}, c.refusals(day))
	days := around("acme", storage.PerDay)
	days.From, days.To = noon, noon.Add(26*time.Hour)
	c.want("refusals of tomorrow", []storage.UsageRefusal{refusal(k, "expired_api_key", true, 1, noon.Add(25*time.Hour))}, c.refusals(days))
	days.From = noon.Add(-12 * time.Hour)
	all := c.refusals(of(days, "", "k1"))
	c.want("refusals of two days", []storage.UsageRefusal{
		refusal(k, "too_many_failures", false, 40, noon), refusal(k, "expired_api_key", false, 7, noon),
		refusal(k, "expired_api_key", true, 6, noon.Add(25*time.Hour)),
	}, all)
	c.want("no refusal is a request", storage.UsageCounts{}, c.total("acme"))
}

// usageAttributed: who was refused before anybody knew the organisation.
func usageAttributed(t testing.TB, s storage.Usage) {
	keys, ok := s.(storage.Keys)
	if !ok {
		return // it holds no keys to ask
	}
	c := countedBy(t, s)
	record := newKey("acme", "k1")
	record.Lineage, record.Environment = "line", strikeplate.Test
	bare := newKey("acme", "k2")
	bare.Lineage = ""
	if err := keys.Commit(t.Context(), mutation(record, bare)); err != nil {
		t.Fatal(err)
	}
	batch := storage.UsageBatch{}
	for _, id := range []string{"k1", "k2", "gone"} {
		nobody := storage.UsageKey{Credential: id}
		batch.Rows = append(batch.Rows, row(nobody, storage.UsageUnmatched, noon, 4, 2))
		batch.Seen = append(batch.Seen, storage.UsageSeen{UsageKey: nobody, First: noon, Presented: noon})
		batch.Refusals = append(batch.Refusals, storage.UsageRefusal{UsageKey: nobody, Code: "expired_api_key", Proven: true, Hour: noon, Count: 2, Last: noon})
		batch.Addresses = append(batch.Addresses, storage.UsageAddress{UsageKey: nobody, Address: netip.MustParseAddr("192.0.2.1"), Count: 2, First: noon, Last: noon})
	}
	// What names its organisation stays there, whatever the record says.
	batch.Rows = append(batch.Rows, row(usageKey("globex", "k1"), "GET /", noon, 2, 1))
	c.send(c.next("i1", batch))
	k := storage.UsageKey{Organisation: "acme", Credential: "k1", Lineage: "line", Environment: strikeplate.Test}
	k2 := storage.UsageKey{Organisation: "acme", Credential: "k2", Lineage: "k2", Environment: strikeplate.Live}
	c.want("requests of the organisation", requests(4, 4), c.total("acme"))
	c.want("requests of nobody", requests(4, 2), c.total(""))
	c.want("requests of another", requests(2, 1), c.total("globex"))
	c.want("the credentials", map[string]storage.UsageSeen{"k1": {UsageKey: k, First: noon, Presented: noon}, "k2": {UsageKey: k2, First: noon, Presented: noon}}, c.credentials("acme", "k1", "k2", "gone"))
	for _, of := range []storage.UsageQuery{of(around("acme", storage.PerHour), "line", ""), of(around("acme", storage.PerHour), "k2", "k2"), of(around("", storage.PerHour), "gone", "")} {
		if got := c.refusals(of); len(got) != 1 || got[0].Count != 2 {
			t.Errorf("refusals of %s: %+v", of.Lineage, got)
		}
		if got := c.addresses(of); len(got) != 1 || got[0].Count != 2 {
			t.Errorf("addresses of %s: %+v", of.Lineage, got)
		}
		if got := c.endpoints(of); fmt.Sprint(got) != fmt.Sprint([]storage.UsageEndpoint{{Pattern: storage.UsageUnmatched, UsageCounts: requests(4, 2)}}) {
			t.Errorf("endpoints of %s: %+v", of.Lineage, got)
		}
	}
}
