package memory_test

import (
	"testing"

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
