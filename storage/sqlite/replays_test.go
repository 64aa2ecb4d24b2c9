package sqlite_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestReplays(t *testing.T) {
	storagetest.RunReplays(t, func(t *testing.T) storage.Replays {
		return open(t, sqlite.Config{Path: copied(t, withPrefix), Prefix: "other_"})
	})
}

func TestReplaysPair(t *testing.T) {
	storagetest.RunReplaysPair(t, func(t *testing.T) (here, there storage.Replays) {
		path := copied(t, migrated)
		return open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
	})
}
