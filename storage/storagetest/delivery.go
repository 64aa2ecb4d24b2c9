package storagetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// deliveryCases: consumers of the audit logs.
var deliveryCases = []check[Operated]{
	{"DeliveryContinues", deliveryContinues},
	{"DeliveryRepeats", deliveryRepeats},
	{"DeliveryApart", deliveryApart},
	{"AcknowledgeIsMonotone", acknowledgeIsMonotone},
	{"AcknowledgeAhead", acknowledgeAhead},
	{"AcknowledgeFirst", acknowledgeFirst},
	{"DeliveryLimits", deliveryLimits},
	{"DeliveryShares", deliveryShares},
	{"DeliveryTurns", deliveryTurns},
	{"DeliveryOfNews", deliveryOfNews},
	{"DeliveryAfterTrimming", deliveryAfterTrimming},
	{"FewConsumers", fewConsumers},
}

// deliveryContinues: from the oldest entry kept, whole, through everything.
func deliveryContinues(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	if page := u.undelivered("export", 10); len(page) != 0 {
		t.Fatalf("a new store has %d entries to deliver", len(page))
	}
	var want []storage.Entry
	for range 3 {
		want = append(want, u.log("acme", 7)...)
		u.commit(mutation(newKey("acme", fmt.Sprint("n", len(want)))))
		newest, _ := u.entries(storage.Query{Organisation: "acme"})
		want = append(want, newest[len(newest)-1])
		for _, consumer := range []string{"export", fmt.Sprint("since ", len(want))} {
			var got []storage.Entry
			for page := u.undelivered(consumer, 3); len(page) > 0; page = u.undelivered(consumer, 3) {
				got = append(got, page...)
				u.acknowledge(consumer, page...)
				if len(got) > len(want) {
					t.Fatalf("%s was given %d of %d entries, and more", consumer, len(got), len(want))
				}
			}
			if consumer == "export" {
				wantEntries(t, "delivered since the last time", got, want[len(want)-8:])
			} else {
				wantEntries(t, "delivered to a consumer never heard of", got, want)
			}
		}
	}
}

// deliveryRepeats: until it is acknowledged, and exactly that far.
func deliveryRepeats(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	all := u.log("acme", 6)
	for range 3 {
		wantEntries(t, "not acknowledged", u.undelivered("export", 10), all)
	}
	for done := range all {
		u.acknowledge("export", all[done])
		wantEntries(t, fmt.Sprint("acknowledged ", done+1), u.undelivered("export", 10), all[done+1:])
	}
}

// deliveryApart: consumers and organisations know nothing of one another.
func deliveryApart(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	acme, globex := u.log("acme", 3), u.log("globex", 5)
	u.undelivered("one", 10)
	u.undelivered("two", 10)
	u.acknowledge("one", acme[1])
	u.acknowledge("two", globex[4])
	for consumer, want := range map[string][]storage.Entry{
		"one": append([]storage.Entry{acme[2]}, globex...), "two": acme, "three": append(acme, globex...),
	} {
		got := u.undelivered(consumer, 20)
		slices.SortStableFunc(got, func(a, b storage.Entry) int { return len(a.Organisation) - len(b.Organisation) })
		wantEntries(t, "consumer "+consumer, got, want)
	}
}

func acknowledgeIsMonotone(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	all := u.log("acme", 5)
	u.acknowledge("export", all[3], all[1], all[0], storage.Entry{Organisation: "acme"}, storage.Entry{Organisation: "acme", Position: -1})
	wantEntries(t, "after lower acknowledgements", u.undelivered("export", 10), all[4:])
	u.acknowledge("export", all[4], all[3])
	wantEntries(t, "after all", u.undelivered("export", 10), nil)
	more := u.log("acme", 1)
	u.acknowledge("export", all[4], all[0])
	wantEntries(t, "a later one, after lower acknowledgements", u.undelivered("export", 10), more)
}

// acknowledgeAhead: who acknowledges what isn't there yet misses nothing.
func acknowledgeAhead(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	for range 3 {
		u.log("acme", 2)
		u.acknowledge("export", storage.Entry{Organisation: "acme", Position: 1 << 40})
		wantEntries(t, "all acknowledged", u.undelivered("export", 10), nil)
		more := u.log("acme", 3)
		wantEntries(t, "after a position that the log had not reached", u.undelivered("export", 10), more)
		u.acknowledge("export", more...)
	}
}

// acknowledgeFirst: the first that is heard of a consumer is what it has done.
func acknowledgeFirst(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	acme, globex := u.log("acme", 4), u.log("globex", 1)
	u.acknowledge("export", acme[1])
	got := u.undelivered("export", 10)
	slices.SortStableFunc(got, func(a, b storage.Entry) int { return len(a.Organisation) - len(b.Organisation) })
	wantEntries(t, "after an acknowledgement", got, append(acme[2:], globex...))
}

