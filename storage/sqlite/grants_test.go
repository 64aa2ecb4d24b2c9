package sqlite_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage/sqlite"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestGrants(t *testing.T) {
	storagetest.RunGrants(t, func(t *testing.T) storagetest.Granting {
		return open(t, sqlite.Config{Path: file(t), Prefix: "other_"})
	})
}

func TestGrantsPair(t *testing.T) {
	storagetest.RunGrantsPair(t, func(t *testing.T) (here, there storagetest.Granting) {
		path := file(t)
		return open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
	})
}
