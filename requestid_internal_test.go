package strikeplate

import (
	"crypto/rand"
	"sync"
	"testing"
)

// TestRequestIDsDiffer, however many ask at once, and are of the form that is
// believed of others.
func TestRequestIDsDiffer(t *testing.T) {
	const workers, each = 8, 5000
	ids := make([][]string, workers)
	start := make(chan struct{})
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			<-start
			for range each {
				ids[w] = append(ids[w], newRequestID())
			}
		})
	}
	close(start)
	all.Wait()
	seen := make(map[string]bool, workers*each)
	letters := make(map[rune]int)
	for _, some := range ids {
		for _, id := range some {
			if seen[id] || len(id) != len(rand.Text()) || !validRequestID(id) {
				t.Fatalf("the id %q was given before, or is no id", id)
			}
			seen[id] = true
			for _, c := range id {
				letters[c]++
			}
		}
	}
	// Each of 32 letters is expected 30,000 times in 24 places and, but for the second
	// half, 5,000 times in the two that tell four bits.
	for i, c := range base32Alphabet {
		want := 30_000
		if i < 16 {
			want += 5000
		}
		if n := letters[c]; n < want-1500 || n > want+1500 {
			t.Errorf("%q stands in %d places, want about %d", c, n, want)
		}
	}
}

func BenchmarkRequestID(b *testing.B) {
	b.Run("batches", func(b *testing.B) {
		for b.Loop() {
			newRequestID()
		}
	})
	b.Run("rand.Text", func(b *testing.B) {
		for b.Loop() {
			rand.Text()
		}
	})
}
