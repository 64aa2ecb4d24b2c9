package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
)

// TestMain lets a test start this binary as a server, as the program does itself.
func TestMain(m *testing.M) {
	if i := slices.Index(os.Args, "-serve"); i > 0 && i+1 < len(os.Args) {
		if err := serve(os.Args[i+1], ""); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// TestChains: what is compared does what it is compared for.
func TestChains(t *testing.T) {
	for name, newChain := range chains {
		t.Run(name, func(t *testing.T) {
			c, err := newChain()
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			status := func(authorization string) int {
				w := httptest.NewRecorder()
				c.handler.ServeHTTP(w, request(authorization))
				return w.Code
			}
			if len(c.allowed) != used {
				t.Errorf("%d credentials take turns, want %d", len(c.allowed), used)
			}
			for _, text := range []string{c.allowed[0], c.allowed[len(c.allowed)-1]} {
				if got := status(text); got != http.StatusOK {
					t.Errorf("a good credential: %d", got)
				}
			}
			if name == "bare" {
				return
			}
			if got := status(c.refused); got != http.StatusForbidden {
				t.Errorf("without the right: %d, want 403", got)
			}
			if got := status("Bearer nonsense"); got != http.StatusUnauthorized {
				t.Errorf("nonsense: %d, want 401", got)
			}
		})
	}
}

func TestLoopback(t *testing.T) {
	s, err := startRemote("strikeplate")
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	if err := s.round(3); err != nil {
		t.Error(err)
	}
	if len(s.rates) != 1 || s.rates[0] <= 0 || s.cpu[0] <= 0 || len(s.times) != 3*connections {
		t.Errorf("measured %v requests/s, %v ns, %d times", s.rates, s.cpu, len(s.times))
	}
}

// TestWarmAllocations holds the target that does not depend on the machine.
func TestWarmAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector empties pools at random")
	}
	c, err := chains["strikeplate"]()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	d := newDriver(c)
	if err := d.serve(1000); err != nil {
		t.Fatal(err)
	}
	if n, _ := d.allocations(5000); n > 8 {
		t.Errorf("a request through the warm chain allocates %.1f times, want 8 at most", n)
	}
}
