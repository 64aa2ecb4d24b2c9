package demo

import (
	"context"

	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

// Store is what each of the library's backends is.
type Store interface {
	storage.Keys
	storage.Audit
	storage.Apps
	storage.Grants
	storage.EditableDirectory
	storage.Feed
	storage.Operator
	storage.Usage
	storage.Replays
	Ready(ctx context.Context) error
	Close(ctx context.Context) error
}

func openStore(ctx context.Context, db string) (Store, error) {
	switch {
	case db == "":
		return memory.New(), nil
	case meetings.IsPostgreSQL(db):
		store, err := postgres.Open(ctx, postgres.Config{URL: db})
		if err != nil {
			return nil, err // and not a nil *Store that isn't nil
		}
		return store, nil
	default:
		store, err := sqlite.Open(ctx, sqlite.Config{Path: db})
		if err != nil {
			return nil, err
		}
		return store, nil
	}
}
