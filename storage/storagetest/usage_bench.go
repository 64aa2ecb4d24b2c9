package storagetest

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// BenchUsage asks a store what the pages of a console ask, and reports the
// fastest and the median time of the question that is slowest by it
// ("fastest-ms", "median-ms"); the log has all of them. On a machine that does
// other things too the fastest one tells what a question costs. The backend's benchmark has filled the store: organisations
// "org0" and so on, whose credentials "k0" and so on are spread over them, in
// turn, and have lineages of the same names, with use in the year before now.
func BenchUsage(b *testing.B, s storage.Usage, organisations, keys int, now time.Time) {
	b.Helper()
	questions := usageQuestions(now)
	took := make([][]time.Duration, len(questions))
	for n := 0; b.Loop(); n++ {
		// Far apart, so that each takes its own way down the index.
		k := n * 7919 % keys
		organisation, id := fmt.Sprint("org", k%organisations), fmt.Sprint("k", k)
		for i, q := range questions {
			began := time.Now()
			rows, err := q.ask(b.Context(), s, organisation, id)
			took[i] = append(took[i], time.Since(began))
			if err != nil {
				b.Fatalf("%s: %v", q.name, err)
			}
			if rows < q.least {
				b.Fatalf("%s: %d rows, want %d: the store is not filled", q.name, rows, q.least)
			}
		}
	}
	var fastest, median time.Duration
	var report strings.Builder
	for i, q := range questions {
		slices.Sort(took[i])
		first, middle, last := took[i][0], took[i][len(took[i])/2], took[i][len(took[i])-1]
		fastest, median = max(fastest, first), max(median, middle)
		fmt.Fprintf(&report, "%8.2f %8.2f %8.2f ms  %s\n", milliseconds(first), milliseconds(middle), milliseconds(last), q.name)
	}
	b.Logf("fastest, median and slowest of %d:\n%s", len(took[0]), report.String())
	b.ReportMetric(milliseconds(fastest), "fastest-ms")
	b.ReportMetric(milliseconds(median), "median-ms")
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

type usageQuestion struct {
	name  string
	least int // rows
	ask   func(ctx context.Context, s storage.Usage, organisation, id string) (int, error)
}

func usageQuestions(now time.Time) []usageQuestion {
	var all []usageQuestion
	for _, of := range []struct {
		name string
		step storage.UsageStep
		back time.Duration
	}{{"24 hours by minute", storage.PerMinute, 24 * time.Hour}, {"15 days by hour", storage.PerHour, 15 * 24 * time.Hour}, {"a year by day", storage.PerDay, 365 * 24 * time.Hour}} {
		for _, who := range []string{"organisation", "lineage", "credential"} {
			query := func(organisation, id string) storage.UsageQuery {
				q := storage.UsageQuery{Organisation: organisation, From: now.Add(-of.back), To: now, Step: of.step}
				switch who {
				case "lineage":
					q.Lineage = id
				case "credential":
					q.Credential = id
				}
				return q
			}
			points := int(of.back / of.step.Width() / 2)
			all = append(all, usageQuestion{of.name + ", series of the " + who, points, func(ctx context.Context, s storage.Usage, organisation, id string) (int, error) {
				found, err := s.UsageSeries(ctx, query(organisation, id))
				return len(found), err
			}}, usageQuestion{of.name + ", endpoints of the " + who, cmp.Or(map[storage.UsageStep]int{storage.PerHour: 2, storage.PerDay: 2}[of.step], 0), func(ctx context.Context, s storage.Usage, organisation, id string) (int, error) {
				found, err := s.UsageEndpoints(ctx, query(organisation, id))
				return len(found), err
			}})
		}
	}
	return append(all,
		usageQuestion{"addresses", 1, func(ctx context.Context, s storage.Usage, organisation, id string) (int, error) {
			found, err := s.UsageAddresses(ctx, storage.UsageQuery{Organisation: organisation, Lineage: id})
			return len(found), err
		}},
		usageQuestion{"refusals in 30 days", 1, func(ctx context.Context, s storage.Usage, organisation, _ string) (int, error) {
			found, err := s.UsageRefusals(ctx, storage.UsageQuery{Organisation: organisation, From: now.Add(-30 * 24 * time.Hour), To: now, Step: storage.PerDay})
			return len(found), err
		}},
		usageQuestion{"refusals in 24 hours", 1, func(ctx context.Context, s storage.Usage, organisation, _ string) (int, error) {
			found, err := s.UsageRefusals(ctx, storage.UsageQuery{Organisation: organisation, From: now.Add(-24 * time.Hour), To: now, Step: storage.PerHour})
			return len(found), err
		}},
		usageQuestion{"last use of 20 credentials", 1, func(ctx context.Context, s storage.Usage, organisation, id string) (int, error) {
			found, err := s.UsageOfCredentials(ctx, organisation, twenty(id))
			return len(found), err
		}},
		usageQuestion{"last use of 20 lineages", 1, func(ctx context.Context, s storage.Usage, organisation, id string) (int, error) {
			found, err := s.UsageOfLineages(ctx, organisation, twenty(id))
			return len(found), err
		}},
		usageQuestion{"last used", 1, func(ctx context.Context, s storage.Usage, _, id string) (int, error) {
			found, err := s.LastUsed(ctx, twenty(id))
			return len(found), err
		}},
		usageQuestion{"complete since", 0, func(ctx context.Context, s storage.Usage, organisation, _ string) (int, error) {
			_, err := s.UsageCompleteSince(ctx, organisation, now)
			return 0, err
		}},
	)
}

func twenty(id string) []string {
	names := []string{id}
	for i := range 19 {
		names = append(names, fmt.Sprint("k", i))
	}
	return names
}

// BenchAddUsage adds full batches: of 100 credentials on 10 routes each.
func BenchAddUsage(b *testing.B, s storage.Usage) {
	b.Helper()
	c := countedBy(b, s)
	for n := 0; b.Loop(); n++ {
		var batch storage.UsageBatch
		for i := range storage.MaxUsageRows {
			k := usageKey(fmt.Sprint("org", i%5), fmt.Sprint("k", i%100))
			batch.Rows = append(batch.Rows, row(k, fmt.Sprint("GET /", i/100), noon.Add(time.Duration(n)*time.Second), 2, 1))
			if i < 100 {
				batch.Seen = append(batch.Seen, storage.UsageSeen{UsageKey: k, First: noon, Succeeded: noon, Presented: noon})
				batch.Addresses = append(batch.Addresses, storage.UsageAddress{UsageKey: k, Address: netip.MustParseAddr("192.0.2.1"), Count: 10, First: noon, Last: noon})
			}
		}
		c.send(c.next("i1", batch))
	}
}
