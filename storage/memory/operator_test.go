package memory_test

import (
	"fmt"
	"testing"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestOperator(t *testing.T) {
	storagetest.RunOperator(t, func(*testing.T) storagetest.Operated { return memory.New() })
}

func TestOperatorPair(t *testing.T) {
	storagetest.RunOperatorPair(t, func(*testing.T) (here, there storagetest.Operated) {
		s := memory.New()
		return s, s
	})
}

// BenchmarkUndelivered: 100,000 organisations, and no news.
func BenchmarkUndelivered(b *testing.B) {
	s := memory.New()
	for i := range 100_000 {
		m := storage.Mutation{Audit: []storage.Entry{{Organisation: fmt.Sprint("org", i)}}}
		if err := s.Commit(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
	for {
		page, err := s.Undelivered(b.Context(), "export", 10_000)
		if err != nil {
			b.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if err := s.Acknowledge(b.Context(), "export", e.Organisation, e.Position); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		if page, err := s.Undelivered(b.Context(), "export", 1000); len(page) != 0 || err != nil {
			b.Fatal(len(page), err)
		}
	}
}
