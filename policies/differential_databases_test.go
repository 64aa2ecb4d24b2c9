package policies_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/strikeplate/strikeplate/internal/mariatest"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/policies"
)

// differentialResources are the resources of the sets. Nullable columns are of
// each type, one relation's table has NULL in it.
func differentialResources() []policies.Resource {
	return []policies.Resource{
		{
			Name: "meetings",
			Columns: map[string]policies.Column{
				"organisation": {NotNull: true}, "environment": {}, "owner": {SQL: "owner_id", Nondeterministic: true}, "creator": {SQL: "{table}.creator_id"},
				"title": {NotNull: true}, "kind": {NotNull: true}, "private": {Type: policies.Bool}, "archived": {Type: policies.Bool, NotNull: true},
				"level": {Type: policies.Integer}, "size": {Type: policies.Integer, NotNull: true},
			},
			Relations: map[string]policies.Relation{
				"participants": {From: "participants AS p", On: "p.meeting = {table}.id", Value: "p.person", Nondeterministic: true},
				"watchers":     {From: "watchers", On: "watchers.meeting = {table}.id", Value: "watchers.person"},
			},
		},
		{Name: "transcripts", Inherits: "meetings"},
	}
}

// Collations that ignore case, accents or trailing spaces, wherever one can be
// declared: what compares by them finds too much.
var differentialSchemas = map[string][]string{
	policies.PostgreSQL: {
		`CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)`,
		`CREATE TABLE meetings (id int PRIMARY KEY, organisation text NOT NULL, environment text, owner_id text COLLATE loose, creator_id varchar(500) COLLATE "en-x-icu",
			title text COLLATE "en-x-icu" NOT NULL, kind text NOT NULL, private boolean, archived boolean NOT NULL, level bigint, size bigint NOT NULL)`,
		`CREATE TABLE participants (meeting int NOT NULL, person text COLLATE loose)`,
		`CREATE TABLE watchers (meeting int NOT NULL, person text COLLATE "en-x-icu")`,
	},
	policies.SQLite: {
		`CREATE TABLE meetings (id INTEGER PRIMARY KEY, organisation TEXT COLLATE NOCASE NOT NULL, environment TEXT COLLATE NOCASE, owner_id TEXT COLLATE NOCASE, creator_id TEXT COLLATE RTRIM,
			title TEXT NOT NULL, kind TEXT COLLATE RTRIM NOT NULL, private BOOLEAN, archived BOOLEAN NOT NULL, level INTEGER, size INTEGER NOT NULL)`,
		`CREATE TABLE participants (meeting INTEGER NOT NULL, person TEXT COLLATE NOCASE)`,
		`CREATE TABLE watchers (meeting INTEGER NOT NULL, person TEXT)`,
	},
	policies.MySQL: {
		`CREATE TABLE meetings (id INT PRIMARY KEY, organisation VARCHAR(500) NOT NULL, environment VARCHAR(500), owner_id VARCHAR(500) COLLATE utf8mb4_general_ci, creator_id VARCHAR(500) COLLATE utf8mb4_unicode_ci,
			title VARCHAR(500) COLLATE utf8mb4_bin NOT NULL, kind VARCHAR(500) NOT NULL, private BOOLEAN, archived BOOLEAN NOT NULL, level BIGINT, size BIGINT NOT NULL)`,
		`CREATE TABLE participants (meeting INT NOT NULL, person VARCHAR(500))`,
		`CREATE TABLE watchers (meeting INT NOT NULL, person VARCHAR(500) COLLATE utf8mb4_unicode_ci)`,
	},
}

// servers are those that are installed; tests skip without PostgreSQL or MariaDB.
func servers(t *testing.T) map[string]*sql.DB {
	t.Helper()
	all := map[string]*sql.DB{
		policies.SQLite:     openDB(t, "sqlite", "file:"+t.TempDir()+"/test.db?_pragma=synchronous(0)"),
		policies.PostgreSQL: openDB(t, "pgx", pgtest.Database(t)),
		policies.MySQL:      openDB(t, "mysql", mariatest.Start(t).DSN()),
	}
	all[policies.MySQL].SetMaxOpenConns(1) // the database is chosen by the session
	execDB(t, all[policies.MySQL], "CREATE DATABASE differential CHARACTER SET utf8mb4")
	execDB(t, all[policies.MySQL], "USE differential")
	for dialect, db := range all {
		for _, query := range differentialSchemas[dialect] {
			execDB(t, db, query)
		}
		execDB(t, db, "CREATE INDEX participants_meeting ON participants (meeting)")
		execDB(t, db, "CREATE INDEX watchers_meeting ON watchers (meeting)")
	}
	return all
}

func openDB(tb testing.TB, driver, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	return db
}

func execDB(tb testing.TB, db *sql.DB, query string, args ...any) {
	tb.Helper()
	if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
		tb.Fatalf("%.300s: %v", query, err)
	}
}

// placeholders are n from the first.
func placeholders(dialect string, first, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = "?"
		if dialect == policies.PostgreSQL {
			all[i] = fmt.Sprintf("$%d", first+i)
		}
	}
	return "(" + strings.Join(all, ", ") + ")"
}

// insertRows writes many rows by few statements.
func insertRows(tb testing.TB, dialect string, db *sql.DB, table string, rows [][]any) {
	tb.Helper()
	for len(rows) > 0 {
		n := min(len(rows), 200)
		var values []string
		var args []any
		for _, row := range rows[:n] {
			values = append(values, placeholders(dialect, len(args)+1, len(row)))
			args = append(args, row...)
		}
		execDB(tb, db, "INSERT INTO "+table+" VALUES "+strings.Join(values, ", "), args...)
		rows = rows[n:]
	}
}

var differentialColumns = []string{"organisation", "environment", "owner", "creator", "title", "kind", "private", "archived", "level", "size"}

// refill replaces the tables' content.
func refill(tb testing.TB, dialect string, db *sql.DB, rows []policies.Row) {
	tb.Helper()
	tables := map[string][][]any{}
	for id, row := range rows {
		line := []any{id}
		for _, name := range differentialColumns {
			line = append(line, row[name])
		}
		tables["meetings"] = append(tables["meetings"], line)
		for _, relation := range []string{"participants", "watchers"} {
			for _, person := range row[relation].([]string) {
				tables[relation] = append(tables[relation], []any{id, person})
			}
			tables[relation] = append(tables[relation], []any{id, nil}) // a member that is NULL is none
		}
	}
	for table, lines := range tables {
		execDB(tb, db, "DELETE FROM "+table)
		insertRows(tb, dialect, db, table, lines)
	}
	if dialect == policies.PostgreSQL {
		execDB(tb, db, "ANALYZE")
	}
}

// selected are the ids that a query returns.
func selected(db *sql.DB, query string, args ...any) (map[int]bool, error) {
	rows, err := db.QueryContext(context.Background(), query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[int]bool{}
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		found[id] = true
	}
	return found, rows.Err()
}
