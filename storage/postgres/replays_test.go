package postgres_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestReplays(t *testing.T) {
	storagetest.RunReplays(t, func(t *testing.T) storage.Replays {
		return open(t, postgres.Config{URL: migrated.Database(t) + room})
	})
}

func TestReplaysPair(t *testing.T) {
	storagetest.RunReplaysPair(t, func(t *testing.T) (here, there storage.Replays) {
		url := migrated.Database(t) + room
		return open(t, postgres.Config{URL: url, Schema: "order", Prefix: "api_"}), open(t, postgres.Config{URL: url, Schema: "order", Prefix: "api_"})
	})
}
