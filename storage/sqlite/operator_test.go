package sqlite_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage/sqlite"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestOperator(t *testing.T) {
	storagetest.RunOperator(t, func(t *testing.T) storagetest.Operated {
		return open(t, sqlite.Config{Path: file(t), Prefix: "other_"})
	})
}

func TestOperatorPair(t *testing.T) {
	storagetest.RunOperatorPair(t, func(t *testing.T) (here, there storagetest.Operated) {
		path := file(t)
		return open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
	})
}