func deliveryLimits(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	all := u.log("acme", 1100)
	for limit, want := range map[int]int{0: 1000, -5: 1000, 1: 1, 2: 2, 999: 999} {
		if got := u.undelivered("export", limit); len(got) != want {
			t.Errorf("limit %d: %d entries, want %d", limit, len(got), want)
		}
	}
	for limit, want := range map[int]int{5000: 1100, 1 << 30: 1100} {
		wantEntries(t, fmt.Sprint("limit ", limit), u.undelivered("export", limit), all[:want])
	}
}

// deliveryShares: one long log doesn't fill the page.
func deliveryShares(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	u.log("a long log", 900)
	u.log("z long log", 900)
	for i := range 20 {
		u.log(fmt.Sprint("org", i), 1)
	}
	count := make(map[string]int)
	for _, e := range u.undelivered("export", 100) {
		count[e.Organisation]++
	}
	for i := range 20 {
		if name := fmt.Sprint("org", i); count[name] != 1 {
			t.Errorf("%s has one entry; %d were delivered beside two long logs", name, count[name])
		}
	}
	if a, z := count["a long log"], count["z long log"]; a != 40 || z != 40 {
		t.Errorf("the long logs share the rest unevenly: %d and %d of 80", a, z)
	}
}

// deliveryTurns: more organisations than fit on a page all get their turn, and
// those that nobody acknowledges don't hold up the others.
func deliveryTurns(t testing.TB, s Operated) {
	const all, limit = 30, 7
	u := upkeepOf(t, s)
	for i := range all {
		u.log(fmt.Sprintf("org%02d", i), 3)
	}
	for round := range 3 {
		served := make(map[string]bool)
		for range (all + limit - 1) / limit {
			page := u.undelivered("export", limit)
			for _, e := range page {
				served[e.Organisation] = true
			}
			if round == 1 {
				u.acknowledge("export", page...)
			}
		}
		if len(served) != all {
			t.Fatalf("round %d: %d of %d organisations had a turn", round, len(served), all)
		}
	}
}

// deliveryOfNews: what comes while long logs are drained doesn't wait for them.
func deliveryOfNews(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	u.log("a long log", 400)
	u.log("z long log", 400)
	for i := range 10 {
		name := fmt.Sprint([]string{"A", "m", "{"}[i%3], i)
		news := u.log(name, 1)
		found := false
		for range 2 {
			page := u.undelivered("export", 4)
			u.acknowledge("export", page...)
			found = found || slices.ContainsFunc(page, func(e storage.Entry) bool { return e.Organisation == name })
		}
		if !found {
			t.Fatalf("entry %d of %s waits behind two long logs", news[0].Position, name)
		}
	}
}

// deliveryAfterTrimming: what was trimmed is never delivered, and not in the way.
func deliveryAfterTrimming(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	u.undelivered("export", 10)
	all := u.log("acme", 6)
	for i := range 20 {
		u.log(fmt.Sprint("gone", i), 2)
	}
	u.acknowledge("export", all[0])
	u.trim(noon.Add(3*time.Minute), 0)
	for _, consumer := range []string{"export", "new"} {
		for range 2 {
			// A page of less than the organisations whose logs are gone.
			got := u.undelivered(consumer, 4)
			wantEntries(t, "delivered to "+consumer, got, all[3:])
		}
		u.acknowledge(consumer, all[4])
		wantEntries(t, "delivered to "+consumer, u.undelivered(consumer, 4), all[5:])
	}
	u.trim(noon.Add(time.Hour), 0)
	wantEntries(t, "after all was trimmed", u.undelivered("export", 4), nil)
	more := u.log("acme", 2)
	if more[0].Position <= all[5].Position {
		t.Errorf("position %d after %d was trimmed", more[0].Position, all[5].Position)
	}
	wantEntries(t, "after all was trimmed, and more came", u.undelivered("export", 4), more)
}

func fewConsumers(t testing.TB, s Operated) {
	u := upkeepOf(t, s)
	all := u.log("acme", 2)
	for i := range storage.MaxConsumers {
		name := fmt.Sprint("consumer ", i)
		if i%2 == 0 {
			u.undelivered(name, 1)
		}
		u.acknowledge(name, all[0])
	}
	_, err := s.Undelivered(t.Context(), "one more", 1)
	wantOther(t, "Undelivered of one more consumer", err)
	wantOther(t, "Acknowledge of one more consumer", s.Acknowledge(t.Context(), "one more", "acme", all[0].Position))
	for i := range storage.MaxConsumers {
		wantEntries(t, "one of the first", u.undelivered(fmt.Sprint("consumer ", i), 1), all[1:])
	}
}
