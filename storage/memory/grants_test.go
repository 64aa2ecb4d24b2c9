package memory_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestGrants(t *testing.T) {
	storagetest.RunGrants(t, func(*testing.T) storagetest.Granting { return memory.New() })
}

func TestGrantsPair(t *testing.T) {
	storagetest.RunGrantsPair(t, func(*testing.T) (here, there storagetest.Granting) {
		s := memory.New()
		return s, s
	})
}
