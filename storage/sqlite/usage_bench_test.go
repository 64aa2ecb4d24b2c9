package sqlite_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// TestUsagePlans: no question and no piece of upkeep reads a whole table of
// counts. Retention alone reads all addresses, which are 32 of a credential.
func TestUsagePlans(t *testing.T) {
	path := file(t)
	open(t, sqlite.Config{Path: path})
	db := raw(t, path)
	seen := 0
	for _, text := range sqlite.UsageStatements() {
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, slicesOf(text)...)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		steps := details(t, rows)
		for line := range strings.Lines(steps) {
			seen++
			table := strings.Contains(line, "SCAN u") || strings.Contains(line, "SCAN k") ||
				strings.Contains(line, "SCAN strikeplate_usage_series") || strings.Contains(line, "SCAN strikeplate_usage_endpoints") || strings.Contains(line, "SCAN strikeplate_usage_refusals")
			if table {
				t.Errorf("%s\n%s", text, steps)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d steps in all plans: too few to tell", seen)
	}
}

func details(t testing.TB, rows *sql.Rows) string {
	t.Helper()
	defer rows.Close()
	var steps strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps.String()
}

// slicesOf are as many arguments as a text may have.
func slicesOf(text string) []any {
	n := strings.Count(text, "?")
	for i := 1; i <= 9; i++ { // numbered ones
		if strings.Contains(text, "?"+string(rune('0'+i))) {
			n = i
		}
	}
	args := make([]any, n)
	for i := range args {
		args[i] = 1
	}
	return args
}

// BenchmarkUsagePages: 10,000,000 rows of history.
func BenchmarkUsagePages(b *testing.B) {
	if testing.Short() {
		b.Skip("takes minutes to fill")
	}
	path := file(b)
	s := open(b, sqlite.Config{Path: path})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	began := time.Now()
	rows := fillUsage(b, path, now)
	b.Logf("%d rows in %v", rows, time.Since(began).Round(time.Second))
	storagetest.BenchUsage(b, s, usageOrganisations, usageKeys, now)
}

const (
	usageOrganisations = 20
	usageKeys          = 1000
)

// fillUsage makes a year of use, of 1,000 credentials and of 20 organisations.
func fillUsage(b *testing.B, path string, now time.Time) (rows int64) {
	b.Helper()
	db := raw(b, path)
	db.SetMaxOpenConns(1)
	execute(b, db, "PRAGMA synchronous = OFF")
	execute(b, db, "PRAGMA cache_size = -500000")
	defer indexedLater(b, db)()
	numbers := func(n string) string {
		return `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ` + n + `) `
	}
	execute(b, db, numbers("1000")+`INSERT INTO strikeplate_usage_keys (id, organisation, total, credential, lineage, environment, touched, first_seen, succeeded, presented)
		SELECT i + 1, 'org' || (i % 20), 0, 'k' || i, 'k' || i, 'live', ?1, ?1, ?1, ?1 FROM n`, now.UnixMicro())
	execute(b, db, numbers("20")+`INSERT INTO strikeplate_usage_keys (id, organisation, total, credential, lineage, environment, touched)
		SELECT i + 1001, 'org' || i, 1, 'live', '', 'live', ?1 FROM n`, now.UnixMicro())
	execute(b, db, numbers("100")+`INSERT INTO strikeplate_usage_names (id, organisation, name, touched)
		SELECT i + 1, 'org' || (i % 20), 'GET /v1/' || i, ?1 FROM n`, now.UnixMicro())
	execute(b, db, `INSERT INTO strikeplate_usage_state VALUES (1, ?1, ?1)`, now.UnixMicro())
	const counts = `0, 0, 30 + (key * bucket) % 40, 1, 2, 1, 10, 10, 10, 3, 1, 0, 123456789`
	minute := storage.UsageMinute(now)
	execute(b, db, "CREATE TEMP TABLE number (i INTEGER PRIMARY KEY)")
	execute(b, db, numbers("2000")+`INSERT INTO number SELECT i FROM n`)
	buckets := func(table, columns, step string, n, width int64, patterns int) {
		start := minute - minute%width
		execute(b, db, `INSERT INTO strikeplate_usage_`+table+` SELECT key, `+step+`, bucket, `+columns+counts+`
			FROM (SELECT k.id AS key, ?1 - (?4 - 1 - n.i) * ?2 AS bucket, p.i AS pattern FROM strikeplate_usage_keys k
			CROSS JOIN number n CROSS JOIN number p WHERE n.i < ?4 AND p.i < ?3)`, start, width, patterns, n)
	}
	buckets("series", "", "1", 1440, 1, 1)
	buckets("series", "", "2", 2000, 60, 1)
	buckets("series", "", "3", 400, 1440, 1)
	buckets("endpoints", "1 + (pattern * 20 + key) % 100, ", "2", 2000, 60, 2)
	buckets("endpoints", "1 + (pattern * 20 + key) % 100, ", "3", 400, 1440, 5)
	execute(b, db, numbers("33")+`INSERT INTO strikeplate_usage_addresses SELECT k.id, '10.0.0.' || i, 7, ?1, ?1 FROM strikeplate_usage_keys k CROSS JOIN n`, now.UnixMicro())
	execute(b, db, numbers("500")+`INSERT INTO strikeplate_usage_refusals SELECT k.id, 2, ?1 - i * 60, 1 + k.id % 100, 1, 7, ?2 FROM strikeplate_usage_keys k CROSS JOIN n`, minute-minute%60, now.UnixMicro())
	execute(b, db, numbers("100")+`INSERT INTO strikeplate_usage_refusals SELECT k.id, 3, ?1 - i * 1440, 1 + k.id % 100, 1, 7, ?2 FROM strikeplate_usage_keys k CROSS JOIN n`, minute-minute%1440, now.UnixMicro())
	for _, table := range []string{"series", "endpoints", "addresses", "refusals"} {
		var n int64
		if err := db.QueryRowContext(b.Context(), `SELECT count(*) FROM strikeplate_usage_`+table).Scan(&n); err != nil {
			b.Fatal(err)
		}
		rows += n
	}
	return rows
}

// indexedLater drops the indexes of retention and returns what makes them again,
// which is faster than to fill them row by row.
func indexedLater(b *testing.B, db *sql.DB) func() {
	b.Helper()
	var texts []string
	for _, name := range []string{"series", "endpoints", "refusals"} {
		var text string
		if err := db.QueryRowContext(b.Context(), `SELECT sql FROM sqlite_schema WHERE name = ?`, "strikeplate_usage_"+name+"_oldest").Scan(&text); err != nil {
			b.Fatal(err)
		}
		texts = append(texts, text)
		execute(b, db, "DROP INDEX strikeplate_usage_"+name+"_oldest")
	}
	return func() {
		for _, text := range texts {
			execute(b, db, text)
		}
		execute(b, db, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
}

// BenchmarkAddUsage: a batch of 1,000 rows.
func BenchmarkAddUsage(b *testing.B) {
	storagetest.BenchAddUsage(b, open(b, sqlite.Config{Path: file(b)}))
}
