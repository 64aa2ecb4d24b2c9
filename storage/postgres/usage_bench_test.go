package postgres_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// TestUsagePlans: each question and each piece of upkeep has an index to go by,
// whatever its arguments are.
func TestUsagePlans(t *testing.T) {
	db := pgtest.Database(t)
	open(t, postgres.Config{URL: db})
	c := connect(t, db)
	// The planner reads small tables whole where it may. Where it may not, a plan
	// that still does has no index.
	execute(t, c, "SET enable_seqscan = off")
	execute(t, c, "SET plan_cache_mode = force_generic_plan")
	seqScan := regexp.MustCompile(`Seq Scan on strikeplate_usage_(series|endpoints|refusals|addresses|keys)`)
	i := 0
	for text, n := range postgres.UsageQueries() {
		i++
		execute(t, c, fmt.Sprintf("PREPARE q%d AS %s", i, text))
		rows, err := c.Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE q%d (%s)", i, strings.TrimSuffix(strings.Repeat("NULL,", n), ",")), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		plan := strings.Join(lines, "\n")
		if seqScan.MatchString(plan) || !strings.Contains(plan, "Index") {
			t.Errorf("%s\n%s", text, plan)
		}
	}
}

// BenchmarkUsagePages: 10,000,000 rows of history.
func BenchmarkUsagePages(b *testing.B) {
	if testing.Short() {
		b.Skip("takes minutes to fill")
	}
	db := pgtest.Database(b)
	s := open(b, postgres.Config{URL: db})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	began := time.Now()
	rows := fillUsage(b, connect(b, db), now)
	b.Logf("%d rows in %v", rows, time.Since(began).Round(time.Second))
	storagetest.BenchUsage(b, s, usageOrganisations, usageKeys, now)
}

const (
	usageOrganisations = 20
	usageKeys          = 1000
)

// fillUsage makes a year of use, of 1,000 credentials and of 20 organisations, in
// the order of time, so that a credential's rows are as scattered as in life. The
// indexes are made again when the rows are there, which is faster.
func fillUsage(b *testing.B, c *pgx.Conn, now time.Time) (total int64) {
	b.Helper()
	execute(b, c, `INSERT INTO strikeplate_usage_keys (organisation, total, credential, lineage, environment, touched, first_seen, succeeded, presented)
		SELECT 'org' || i % 20, false, 'k' || i, 'k' || i, 'live', $1, $1, $1, $1 FROM generate_series(0, 999) AS i`, now)
	execute(b, c, `INSERT INTO strikeplate_usage_keys (organisation, total, credential, lineage, environment, touched)
		SELECT 'org' || i, true, 'live', '', 'live', $1 FROM generate_series(0, 19) AS i`, now)
	execute(b, c, `INSERT INTO strikeplate_usage_names (organisation, name, touched)
		SELECT 'org' || i % 20, 'GET /v1/' || i, $1 FROM generate_series(0, 99) AS i`, now)
	execute(b, c, `INSERT INTO strikeplate_usage_state VALUES (true, $1, $1)`, now)
	const counts = `0, 0, 30 + (k.id * i) % 40, 1, 2, 1, 10, 10, 10, 3, 1, 0, 123456789`
	minute := storage.UsageMinute(now)
	filled := func(table string, fill func()) {
		var key string
		if err := c.QueryRow(b.Context(), `SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1`, "strikeplate_usage_"+table+"_pkey").Scan(&key); err != nil {
			b.Fatal(err)
		}
		execute(b, c, `ALTER TABLE strikeplate_usage_`+table+` DROP CONSTRAINT strikeplate_usage_`+table+`_pkey`)
		fill()
		execute(b, c, `ALTER TABLE strikeplate_usage_`+table+` ADD CONSTRAINT strikeplate_usage_`+table+`_pkey `+key)
		execute(b, c, `VACUUM ANALYZE strikeplate_usage_`+table)
	}
	buckets := func(table, columns string, step, n int, width int64, patterns int) {
		execute(b, c, fmt.Sprintf(`INSERT INTO strikeplate_usage_%s SELECT k.id, %d, $1::bigint - (%d - 1 - i) * $2::bigint, %s %s
			FROM generate_series(0, %d - 1) AS i CROSS JOIN strikeplate_usage_keys k CROSS JOIN generate_series(0, %d - 1) AS pattern`,
			table, step, n, columns, counts, n, patterns), minute-minute%width, width)
	}
	filled("series", func() {
		buckets("series", "", 3, 400, 1440, 1)
		buckets("series", "", 2, 2000, 60, 1)
		buckets("series", "", 1, 1440, 1, 1)
	})
	filled("endpoints", func() {
		buckets("endpoints", "1 + (pattern * 20 + k.id) % 100, ", 3, 400, 1440, 5)
		buckets("endpoints", "1 + (pattern * 20 + k.id) % 100, ", 2, 2000, 60, 2)
	})
	execute(b, c, `INSERT INTO strikeplate_usage_addresses SELECT k.id, '10.0.0.' || i, 7, $1, $1 FROM strikeplate_usage_keys k CROSS JOIN generate_series(0, 32) AS i`, now)
	execute(b, c, `INSERT INTO strikeplate_usage_refusals SELECT k.id, 2, $1::bigint - i * 60, 1 + k.id % 100, true, 7, $2
		FROM generate_series(0, 499) AS i CROSS JOIN strikeplate_usage_keys k`, minute-minute%60, now)
	execute(b, c, `INSERT INTO strikeplate_usage_refusals SELECT k.id, 3, $1::bigint - i * 1440, 1 + k.id % 100, true, 7, $2
		FROM generate_series(0, 99) AS i CROSS JOIN strikeplate_usage_keys k`, minute-minute%1440, now)
	execute(b, c, `VACUUM ANALYZE`)
	execute(b, c, `CHECKPOINT`)
	for _, table := range []string{"series", "endpoints", "addresses", "refusals"} {
		var n int64
		if err := c.QueryRow(b.Context(), `SELECT count(*) FROM strikeplate_usage_`+table).Scan(&n); err != nil {
			b.Fatal(err)
		}
		total += n
	}
	return total
}

// BenchmarkAddUsage: a batch of 1,000 rows.
func BenchmarkAddUsage(b *testing.B) {
	storagetest.BenchAddUsage(b, open(b, postgres.Config{URL: pgtest.Database(b)}))
}
