package fleet_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An hour's load in ten minutes: instances are asked, keys made, renamed, revoked and
// expired, and connections lost, six times as often as in the hour that it stands for.
const (
	soakFactor = 6
	soakPace   = 10 * time.Millisecond // so an hour's is one request in 60 ms and instance
	soakReset  = time.Minute           // in an hour: each six minutes
)

// TestSoak: under load, revocations and lost connections for long, no instance grows:
// neither the memory in use after a collection, nor what the system gave it, nor its
// goroutines. The first quarter is left out: caches fill then.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("only with -soak, such as -soak 10m")
	}
	f := startFleet(t, plan{program: build(t), instances: 2, pace: soakPace})
	began := time.Now()
	reset := began
	samples := make([][]sample, len(f.members))
	for time.Since(began) < *soak {
		var fault func()
		if m := f.members[1]; time.Since(reset) >= soakReset {
			reset = time.Now()
			fault = func() { m.postgres.reset(t); m.redis.reset(t) }
		}
		f.revocation(t, f.members[0], fault)
		f.members[1].postgres.heal()
		f.members[1].redis.heal()
		for i, m := range f.members {
			if fault == nil { // else connections are still being made
				samples[i] = append(samples[i], take(t, m))
			}
		}
	}
	f.deadStayDead(t)
	f.stop()
	lasted := time.Since(began)
	l := f.ledger
	t.Logf("%v: %d requests passed, %d keys revoked and as many expired, %.0f a second; as many as %v at a %dth of the rate",
		lasted.Round(time.Second), l.passed, l.revocations, float64(l.passed)/lasted.Seconds(), (lasted * soakFactor).Round(time.Minute), soakFactor)
	for i, m := range f.members {
		grown(m.name+"'s live heap", "KiB", samples[i], 0.1, 2048, func(s sample) float64 { return s.heap }).judge(t)
		grown(m.name+"'s resident memory", "KiB", samples[i], 0.15, 0, func(s sample) float64 { return s.resident }).judge(t)
		grown(m.name+"'s number of goroutines", "goroutines", samples[i], 0.1, 3, func(s sample) float64 { return s.goroutines }).judge(t)
	}
	f.audit(t)
	f.usage(t)
	l.judge(t)
}

// sample is an instance at a moment.
type sample struct{ heap, resident, goroutines float64 }

// take asks an instance, and Linux.
func take(t testing.TB, m *member) (s sample) {
	t.Helper()
	var tells struct {
		Goroutines float64 `json:"goroutines"`
		HeapBytes  float64 `json:"heap_bytes"`
	}
	if err := m.manage(t.Context(), http.MethodPost, "/demo/runtime", struct{}{}, &tells); err != nil {
		t.Fatal(err)
	}
	s.heap, s.goroutines = tells.HeapBytes/1024, tells.Goroutines
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if value, is := strings.CutPrefix(line, "VmRSS:"); is {
			s.resident, err = strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		}
	}
	if err != nil || s.resident == 0 {
		t.Fatal("no resident memory in /proc", err)
	}
	return s
}

// grown compares the last quarter with the second. What grows by less than a part, or
// by less than a few, is flat.
func grown(what, unit string, samples []sample, part, few float64, of func(sample) float64) verdict {
	var all []float64
	for _, s := range samples {
		all = append(all, of(s))
	}
	if len(all) < 8 {
		return verdict{false, what + " is flat", fmt.Sprintf("only %d samples", len(all))}
	}
	before, after := middle(all[len(all)/4:len(all)/2]), middle(all[len(all)*3/4:])
	return verdict{after-before <= max(part*before, few), what + " is flat",
		fmt.Sprintf("%.0f %s in the second quarter, %.0f in the last (%+.1f %%), %.0f at most; %d samples",
			before, unit, after, 100*(after/before-1), slices.Max(all), len(all))}
}

func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
