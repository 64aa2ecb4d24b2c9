package postgres_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestUsage(t *testing.T) {
	storagetest.RunUsage(t, func(t *testing.T) storage.Usage {
		return open(t, postgres.Config{URL: migrated.Database(t) + room})
	})
}

func TestUsagePair(t *testing.T) {
	storagetest.RunUsagePair(t, func(t *testing.T) (here, there storage.Usage) {
		url := migrated.Database(t) + room
		return open(t, postgres.Config{URL: url}), open(t, postgres.Config{URL: url})
	})
}

// TestUsageInASchema: over the protocol that poolers like best.
func TestUsageInASchema(t *testing.T) {
	if testing.Short() {
		t.Skip("the whole suite once more")
	}
	storagetest.RunUsage(t, func(t *testing.T) storage.Usage {
		return open(t, postgres.Config{
			URL:    inSchema.Database(t) + room + "&default_query_exec_mode=simple_protocol",
			Schema: "order", Prefix: "api_",
		})
	})
}
