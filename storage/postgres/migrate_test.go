package postgres_test

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/postgres"
)

func TestTenInstancesMigrateAtOnce(t *testing.T) {
	for name, settings := range map[string]string{
		"as it comes": "",
		// A snapshot taken before the lock was granted would miss what its last
		// holder made.
		"serializable": "&default_transaction_isolation=serializable",
	} {
		t.Run(name, func(t *testing.T) {
			db := pgtest.Database(t) + settings
			start := make(chan struct{})
			errs := make([]error, 10)
			var all sync.WaitGroup
			for i := range errs {
				all.Go(func() {
					<-start
					s, err := postgres.Open(t.Context(), postgres.Config{URL: db, Schema: "keys"})
					if errs[i] = err; err == nil {
						errs[i] = s.Close(context.Background())
					}
				})
			}
			close(start)
			all.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			var versions int
			if err := connect(t, db).QueryRow(t.Context(), "SELECT count(*) FROM keys.strikeplate_schema").Scan(&versions); err != nil {
				t.Fatal(err)
			}
			if want := len(migrations(t)); versions != want {
				t.Errorf("%d versions are recorded, want %d", versions, want)
			}
		})
	}
}

// Instances whose connections looked for the tables before there were any must not
// go by that when their turn to make them comes.
func TestInstancesMigrateTheDefaultSchemaAtOnce(t *testing.T) {
	for range 5 {
		db := pgtest.Database(t)
		start := make(chan struct{})
		errs := make([]error, 8)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				<-start
				s, err := postgres.Open(t.Context(), postgres.Config{URL: db})
				if errs[i] = err; err == nil {
					errs[i] = s.Close(context.Background())
				}
			})
		}
		close(start)
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewerTablesAreRefused(t *testing.T) {
	db := pgtest.Database(t)
	old := open(t, postgres.Config{URL: db})
	execute(t, connect(t, db), "INSERT INTO strikeplate_schema (version) VALUES (99)")

	_, err := postgres.Open(t.Context(), postgres.Config{URL: db})
	if err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("Open on newer tables: %v; want an error that names version 99", err)
	}
	if err := old.Ready(t.Context()); err != nil {
		t.Errorf("an instance that ran before is no longer ready: %v", err)
	}
}

// A team's own tool applies the files as they are, with psql's means.
func TestMigrationsAreValidAsTheyAre(t *testing.T) {
	db := pgtest.Database(t)
	skip := postgres.Config{URL: db, SkipMigrations: true}
	if _, err := postgres.Open(t.Context(), skip); err == nil || !strings.Contains(err.Error(), "SkipMigrations") {
		t.Errorf("Open without tables: %v; want an error that says what to do", err)
	}
	c := connect(t, db)
	for _, text := range migrations(t) {
		execute(t, c, "BEGIN;"+text+";COMMIT")
	}
	s := open(t, skip)
	commit(t, s, newKey("acme", "k1"))
	open(t, postgres.Config{URL: db}) // nothing left to do
}

// migrations are the files' texts in order.
func migrations(t testing.TB) []string {
	t.Helper()
	names, err := fs.Glob(postgres.Migrations(), "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	var texts []string
	for _, name := range names {
		text, err := fs.ReadFile(postgres.Migrations(), name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

func TestPrefixesAndSchemasAreApart(t *testing.T) {
	db := pgtest.Database(t)
	plain := open(t, postgres.Config{URL: db})
	others := map[string]*postgres.Store{
		"prefix": open(t, postgres.Config{URL: db, Prefix: "other_"}),
		"schema": open(t, postgres.Config{URL: db, Schema: "other"}),
		"both":   open(t, postgres.Config{URL: db, Schema: "other", Prefix: "a"}),
	}
	seen := make(map[string]*recorder)
	for name, s := range others {
		seen[name] = watch(t, s)
	}
	commit(t, plain, newKey("acme", "k1"))
	for name, s := range others {
		if _, err := s.KeyByLookup(t.Context(), "lookup-k1"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: found the key of other tables: %v", name, err)
		}
		commit(t, s, newKey("acme", "own"))
		for e := seen[name].next(t); e.id != "own"; e = seen[name].next(t) {
			if e.id == "k1" {
				t.Errorf("%s: heard of a key of other tables", name)
			}
		}
	}
	// The public schema by name is the same as by search_path.
	named := watch(t, open(t, postgres.Config{URL: db, Schema: "public"}))
	commit(t, plain, newKey("acme", "k2"))
	named.await(t, "the change", func(e event) bool { return e.id == "k2" })
}

func TestBadConfigsAreRefused(t *testing.T) {
	db := "postgres://user:hunter2@127.0.0.1:1/db"
	for name, c := range map[string]postgres.Config{
		"nothing":           {},
		"both":              {URL: db, Pool: newPool(t, db)},
		"injection":         {URL: db, Prefix: `x"; DROP TABLE users; --`},
		"upper case":        {URL: db, Schema: "Keys"},
		"long prefix":       {URL: db, Prefix: strings.Repeat("p", 32)},
		"leading digit":     {URL: db, Schema: "1keys"},
		"trailing newline":  {URL: db, Schema: "keys\n"},
		"no server":         {URL: db + "?connect_timeout=1"},
		"unreadable":        {URL: "postgres://user:hunter2@127.0.0.1:port/db"},
		"unreadable listen": {URL: db, ListenURL: "postgres://user:hunter2@[::1/db"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), c)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

// TestRoleThatOnlyWritesRows: migrations by one role, the service by another
// that may only read and write rows.
func TestRoleThatOnlyWritesRows(t *testing.T) {
	db := pgtest.Database(t)
	open(t, postgres.Config{URL: db, Schema: "keys"})
	role := "service_" + strings.TrimPrefix(mustParse(t, db).Path, "/")
	c := connect(t, db)
	execute(t, c, "CREATE ROLE "+role+" LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA keys TO "+role+
		"; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA keys TO "+role)
	u := mustParse(t, db)
	u.User = url.UserPassword(role, "pw")
	s := open(t, postgres.Config{URL: u.String(), Schema: "keys"})
	r := watch(t, s)
	create(t, s, 2)
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.PutUser(t.Context(), storage.User{ID: "u1", Organisation: "acme"}); err != nil {
		t.Error(err)
	}
	r.await(t, "a heartbeat", func(e event) bool { return e.what == "fresh" })
}

// Every way in which pgx can talk through a pooler.
func TestQueryModes(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			s := open(t, postgres.Config{URL: pgtest.Database(t) + "&default_query_exec_mode=" + mode, Schema: "keys"})
			storageRoundTrip(t, s)
		})
	}
}

func mustParse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
