package predicate_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/strikeplate/strikeplate/internal/mariatest"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/policies/predicate"
)

func TestMain(m *testing.M) { os.Exit(mariatest.Main(m)) }

// Tables whose collations find too much, wherever one can be declared.
var schemas = map[predicate.Dialect][]string{
	predicate.PostgreSQL: {
		`CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)`,
		`CREATE TABLE meetings (id int PRIMARY KEY, owner text COLLATE loose, creator varchar(100) COLLATE "en-x-icu", org text NOT NULL, kind text NOT NULL, private boolean, done boolean NOT NULL, level bigint, size bigint NOT NULL)`,
		`CREATE TABLE participants (meeting int NOT NULL, person text COLLATE "en-x-icu")`,
	},
	predicate.SQLite: {
		`CREATE TABLE meetings (id INTEGER PRIMARY KEY, owner TEXT COLLATE NOCASE, creator TEXT COLLATE RTRIM, org TEXT NOT NULL, kind TEXT NOT NULL COLLATE NOCASE, private BOOLEAN, done BOOLEAN NOT NULL, level INTEGER, size INTEGER NOT NULL)`,
		`CREATE TABLE participants (meeting INTEGER NOT NULL, person TEXT COLLATE NOCASE)`,
	},
	predicate.MySQL: {
		`CREATE TABLE meetings (id INT PRIMARY KEY, owner VARCHAR(100) COLLATE utf8mb4_general_ci, creator VARCHAR(100) COLLATE utf8mb4_unicode_ci, org VARCHAR(100) NOT NULL, kind VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, private BOOLEAN, done BOOLEAN NOT NULL, level BIGINT, size BIGINT NOT NULL)`,
		`CREATE TABLE participants (meeting INT NOT NULL, person VARCHAR(100))`,
	},
}

// databases are those that are installed.
func databases(t *testing.T) map[predicate.Dialect]*sql.DB {
	t.Helper()
	open := func(driver, dsn string) *sql.DB {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	all := map[predicate.Dialect]*sql.DB{}
	all[predicate.SQLite] = open("sqlite", "file:"+t.TempDir()+"/test.db")
	all[predicate.SQLite].SetMaxOpenConns(1)
	all[predicate.PostgreSQL] = open("pgx", pgtest.Start(t).URL())
	all[predicate.MySQL] = open("mysql", mariatest.Database(t))
	return all
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func ids(t *testing.T, db *sql.DB, query string, args ...any) []int {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s %q: %v", query, args, err)
	}
	defer rows.Close()
	var all []int
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s %q: %v", query, args, err)
	}
	return all
}

// marks are n placeholders from the first.
func marks(d predicate.Dialect, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = "?"
		if d == predicate.PostgreSQL {
			all[i] = fmt.Sprintf("$%d", i+1)
		}
	}
	return strings.Join(all, ", ")
}

func fill(t *testing.T, d predicate.Dialect, db *sql.DB, rows []predicate.Row) {
	t.Helper()
	for _, query := range schemas[d] {
		exec(t, db, query)
	}
	for id, row := range rows {
		args := []any{id}
		for _, c := range columns {
			args = append(args, row[c.Name])
		}
		exec(t, db, "INSERT INTO meetings (id, owner, creator, org, kind, private, done, level, size) VALUES ("+marks(d, len(args))+")", args...)
		for _, person := range row[relation].([]string) {
			exec(t, db, "INSERT INTO participants VALUES ("+marks(d, 2)+")", id, person)
		}
		exec(t, db, "INSERT INTO participants VALUES ("+marks(d, 2)+")", id, nil) // a member that is NULL is none
	}
}

// TestDatabasesAgree runs random predicates on random rows in real databases whose
// collations ignore case, accents and trailing spaces, and wants the rows that
// Eval selects.
func TestDatabasesAgree(t *testing.T) {
	const count = 600
	r := rand.New(rand.NewPCG(7, 3))
	rows := make([]predicate.Row, 150)
	for i := range rows {
		rows[i] = randomRow(r)
	}
	predicates := make([]predicate.Predicate, count)
	args := make([][]string, count)
	for i := range predicates {
		for {
			predicates[i] = randomPredicate(r, r.IntN(4))
			if _, constant := predicate.Simplify(predicates[i]).(predicate.Constant); !constant || i < 10 {
				break
			}
		}
		args[i] = []string{randomText(r), randomText(r)}
	}
	table := tableOf("m")
	table.Columns["owner"] = predicate.Expression{SQL: "m.owner", Nondeterministic: true}
	for d, db := range databases(t) {
		t.Run(string(d), func(t *testing.T) {
			fill(t, d, db, rows)
			some := 0
			for i, p := range predicates {
				var want []int
				for id, row := range rows {
					holds, err := predicate.Eval(p, row, args[i])
					if err != nil {
						t.Fatal(err)
					}
					if holds {
						want = append(want, id)
					}
				}
				q, err := predicate.Render(p, d, 1, table)
				if err != nil {
					t.Fatal(err)
				}
				values, err := q.Bind(args[i])
				if err != nil {
					t.Fatal(err)
				}
				for _, query := range []string{"SELECT m.id FROM meetings AS m WHERE " + q.Text + " ORDER BY m.id", "SELECT m.id FROM meetings AS m WHERE 1=1 AND " + q.Text + " AND 1=1 ORDER BY m.id"} {
					if got := ids(t, db, query, values...); !slices.Equal(got, want) {
						t.Fatalf("predicate %d\n%s\n%q\nselects %d, want %d", i, query, values, got, want)
					}
				}
				if len(want) > 0 && len(want) < len(rows) {
					some++
				}
			}
			if some < count/3 {
				t.Errorf("only %d of %d predicates tell rows apart", some, count)
			}
		})
	}
}
