package storagetest

import (
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// counted drives a store and fails the test where it must not fail.
type counted struct {
	t testing.TB
	s storage.Usage
	// sequences count the batches of each instance.
	sequences map[string]uint64
}

func countedBy(t testing.TB, s storage.Usage) *counted {
	return &counted{t: t, s: s, sequences: make(map[string]uint64)}
}

// next gives a batch the next sequence of an instance.
func (c *counted) next(instance string, b storage.UsageBatch) storage.UsageBatch {
	c.sequences[instance]++
	b.Instance, b.Sequence = instance, c.sequences[instance]
	if b.Now.IsZero() {
		b.Now = noon
	}
	if b.Every == 0 {
		b.Every = 10 * time.Second
	}
	if b.Until.IsZero() {
		b.Until = b.Now
	}
	return b
}

func (c *counted) send(b storage.UsageBatch) {
	c.t.Helper()
	if err := c.s.AddUsage(c.t.Context(), b); err != nil {
		c.t.Fatalf("AddUsage of batch %d of %s: %v", b.Sequence, b.Instance, err)
	}
}

func (c *counted) add(rows ...storage.UsageRow) {
	c.t.Helper()
	c.send(c.next("i1", storage.UsageBatch{Rows: rows}))
}

func usageKey(organisation, credential string) storage.UsageKey {
	return storage.UsageKey{Organisation: organisation, Credential: credential, Lineage: "line of " + credential, Environment: strikeplate.Live}
}

// requests are n requests with a status class, of 20 ms each.
func requests(class, n int) storage.UsageCounts {
	var c storage.UsageCounts
	c.Class[class] = int64(n)
	if class > 0 {
		c.Latency[1] = int64(n)
		c.Nanoseconds = int64(n) * int64(20*time.Millisecond)
	}
	return c
}

func row(k storage.UsageKey, pattern string, at time.Time, class, n int) storage.UsageRow {
	return storage.UsageRow{UsageKey: k, Pattern: pattern, Minute: at, UsageCounts: requests(class, n)}
}

// around is a query of a step that has noon in its range, and all that these
// cases count.
func around(organisation string, step storage.UsageStep) storage.UsageQuery {
	reach := min(90*24*time.Hour, step.Width()*storage.MaxUsageBuckets/2)
	return storage.UsageQuery{Organisation: organisation, From: noon.Add(-reach), To: noon.Add(reach), Step: step}
}

func of(q storage.UsageQuery, lineage, credential string) storage.UsageQuery {
	q.Lineage, q.Credential = lineage, credential
	return q
}

func (c *counted) series(q storage.UsageQuery) []storage.UsagePoint {
	c.t.Helper()
	points, err := c.s.UsageSeries(c.t.Context(), q)
	if err != nil {
		c.t.Fatalf("UsageSeries(%+v): %v", q, err)
	}
	return points
}

func (c *counted) endpoints(q storage.UsageQuery) []storage.UsageEndpoint {
	c.t.Helper()
	all, err := c.s.UsageEndpoints(c.t.Context(), q)
	if err != nil {
		c.t.Fatalf("UsageEndpoints(%+v): %v", q, err)
	}
	return all
}

func (c *counted) addresses(q storage.UsageQuery) []storage.UsageAddress {
	c.t.Helper()
	all, err := c.s.UsageAddresses(c.t.Context(), q)
	if err != nil {
		c.t.Fatalf("UsageAddresses(%+v): %v", q, err)
	}
	return all
}

func (c *counted) refusals(q storage.UsageQuery) []storage.UsageRefusal {
	c.t.Helper()
	all, err := c.s.UsageRefusals(c.t.Context(), q)
	if err != nil {
		c.t.Fatalf("UsageRefusals(%+v): %v", q, err)
	}
	return all
}

func (c *counted) credentials(organisation string, ids ...string) map[string]storage.UsageSeen {
	c.t.Helper()
	found, err := c.s.UsageOfCredentials(c.t.Context(), organisation, ids)
	if err != nil {
		c.t.Fatalf("UsageOfCredentials: %v", err)
	}
	return found
}

func (c *counted) lineages(organisation string, names ...string) map[string]storage.UsageSeen {
	c.t.Helper()
	found, err := c.s.UsageOfLineages(c.t.Context(), organisation, names)
	if err != nil {
		c.t.Fatalf("UsageOfLineages: %v", err)
	}
	return found
}

func (c *counted) completeSince(organisation string, now time.Time) time.Time {
	c.t.Helper()
	since, err := c.s.UsageCompleteSince(c.t.Context(), organisation, now)
	if err != nil {
		c.t.Fatalf("UsageCompleteSince: %v", err)
	}
	return since
}

// total is the sum of all that an organisation did.
func (c *counted) total(organisation string) storage.UsageCounts {
	c.t.Helper()
	var sum storage.UsageCounts
	for _, p := range c.series(around(organisation, storage.PerDay)) {
		sum.Add(p.UsageCounts)
	}
	return sum
}

func (c *counted) want(what string, want, got any) {
	c.t.Helper()
	if d := diff(want, got); d != "" {
		c.t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}
