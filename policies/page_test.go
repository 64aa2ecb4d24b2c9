package policies_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/policies"
)

// pageSchema is a table of meetings with the indexes that the README advises: the
// columns of the walls, then the order of the list; and for users' own meetings
// the owner likewise. A relation has an index either way.
var pageSchema = map[string][]string{
	policies.PostgreSQL: {
		`CREATE TABLE meetings (id bigint PRIMARY KEY, organisation text NOT NULL, environment text NOT NULL, owner text, private boolean NOT NULL, start bigint NOT NULL, title text NOT NULL)`,
		`CREATE TABLE participants (meeting_id bigint NOT NULL, user_id text NOT NULL, PRIMARY KEY (meeting_id, user_id))`,
	},
	policies.SQLite: {
		`CREATE TABLE meetings (id INTEGER PRIMARY KEY, organisation TEXT NOT NULL, environment TEXT NOT NULL, owner TEXT, private BOOLEAN NOT NULL, start INTEGER NOT NULL, title TEXT NOT NULL)`,
		`CREATE TABLE participants (meeting_id INTEGER NOT NULL, user_id TEXT NOT NULL, PRIMARY KEY (meeting_id, user_id)) WITHOUT ROWID`,
	},
}

var pageIndexes = []string{
	`CREATE INDEX meetings_page ON meetings (organisation, environment, start DESC, id DESC)`,
	`CREATE INDEX participants_user ON participants (user_id, meeting_id)`,
	`CREATE INDEX meetings_owner ON meetings (organisation, environment, owner, start DESC, id DESC)`,
	`ANALYZE`,
}

func pageResources() []policies.Resource {
	return []policies.Resource{{
		Name: "meetings", Table: "meetings",
		Columns: map[string]policies.Column{
			"organisation": {NotNull: true}, "environment": {NotNull: true}, "owner": {}, "private": {Type: policies.Bool, NotNull: true},
		},
		Relations: map[string]policies.Relation{
			"participants": {From: "participants AS p", On: "p.meeting_id = {table}.id", Value: "p.user_id"},
		},
	}}
}

// pageDatabase has meetings of ten organisations of ten users each.
func pageDatabase(tb testing.TB, dialect string, meetings int) *sql.DB {
	tb.Helper()
	var db *sql.DB
	if dialect == policies.PostgreSQL {
		db = openDB(tb, "pgx", pgtest.Database(tb))
	} else {
		db = openDB(tb, "sqlite", "file:"+tb.TempDir()+"/page.db?_pragma=synchronous(0)&_pragma=journal_mode(off)")
	}
	for _, query := range pageSchema[dialect] {
		execDB(tb, db, query)
	}
	r := rand.New(rand.NewPCG(1, 2))
	const chunk = 5000
	for from := 0; from < meetings; from += chunk {
		var rows, people [][]any
		for id := from; id < min(from+chunk, meetings); id++ {
			org := r.IntN(10)
			user := func() string { return fmt.Sprintf("user-%d-%d", org, r.IntN(10)) }
			environment := "live"
			if r.IntN(5) == 0 {
				environment = "test"
			}
			rows = append(rows, []any{id, fmt.Sprintf("org-%d", org), environment, user(), r.IntN(4) == 0, int64(1_700_000_000 + r.IntN(50_000_000)), "Weekly"})
			people = append(people, []any{id, fmt.Sprintf("user-%d-%d", org, id%10)}, []any{id, fmt.Sprintf("user-%d-%d", org, (id+3)%10)})
		}
		insertRows(tb, dialect, db, "meetings", rows)
		insertRows(tb, dialect, db, "participants", people)
	}
	for _, query := range pageIndexes {
		execDB(tb, db, query)
	}
	return db
}

// page is one level's list, with the query that a person writes for it.
type page struct {
	access   strikeplate.Access
	settings map[string]any
	where    string // of $1 organisation, $2 environment, $3 user
	args     []any
}

var pages = []page{
	{strikeplate.UserLimited, nil, "m.organisation = $1 AND m.environment = $2 AND m.private = FALSE AND (m.owner = $3 OR EXISTS (SELECT 1 FROM participants AS p WHERE p.meeting_id = m.id AND p.user_id = $3))", []any{"org-3", "live", "user-3-4"}},
	{strikeplate.UserFull, nil, "m.organisation = $1 AND m.environment = $2 AND (m.private = FALSE OR m.owner = $3 OR EXISTS (SELECT 1 FROM participants AS p WHERE p.meeting_id = m.id AND p.user_id = $3))", []any{"org-3", "live", "user-3-4"}},
	{strikeplate.OrganisationLimited, nil, "m.organisation = $1 AND m.environment = $2 AND m.private = FALSE", []any{"org-3", "live"}},
	{strikeplate.OrganisationFull, map[string]any{"private_via_api": true, "licensed_users": []string{"user-3-1", "user-3-2"}}, "m.organisation = $1 AND m.environment = $2 AND (m.private = FALSE OR m.owner IN ($3, $4))", []any{"org-3", "live", "user-3-1", "user-3-2"}},
	{strikeplate.Legacy, nil, "m.organisation = $1 AND m.environment = $2", []any{"org-3", "live"}},
}

