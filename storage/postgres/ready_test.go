package postgres_test

import (
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage/postgres"
)

func TestReady(t *testing.T) {
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("a healthy store: %v", err)
	}
	execute(t, connect(t, db), "DELETE FROM strikeplate_schema")
	if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("tables that are too old: %v", err)
	}
	execute(t, connect(t, db), "DROP TABLE strikeplate_schema")
	if err := s.Ready(t.Context()); err == nil {
		t.Error("ready without tables")
	}
}

// TestReadyComparesClocks is THREATS 26. The session's search_path puts another
// clock before the database's own.
func TestReadyComparesClocks(t *testing.T) {
	for skew, ready := range map[string]bool{"4 seconds": true, "-4 seconds": true, "7 seconds": false, "-7 seconds": false} {
		t.Run(skew, func(t *testing.T) {
			db := pgtest.Database(t)
			execute(t, connect(t, db), `CREATE SCHEMA skewed; CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz
				LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '`+skew+`' $$`)
			s := open(t, postgres.Config{URL: db + "&search_path=skewed,pg_catalog,public", Schema: "public"})
			err := s.Ready(t.Context())
			if (err == nil) != ready {
				t.Errorf("Ready returned %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "clock") {
				t.Errorf("the error doesn't name the clock: %v", err)
			}
		})
	}
}

func TestReadyWithoutServer(t *testing.T) {
	server := pgtest.Start(t)
	s := open(t, postgres.Config{URL: server.URL()})
	server.Kill()
	if err := s.Ready(t.Context()); err == nil {
		t.Error("ready without a server")
	}
}
