package sqlite_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestUsage(t *testing.T) {
	storagetest.RunUsage(t, func(t *testing.T) storage.Usage {
		return open(t, sqlite.Config{Path: file(t), Prefix: "other_"})
	})
}

func TestUsagePair(t *testing.T) {
	storagetest.RunUsagePair(t, func(t *testing.T) (here, there storage.Usage) {
		path := file(t)
		return open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
	})
}
