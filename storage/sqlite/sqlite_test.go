package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, c sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// strange is a name with what a URI would misread.
const strange = "keys ?#%41&.db"

// file is a path for a new database.
func file(t testing.TB) string { return filepath.Join(t.TempDir(), strange) }

// Files that have the tables already. The suites' many cases copy one of them,
// instead of making the tables again.
var (
	migrated   = sync.OnceValues(func() ([]byte, error) { return tables(sqlite.Config{}) })
	withPrefix = sync.OnceValues(func() ([]byte, error) { return tables(sqlite.Config{Prefix: "other_"}) })
)

func tables(c sqlite.Config) (text []byte, err error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c.Path = filepath.Join(dir, "keys.db")
	s, err := sqlite.Open(context.Background(), c)
	if err != nil {
		return nil, err
	}
	if err := s.Close(context.Background()); err != nil {
		return nil, err
	}
	return os.ReadFile(c.Path)
}

// copied makes a file from what from returns, for one case. It lies in memory where
// Linux has room for that: the suites commit ten thousand times, and waiting for the
// disk as often takes longer than all else. No case cuts the power.
func copied(t testing.TB, from func() ([]byte, error)) string {
	t.Helper()
	text, err := from()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/dev/shm", "strikeplate-") //nolint:usetesting // not where TempDir is
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, strange)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newKey(organisation, id string) storage.Key {
	return storage.Key{ID: id, Lookup: "lookup-" + id, Organisation: organisation, Name: "CI", Created: noon}
}

func mutation(keys ...storage.Key) storage.Mutation {
	return storage.Mutation{Now: noon, Put: keys, Audit: []storage.Entry{{Organisation: "acme", Action: "key.changed", At: noon}}}
}

func commit(t testing.TB, s *sqlite.Store, keys ...storage.Key) {
	t.Helper()
	if err := s.Commit(t.Context(), mutation(keys...)); err != nil {
		t.Fatal(err)
	}
}

func TestKeys(t *testing.T) {
	storagetest.RunKeys(t, func(t *testing.T) storagetest.Store {
		return open(t, sqlite.Config{Path: copied(t, migrated)})
	})
}

func TestDirectory(t *testing.T) {
	storagetest.RunDirectory(t, func(t *testing.T) storage.EditableDirectory {
		return open(t, sqlite.Config{Path: copied(t, withPrefix), Prefix: "other_"})
	})
}

func TestPair(t *testing.T) {
	storagetest.RunPair(t, func(t *testing.T) (here, there storagetest.Store) {
		path := copied(t, migrated)
		return open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
	})
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]sqlite.Config{
		"no path":      {},
		"in memory":    {Path: ":memory:"},
		"prefix":       {Path: file(t), Prefix: "x; DROP TABLE keys"},
		"slow poll":    {Path: file(t), Poll: time.Second},
		"no directory": {Path: filepath.Join(t.TempDir(), "missing", "keys.db")},
		"a directory":  {Path: t.TempDir()},
	} {
		if s, err := sqlite.Open(t.Context(), c); err == nil {
			s.Close(t.Context())
			t.Errorf("%s: opened", name)
		}
	}
}

func TestTwoPrefixesInOneFile(t *testing.T) {
	path := file(t)
	one, two := open(t, sqlite.Config{Path: path, Prefix: "one_"}), open(t, sqlite.Config{Path: path, Prefix: "two_"})
	commit(t, one, newKey("acme", "k1"))
	if _, err := two.Key(t.Context(), "acme", "k1"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the other prefix finds the key: %v", err)
	}
}

func TestFileIsPrivate(t *testing.T) {
	path := file(t)
	commit(t, open(t, sqlite.Config{Path: path}), newKey("acme", "k1"))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", suffix, info.Mode(), err)
		}
	}
}

// raw is another program on the same file.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace("file:"+path)+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := file(t)
	s := open(t, sqlite.Config{Path: path})
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := raw(t, path).Exec("INSERT INTO strikeplate_schema (version) VALUES (99)"); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("opened a newer schema: %v", err)
	}
	if s.Ready(t.Context()) == nil {
		t.Error("ready on a newer schema")
	}
}

