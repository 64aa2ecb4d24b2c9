package postgres_test

import (
	"testing"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestOperator(t *testing.T) {
	storagetest.RunOperator(t, func(t *testing.T) storagetest.Operated {
		return open(t, postgres.Config{URL: pgtest.Database(t) + room})
	})
}

func TestOperatorPair(t *testing.T) {
	storagetest.RunOperatorPair(t, func(t *testing.T) (here, there storagetest.Operated) {
		url := pgtest.Database(t) + room
		return open(t, postgres.Config{URL: url}), open(t, postgres.Config{URL: url})
	})
}
