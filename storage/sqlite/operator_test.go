package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestOperator(t *testing.T) {
	storagetest.RunOperator(t, func(t *testing.T) storagetest.Operated {
		return open(t, sqlite.Config{Path: copied(t, withPrefix), Prefix: "other_"})
	})
}

func TestOperatorPair(t *testing.T) {
	storagetest.RunOperatorPair(t, func(t *testing.T) (here, there storagetest.Operated) {
		path := copied(t, migrated)
		return open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
	})
}

// TestUpgrade: ten instances at once bring a file of the first release up to
// date. What a process of that release writes afterwards is delivered.
func TestUpgrade(t *testing.T) {
	path := file(t)
	first := raw(t, path)
	text, err := fs.ReadFile(sqlite.Migrations(), "0001_keys.sql")
	if err != nil {
		t.Fatal(err)
	}
	execute(t, first, "PRAGMA journal_mode = WAL")
	execute(t, first, "BEGIN;"+string(text)+";COMMIT")
	const key = `INSERT INTO strikeplate_keys VALUES ('k' || ?, 'lookup-k' || ?, '', 'org' || ?, '', '', '', 'live', '', '[]', '', '',
		'[]', '{}', 'hash', NULL, 1, 1, 0, NULL, NULL, '')`
	const entry = `INSERT INTO strikeplate_audit (organisation, actor_user, actor_organisation, actor_role, actor_scopes, actor_client,
		action, target, at, before, after) VALUES ('org' || ?, '', '', '', '[]', '192.0.2.1', 'key.created', '', 0, NULL, NULL)`
	for i := range 30 {
		execute(t, first, key, i, i, i)
		execute(t, first, entry, i)
		execute(t, first, entry, i)
	}

	var stores [10]*sqlite.Store
	errs := make([]error, len(stores))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range stores {
		all.Go(func() {
			<-start
			stores[i], errs[i] = sqlite.Open(t.Context(), sqlite.Config{Path: path})
		})
	}
	close(start)
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, s := range stores {
		t.Cleanup(func() { s.Close(context.Background()) })
	}
	drain(t, stores[0], "export", 60)
	execute(t, first, entry, 7)
	execute(t, first, entry, 99)
	drain(t, stores[1], "export", 2)
	drain(t, stores[2], "heard of later", 62)
	if n, err := stores[3].ForgetAddresses(t.Context(), noon, 0); n != 62 || err != nil {
		t.Errorf("forgot %d addresses, %v; want 62", n, err)
	}
	for i := range 30 {
		if _, err := stores[4].Key(t.Context(), fmt.Sprint("org", i), fmt.Sprint("k", i)); err != nil {
			t.Errorf("key %d after the upgrade: %v", i, err)
		}
	}
}

func execute(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// drain acknowledges all that waits, and fails unless that are want entries.
func drain(t testing.TB, s *sqlite.Store, consumer string, want int) {
	t.Helper()
	got := 0
	for {
		page, err := s.Undelivered(t.Context(), consumer, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if err := s.Acknowledge(t.Context(), consumer, e.Organisation, e.Position); err != nil {
				t.Fatal(err)
			}
			got++
		}
	}
	if got != want {
		t.Errorf("%s was given %d entries, want %d", consumer, got, want)
	}
}

// TestPlans: the upkeep's queries go by their indexes.
func TestPlans(t *testing.T) {
	path := file(t)
	open(t, sqlite.Config{Path: path})
	db := raw(t, path)
	for _, q := range []struct{ query, index string }{
		{`SELECT organisation FROM strikeplate_deliveries WHERE consumer = ?1 AND acknowledged < newest
			AND organisation > ?2 ORDER BY organisation LIMIT ?3`, "strikeplate_deliveries_behind (consumer=? AND organisation>?)"},
		{`SELECT position FROM strikeplate_audit WHERE at < ? ORDER BY at, position LIMIT ?`, "COVERING INDEX strikeplate_audit_oldest"},
		{`SELECT position FROM strikeplate_audit WHERE at < ? AND actor_client <> '' ORDER BY at, position LIMIT ?`, "INDEX strikeplate_audit_addresses"},
		{`DELETE FROM strikeplate_users WHERE organisation = ?`, "strikeplate_users_organisation"},
		{`DELETE FROM strikeplate_keys WHERE organisation = ?`, "strikeplate_keys_newest"},
	} {
		if text := plan(t, db, q.query); !strings.Contains(text, q.index) || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("not by %s:\n%s", q.index, text)
		}
	}
}

func plan(t testing.TB, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, "", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var text strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		text.WriteString(step + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// BenchmarkUndelivered: 100,000 organisations, and no news; then one entry of
// one of them, with its acknowledgement and the commit of the next.
func BenchmarkUndelivered(b *testing.B) {
	path := file(b)
	s := open(b, sqlite.Config{Path: path})
	db := raw(b, path)
	execute(b, db, `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 299999)
		INSERT INTO strikeplate_audit (organisation, actor_user, actor_organisation, actor_role, actor_scopes, actor_client,
		action, target, at, before, after) SELECT 'org' || (i % 100000), 'u1', '', '', '[]', '', 'key.created', '', 0, NULL, NULL FROM n`)
	began := time.Now()
	if page, err := s.Undelivered(b.Context(), "export", 1); len(page) != 1 || err != nil {
		b.Fatal(len(page), err)
	}
	b.Logf("the first call of a new consumer took %v", time.Since(began))
	execute(b, db, `INSERT INTO strikeplate_deliveries SELECT organisation, 'export', 0, max(position) FROM strikeplate_audit
		WHERE TRUE GROUP BY organisation ON CONFLICT DO NOTHING`)
	execute(b, db, `UPDATE strikeplate_deliveries SET acknowledged = newest`)
	execute(b, db, `UPDATE strikeplate_consumers SET filled = NULL`)
	b.Run("idle", func(b *testing.B) {
		for b.Loop() {
			if page, err := s.Undelivered(b.Context(), "export", 1000); len(page) != 0 || err != nil {
				b.Fatal(len(page), err)
			}
		}
	})
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			news := storage.Mutation{Now: noon, Audit: []storage.Entry{{Organisation: "org777", At: noon}}}
			if err := s.Commit(b.Context(), news); err != nil {
				b.Fatal(err)
			}
			page, err := s.Undelivered(b.Context(), "export", 1000)
			if len(page) != 1 || err != nil {
				b.Fatal(len(page), err)
			}
			if err := s.Acknowledge(b.Context(), "export", "org777", page[0].Position); err != nil {
				b.Fatal(err)
			}
		}
	})
}