// A team's own tool applies the files; Open only checks.
func TestOwnMigrations(t *testing.T) {
	path := file(t)
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, SkipMigrations: true}); err == nil {
		t.Fatal("opened an empty file")
	}
	db := raw(t, path)
	err := fs.WalkDir(sqlite.Migrations(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(sqlite.Migrations(), name)
		if err == nil {
			_, err = db.Exec("BEGIN;" + string(text) + ";COMMIT")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, open(t, sqlite.Config{Path: path, SkipMigrations: true}), newKey("acme", "k1"))
}

// Another program can't undo a revocation or change what is fixed.
func TestTriggers(t *testing.T) {
	path := file(t)
	s := open(t, sqlite.Config{Path: path})
	revoked := newKey("acme", "k1")
	revoked.Revoked = noon
	commit(t, s, revoked, newKey("acme", "k2"))
	db := raw(t, path)
	for _, statement := range []string{
		"UPDATE strikeplate_keys SET revoked = NULL, version = 9 WHERE id = 'k1'",
		"UPDATE strikeplate_keys SET name = 'x', version = 9 WHERE id = 'k1'",
		"INSERT OR REPLACE INTO strikeplate_keys SELECT id, lookup, lineage, organisation, name, last4, format, environment, access," +
			" scopes, owner, creator, allow, metadata, hash, sealed, secret_version, 9, created, expires, NULL, '', NULL FROM strikeplate_keys WHERE id = 'k1'",
		"UPDATE strikeplate_keys SET scopes = '[\"all\"]', version = 9 WHERE id = 'k2'",
		"UPDATE strikeplate_keys SET organisation = 'globex', version = 9 WHERE id = 'k2'",
		"UPDATE strikeplate_keys SET id = 'k3', version = 9 WHERE id = 'k2'",
		"UPDATE strikeplate_keys SET created = 0, version = 9 WHERE id = 'k2'",
		"UPDATE strikeplate_keys SET name = 'x' WHERE id = 'k2'", // without a new version
		"UPDATE strikeplate_audit SET actor_user = 'nobody'",
		"UPDATE strikeplate_audit SET actor_client = '192.0.2.1'",
		"UPDATE strikeplate_audit SET actor_client = '', target = 'x'",
	} {
		if _, err := db.Exec(statement); err == nil || !strings.Contains(err.Error(), "strikeplate: ") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if _, err := db.Exec("UPDATE strikeplate_keys SET name = 'x', version = version + 1 WHERE id = 'k2'"); err != nil {
		t.Error(err)
	}
}

// sink passes a feed on as text.
type sink struct{ told chan string }

func newSink() sink { return sink{make(chan string, 100_000)} }

func (s sink) Changed(kind storage.Subject, organisation, id string, version int64) {
	s.told <- fmt.Sprint(kind, " ", organisation, " ", id, " ", version)
}
func (s sink) Fresh(time.Time) { s.told <- "fresh" }
func (s sink) Lost(err error)  { s.told <- "lost: " + err.Error() }

// await returns what was told up to the first text with the prefix.
func (s sink) await(t testing.TB, prefix string) (before []string) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case text := <-s.told:
			if strings.HasPrefix(text, prefix) {
				return before
			}
			before = append(before, text)
		case <-limit:
			t.Fatalf("no %q", prefix)
		}
	}
}

// watch starts a watch that the test's end stops, and waits for its first Fresh.
func watch(t testing.TB, s *sqlite.Store) sink {
	t.Helper()
	k := newSink()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Watch(ctx, k)
	}()
	t.Cleanup(func() { cancel(); <-done })
	k.await(t, "lost: ")
	k.await(t, "fresh")
	return k
}

// What another program does reaches the feed, through the triggers.
func TestForeignWriter(t *testing.T) {
	path := file(t)
	s := open(t, sqlite.Config{Path: path, Poll: 10 * time.Millisecond})
	commit(t, s, newKey("acme", "k1"))
	k := watch(t, s)
	db := raw(t, path)
	for statement, want := range map[string]string{
		"UPDATE strikeplate_keys SET revoked = 1, version = 2 WHERE id = 'k1'": "key acme k1 2",
		"INSERT INTO strikeplate_accounts VALUES ('acme', 'free', 1, 'null')":  "account acme acme 0",
		"INSERT INTO strikeplate_users VALUES ('u1', 'acme', '', '', 0, NULL)": "user acme u1 0",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
		k.await(t, want)
	}
	for table, want := range map[string]string{"keys": "key acme k1 0", "users": "user acme u1 0", "accounts": "account acme acme 0"} {
		if _, err := db.Exec("DELETE FROM strikeplate_" + table); err != nil {
			t.Fatal(err)
		}
		k.await(t, want)
	}
}

