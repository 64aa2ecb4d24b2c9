package fleet_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSoak: under load and revocations for long, no instance grows. What the
// instances do at the beginning is left out: caches fill then.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("only with -soak, such as -soak 10m")
	}
	f := startFleet(t, build(t, nil), 2)
	var resident, threads [2][]float64
	for began := time.Now(); time.Since(began) < *soak; {
		f.revocation(t, f.members[0], nil)
		for i, m := range f.members {
			kib, n, err := process(m)
			if err != nil {
				t.Fatal(err)
			}
			resident[i], threads[i] = append(resident[i], kib), append(threads[i], n)
		}
	}
	f.stop()
	for i, m := range f.members {
		growth := middle(second(resident[i]))/middle(first(resident[i])) - 1
		t.Logf("%s: %.0f KiB at first, %.0f at last (%+.1f %%), threads %.0f, then %.0f", m.name,
			middle(first(resident[i])), middle(second(resident[i])), 100*growth, middle(first(threads[i])), middle(second(threads[i])))
		if growth > 0.15 {
			t.Errorf("%s grew by %.0f %%", m.name, 100*growth)
		}
	}
	f.ledger.report(t, false)
}

// first and second are the second and the last quarter of what was measured.
func first(v []float64) []float64  { return v[len(v)/4 : max(len(v)/4+1, len(v)/2)] }
func second(v []float64) []float64 { return v[min(len(v)-1, len(v)*3/4):] }

func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// process reads what Linux says of an instance: resident memory, and threads.
func process(m *member) (kib, threads float64, err error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.PID()))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(line, ":")
		number, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch name {
		case "VmRSS":
			kib = number
		case "Threads":
			threads = number
		}
	}
	return kib, threads, nil
}
