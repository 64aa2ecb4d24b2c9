package memory_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestReplays(t *testing.T) {
	storagetest.RunReplays(t, func(*testing.T) storage.Replays { return memory.New() })
}
