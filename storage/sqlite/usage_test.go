package sqlite_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestUsage(t *testing.T) {
	storagetest.RunUsage(t, func(t *testing.T) storage.Usage {
		return open(t, sqlite.Config{Path: copied(t, withPrefix), Prefix: "other_"})
	})
}

func TestUsagePair(t *testing.T) {
	storagetest.RunUsagePair(t, func(t *testing.T) (here, there storage.Usage) {
		path := copied(t, migrated)
		return open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
	})
}
