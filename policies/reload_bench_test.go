package policies_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/policies"
)

// BenchmarkDecideWhileReloading is a fresh decision while policies are read,
// compiled and swapped ten times a second, beside the same decision while nothing
// is. It reports the 99th percentile of both, of many short turns.
func BenchmarkDecideWhileReloading(b *testing.B) {
	dir := b.TempDir()
	write(b, dir+"/a.rego", "package policies.scopes\n\ndeny[\"never\"] := \"never\" if input.route.pattern == \"nowhere\"\n")
	e := engine(b, policies.Config{Source: policies.Source{Dir: dir}, Remember: -1})
	ctx, q := routed(b)
	decide := func() time.Duration {
		start := time.Now()
		if d, err := e.Authorize(ctx, q); err != nil || !d.Allowed {
			b.Fatal(d, err)
		}
		return time.Since(start)
	}
	var quiet, reloading []time.Duration
	for b.Loop() {
		for until := time.Now().Add(100 * time.Millisecond); time.Now().Before(until); {
			quiet = append(quiet, decide())
		}
		loaded := make(chan error, 1)
		go func() { loaded <- e.Reload(context.Background()) }()
		for until := time.Now().Add(100 * time.Millisecond); time.Now().Before(until); {
			reloading = append(reloading, decide())
		}
		if err := <-loaded; err != nil {
			b.Fatal(err)
		}
	}
	p99 := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)*99/100].Nanoseconds())
	}
	b.ReportMetric(p99(quiet), "quiet-p99-ns")
	b.ReportMetric(p99(reloading), "reloading-p99-ns")
	b.ReportMetric(p99(reloading)/p99(quiet), "reloading/quiet")
}
