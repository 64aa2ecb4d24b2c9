package postgres_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// patience is how long anything may take on a loaded machine.
const patience = time.Minute

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

var (
	_ storage.Keys              = (*postgres.Store)(nil)
	_ storage.Audit             = (*postgres.Store)(nil)
	_ storage.EditableDirectory = (*postgres.Store)(nil)
	_ storage.Feed              = (*postgres.Store)(nil)
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// migrated has the tables, and inSchema has them in a schema, with a prefix. The
// suites' many cases copy one of them.
var (
	migrated = pgtest.Template{Fill: tables(postgres.Config{})}
	inSchema = pgtest.Template{Fill: tables(postgres.Config{Schema: "order", Prefix: "api_"})}
)

func tables(c postgres.Config) func(string) error {
	return func(url string) error {
		c.URL = url
		s, err := postgres.Open(context.Background(), c)
		if err != nil {
			return err
		}
		return s.Close(context.Background())
	}
}

// The suite's races start 64 goroutines together.
const room = "&pool_max_conns=64"

func TestKeys(t *testing.T) {
	storagetest.RunKeys(t, func(t *testing.T) storagetest.Store {
		return open(t, postgres.Config{URL: migrated.Database(t) + room})
	})
}

func TestDirectory(t *testing.T) {
	storagetest.RunDirectory(t, func(t *testing.T) storage.EditableDirectory {
		return open(t, postgres.Config{URL: migrated.Database(t) + room})
	})
}

func TestPair(t *testing.T) {
	storagetest.RunPair(t, func(t *testing.T) (here, there storagetest.Store) {
		url := migrated.Database(t) + room
		return open(t, postgres.Config{URL: url}), open(t, postgres.Config{URL: url})
	})
}

// TestKeysInASchema: with a schema and prefix of its own, one of them a word
// that SQL reserves, over the protocol that poolers like best.
func TestKeysInASchema(t *testing.T) {
	if testing.Short() {
		t.Skip("the whole suite once more")
	}
	storagetest.RunKeys(t, func(t *testing.T) storagetest.Store {
		return open(t, postgres.Config{
			URL:    inSchema.Database(t) + room + "&default_query_exec_mode=simple_protocol",
			Schema: "order", Prefix: "api_",
		})
	})
}

func open(t testing.TB, c postgres.Config) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t testing.TB, s *postgres.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// connect opens a connection as another program would have it.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	return c
}

func execute(t testing.TB, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func newPool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// newKey is a key with every field set.
func newKey(organisation, id string) storage.Key {
	return storage.Key{
		ID: id, Lookup: "lookup-" + id, Lineage: id, Organisation: organisation, Name: "key " + id, Last4: "abcd",
		Format: "mvo", Environment: strikeplate.Live, Access: strikeplate.UserFull, Scopes: []string{"meetings:read"},
		Owner: "u1", Creator: "u2",
		Allow:    []netip.Prefix{netip.MustParsePrefix("10.0.0.7/8"), netip.MustParsePrefix("2001:db8::/32")},
		Metadata: map[string]string{"team": "billing"}, Hash: "$argon2id$hash-of-" + id, Sealed: []byte{0, 1, 255},
		SecretVersion: 1, Created: noon, Expires: noon.Add(time.Hour),
	}
}

func mutation(put ...storage.Key) storage.Mutation {
	m := storage.Mutation{Now: noon, Put: put}
	for _, k := range put {
		m.Audit = append(m.Audit, storage.Entry{Organisation: k.Organisation, Action: "key.changed", Target: k.ID, At: noon})
	}
	return m
}

func commit(t testing.TB, s *postgres.Store, put ...storage.Key) {
	t.Helper()
	if err := s.Commit(t.Context(), mutation(put...)); err != nil {
		t.Fatal(err)
	}
}

// create commits n new keys of one organisation, one mutation each.
func create(t testing.TB, s *postgres.Store, n int) {
	t.Helper()
	for i := range n {
		commit(t, s, newKey("acme", fmt.Sprint("k", i)))
	}
}