func pageQuery(where string) string {
	return "SELECT m.id, m.title FROM meetings AS m WHERE " + where + " ORDER BY m.start DESC, m.id DESC LIMIT 50"
}

// queries are the filter's page and the hand-written one.
func (p page) queries(tb testing.TB, e *policies.Engine, dialect string) (filtered, written string, filterArgs, writtenArgs []any) {
	tb.Helper()
	who := &strikeplate.Principal{Kind: strikeplate.KindKey, Environment: strikeplate.Live, Access: p.access, Organisation: "org-3", Subject: "user-3-4", Settings: p.settings}
	f, err := e.Filter(context.Background(), who, "meetings", policies.As{Dialect: dialect, Alias: "m"})
	if err != nil {
		tb.Fatal(err)
	}
	written, writtenArgs = p.where, p.args
	if dialect == policies.SQLite { // ?1 is the first, as often as it occurs
		written = strings.ReplaceAll(written, "$", "?")
	}
	return pageQuery(f.Where), pageQuery(written), f.Args, writtenArgs
}

// plan is a query's plan without what differs between equal plans: the spelling
// of conditions, numbers, and casts.
func plan(tb testing.TB, db *sql.DB, dialect, query string, args []any) string {
	tb.Helper()
	explain := "EXPLAIN (COSTS OFF) "
	if dialect == policies.SQLite {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := db.QueryContext(context.Background(), explain+query, args...)
	if err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if dialect == policies.SQLite {
			var id, parent, unused int
			err = rows.Scan(&id, &parent, &unused, &line)
		} else {
			err = rows.Scan(&line)
		}
		if err != nil {
			tb.Fatal(err)
		}
		if name, condition, is := strings.Cut(line, ":"); is { // which columns, not how it is written
			named := indexed.FindAllString(condition, -1)
			slices.Sort(named)
			line = name + ": " + strings.Join(slices.Compact(named), ", ")
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

var indexed = regexp.MustCompile(`\b(organisation|environment|owner|private|meeting_id|user_id)\b`)

// TestPagePlans: each level's list is found by the same plan as the query that a
// person writes for it, and that plan reads an index in the list's order.
func TestPagePlans(t *testing.T) {
	e := engine(t, policies.Config{Resources: pageResources()})
	for _, dialect := range []string{policies.PostgreSQL, policies.SQLite} {
		db := pageDatabase(t, dialect, 20_000)
		for _, p := range pages {
			t.Run(dialect+"/"+string(p.access), func(t *testing.T) {
				filtered, written, args, writtenArgs := p.queries(t, e, dialect)
				got, want := plan(t, db, dialect, filtered, args), plan(t, db, dialect, written, writtenArgs)
				t.Logf("%s\n%s", filtered, got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s\n%s", filtered, diff)
				}
				if !strings.Contains(got, "meetings_page") || strings.Contains(got, "Sort") || strings.Contains(got, "TEMP B-TREE") {
					t.Errorf("the list is sorted, or no index serves it:\n%s", got)
				}
				if a, b := pageIDs(t, db, filtered, args), pageIDs(t, db, written, writtenArgs); len(a) != 50 || cmp.Diff(a, b) != "" {
					t.Errorf("%d rows, want those of the hand-written query: %s", len(a), cmp.Diff(b, a))
				}
			})
		}
	}
}

func pageIDs(tb testing.TB, db *sql.DB, query string, args []any) []int {
	tb.Helper()
	rows, err := db.QueryContext(context.Background(), query, args...)
	if err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var ids []int
	for rows.Next() {
		var id int
		var title string
		if err := rows.Scan(&id, &title); err != nil {
			tb.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return ids
}

// BenchmarkPage is a page of 50 of a million meetings through Filter (made anew each
// time) against the hand-written query, call by call in turn: a page takes
// milliseconds, and longer rounds would measure what else the machine does.
// other/base is the ratio of the medians.
func BenchmarkPage(b *testing.B) {
	meetings := 1_000_000
	if testing.Short() {
		meetings = 20_000
	}
	e := engine(b, policies.Config{Resources: pageResources()})
	for _, dialect := range []string{policies.PostgreSQL, policies.SQLite} {
		db := pageDatabase(b, dialect, meetings)
		for _, p := range pages {
			b.Run(dialect+"/"+string(p.access), func(b *testing.B) {
				_, written, _, writtenArgs := p.queries(b, e, dialect)
				var bases, others []float64
				for b.Loop() {
					began := time.Now()
					pageIDs(b, db, written, writtenArgs)
					between := time.Now()
					filtered, _, args, _ := p.queries(b, e, dialect)
					pageIDs(b, db, filtered, args)
					bases, others = append(bases, float64(between.Sub(began))), append(others, float64(time.Since(between)))
				}
				slices.Sort(bases)
				slices.Sort(others)
				base, other := bases[len(bases)/2], others[len(others)/2]
				b.ReportMetric(base, "base-ns/op")
				b.ReportMetric(other, "other-ns/op")
				b.ReportMetric(other/base, "other/base")
			})
		}
	}
}
