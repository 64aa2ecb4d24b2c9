package memory_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestUsage(t *testing.T) {
	storagetest.RunUsage(t, func(*testing.T) storage.Usage { return memory.New() })
}

func TestUsagePair(t *testing.T) {
	storagetest.RunUsagePair(t, func(*testing.T) (here, there storage.Usage) {
		s := memory.New()
		return s, s
	})
}