// A watcher that fell behind what the table keeps is told Lost before Fresh.
func TestGap(t *testing.T) {
	path := file(t)
	s := open(t, sqlite.Config{Path: path, Poll: 10 * time.Millisecond})
	k := watch(t, s)
	db := raw(t, path)
	_, err := db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10200)
		INSERT INTO strikeplate_changes (subject, organisation, id, version) SELECT 'key', 'acme', i, 0 FROM n`)
	if err != nil {
		t.Fatal(err)
	}
	k.await(t, "lost: ")
	for _, text := range k.await(t, "fresh") {
		if !strings.HasPrefix(text, "lost: ") {
			t.Errorf("between Lost and Fresh: %s", text)
		}
	}
	var kept int
	if err := db.QueryRow("SELECT count(*) FROM strikeplate_changes").Scan(&kept); err != nil || kept > 10_100 {
		t.Errorf("%d changes kept, %v", kept, err)
	}
	commit(t, s, newKey("acme", "k1"))
	k.await(t, "key acme k1 1")
}

// Changes, gone: not sentinels, no Fresh, and a mended feed says Lost again.
func TestBrokenTables(t *testing.T) {
	path := file(t)
	s := open(t, sqlite.Config{Path: path, Poll: 10 * time.Millisecond})
	commit(t, s, newKey("acme", "k1"))
	k := watch(t, s)
	db := raw(t, path)
	if _, err := db.Exec("ALTER TABLE strikeplate_changes RENAME TO away; ALTER TABLE strikeplate_keys RENAME TO keys_away"); err != nil {
		t.Fatal(err)
	}
	k.await(t, "lost: ")
	_, err := s.KeyByLookup(t.Context(), "lookup-k1")
	if err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("KeyByLookup could not tell, and said %v", err)
	}
	if err := s.Commit(t.Context(), mutation(newKey("acme", "k2"))); err == nil || errors.Is(err, storage.ErrConflict) {
		t.Errorf("Commit: %v", err)
	}
	if _, err := db.Exec("ALTER TABLE away RENAME TO strikeplate_changes; ALTER TABLE keys_away RENAME TO strikeplate_keys"); err != nil {
		t.Fatal(err)
	}
	if before := k.await(t, "fresh"); !strings.HasPrefix(before[len(before)-1], "lost: ") {
		t.Errorf("before the first Fresh: %v", before)
	}
	commit(t, s, newKey("acme", "k2"))
}

// A full disk, as SQLite reports it: an error that is no sentinel, nothing
// written, and it works again when there is room.
func TestDiskFull(t *testing.T) {
	path := file(t)
	s := open(t, sqlite.Config{Path: path})
	if err := sqlite.SetMaxPages(s, 1); err != nil {
		t.Fatal(err)
	}
	big := newKey("acme", "k1")
	big.Name = strings.Repeat("x", 1<<20)
	err := s.Commit(t.Context(), mutation(big))
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("a full disk: %v", err)
	}
	if _, err := s.Key(t.Context(), "acme", "k1"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("after a full disk: %v", err)
	}
	if err := sqlite.SetMaxPages(s, 1<<20); err != nil {
		t.Fatal(err)
	}
	commit(t, s, big)
}

// A mutation waits while another program holds the file's lock, no longer than its
// context, and goes on when the lock is free.
func TestWaitsForTheLock(t *testing.T) {
	path := file(t)
	s := open(t, sqlite.Config{Path: path})
	other, err := raw(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Commit(short, mutation(newKey("acme", "k1"))); err == nil || short.Err() == nil {
		t.Errorf("committed beside a lock: %v", err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- s.Commit(t.Context(), mutation(newKey("acme", "k2"))) }()
	select {
	case err := <-waiting:
		t.Fatalf("didn't wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("when the lock was free: %v", err)
	}
	if _, err := s.Key(t.Context(), "acme", "k1"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("what was given up was written: %v", err)
	}
}

func TestNotADatabase(t *testing.T) {
	path := file(t)
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("opened: %v", err)
	}
}

func TestCorruptPages(t *testing.T) {
	path := file(t)
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, newKey("acme", "k1"))
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 3 * 4096; i < len(text); i++ {
		text[i] = 0xa5
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err == nil {
		_, err = s.KeyByLookup(t.Context(), "lookup-k1")
		s.Close(t.Context())
	}
	if err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a corrupt file could not tell, and said %v", err)
	}
}

func TestClosed(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: file(t)})
	if err != nil {
		t.Fatal(err)
	}
	returned := make(chan error, 1)
	k := newSink()
	go func() { returned <- s.Watch(context.Background(), k) }()
	k.await(t, "fresh")
	if err := errors.Join(s.Close(t.Context()), s.Close(t.Context())); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-returned; err == nil {
		t.Error("Watch returned nil")
	}
	if s.Ready(t.Context()) == nil || s.Watch(t.Context(), k) == nil {
		t.Error("ready after Close")
	}
	if _, err := s.KeyByLookup(t.Context(), "x"); err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a closed store could not tell, and said %v", err)
	}
}

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "keys.db")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close(ctx)

	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	err = store.Commit(ctx, storage.Mutation{
		Now:   created,
		Put:   []storage.Key{{ID: "k1", Lookup: "4f7k", Organisation: "acme", Name: "CI", Created: created}},
		Limit: &storage.Limit{Organisation: "acme", Max: 10},
		Audit: []storage.Entry{{Organisation: "acme", Action: "key.created", Target: "k1", At: created}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := store.KeyByLookup(ctx, "4f7k")
	fmt.Println(key.Name, key.Status(created), err)
	// Output: CI active <nil>
}
