// Package pairedtest compares two operations inside one benchmark, in turn, so that
// a machine whose speed drifts drifts for both.
package pairedtest

import (
	"slices"
	"testing"
	"time"
)

// round is how many calls of one operation stand together: enough for the clock
// to be no matter, few enough for the machine to be the same for both.
const round = 100

// Compare calls base and other in turn, each with a running number, and reports
// the median of the rounds: "base-ns/op", "other-ns/op", and "other/base", the
// median of the ratios round by round. One b.N is one round of both.
func Compare(b *testing.B, base, other func(n int)) {
	b.Helper()
	var bases, others, ratios []float64
	for n := 0; b.Loop(); n += round {
		x, y := timed(base, n), timed(other, n)
		bases, others, ratios = append(bases, x), append(others, y), append(ratios, y/x)
	}
	b.ReportMetric(median(bases), "base-ns/op")
	b.ReportMetric(median(others), "other-ns/op")
	b.ReportMetric(median(ratios), "other/base")
}

func timed(f func(int), from int) (nanoseconds float64) {
	began := time.Now()
	for n := range round {
		f(from + n)
	}
	return float64(time.Since(began).Nanoseconds()) / round
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
