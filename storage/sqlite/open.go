// Package sqlite keeps Strikeplate's records in one SQLite file, for services
// that run on one machine, in one process or several:
//
//	store, err := sqlite.Open(ctx, sqlite.Config{Path: "keys.db"})
//	if err != nil {
//		return err
//	}
//	defer store.Close(context.Background())
//	keys, err := keyauth.New(keyauth.Config{Keys: store, Directory: store, Feed: store, …})
//
// The driver is pure Go. Put the file on a local disk: SQLite's locks don't
// work on network file systems.
//
// # What is durable
//
// A commit is on the disk when [Store.Commit] returns (PRAGMA synchronous =
// FULL): neither the end of the process nor a power cut brings a revoked key
// back. NORMAL would keep commits through a kill, but not through a power cut.
//
// # Several processes
//
// A change reaches the watchers of the value that it was made through before
// Commit returns, and those of other processes within [Config.Poll]. The table
// of changes keeps the last 10,000; a watcher that fell further behind is told
// Lost. The audit log is kept for ever, unless the operator trims it
// ([Store.TrimAudit]).
//
// # Security notes
//
// Triggers refuse a change of a permanent field or of a revoked key, app or grant,
// and that a code or refresh token is unused again, so another program on the same
// file cannot undo a revocation by accident. Whoever may
// write the file can drop the triggers: its permissions are the boundary, and a
// new file is readable and writable by its owner alone. What was deleted may stay
// in the file's free pages until they are used again, or until VACUUM.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/strikeplate/strikeplate/internal/watchers"
)

// Config says where the records are. Only Path is required.
type Config struct {
	// Path is the file; it is created if missing. Its directory must exist.
	Path string
	// Prefix begins each table's name: lower-case letters, digits and
	// underscores. Empty: "strikeplate_".
	Prefix string
	// Poll is how often a watcher looks for changes that other processes made,
	// at most 500 ms. 0: 100 ms.
	Poll time.Duration
	// SkipMigrations leaves the tables to another tool; Open then only checks
	// their version. False: Open brings them up to date.
	SkipMigrations bool
}

// Store implements [storage.Keys], [storage.Audit], [storage.EditableDirectory],
// [storage.Feed], [storage.Operator], [storage.Usage], [storage.Replays],
// [storage.Apps] and [storage.Grants]. It is safe for concurrent use. Make one with
// [Open].
type Store struct {
	config Config
	writer *sql.DB // one connection: writes queue here instead of at the file's lock
	reader *sql.DB
	polls  *sql.DB // a connection for each watcher
	sql    statements

	life     context.Context // ends with Close
	end      context.CancelFunc
	watchers watchers.Hub
}

const (
	// busyTimeout is how long a statement waits for another process's lock.
	busyTimeout = 5 * time.Second
	// shortWait is how long the writer's connection lets SQLite itself wait, once it
	// is open: see begin. SQLite pauses up to 10 ms at a time within it.
	shortWait = 20 * time.Millisecond
	// readers run side by side; each remembers up to readerCache of the file, so
	// that with a million keys a look-up reads one page or two from the disk.
	readers     = 4
	readerCache = 32 << 20
)

var errClosed = errors.New("sqlite: store is closed")

// Open opens the file and brings its tables up to date, also when several
// processes do so at once. A file from a newer release is refused.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.Poll == 0 {
		c.Poll = 100 * time.Millisecond
	}
	switch {
	case c.Path == "" || strings.Contains(c.Path, ":memory:"):
		return nil, errors.New("sqlite: Config.Path must be a file; package memory needs none")
	case !regexp.MustCompile(`^[a-z_][a-z0-9_]{0,40}$`).MatchString(c.Prefix):
		return nil, fmt.Errorf("sqlite: Config.Prefix %q must be lower-case letters, digits and underscores", c.Prefix)
	case c.Poll < 0 || c.Poll > 500*time.Millisecond:
		return nil, fmt.Errorf("sqlite: Config.Poll is %v, must be at most 500ms", c.Poll)
	}
	s := &Store{config: c}
	s.life, s.end = context.WithCancel(context.Background())
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", c.Path, err), s.Close(ctx))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := createPrivately(s.config.Path); err != nil {
		return err
	}
	var err error
	if s.writer, err = s.pool(1, "_txlock=immediate"); err != nil {
		return err
	}
	if err := enterWAL(ctx, s.writer); err != nil {
		return err
	}
	if err := migrate(ctx, s.writer, s.config); err != nil {
		return err
	}
	if s.reader, err = s.pool(readers, fmt.Sprintf("_query_only=1&_pragma=cache_size(%d)", -readerCache>>10)); err != nil {
		return err
	}
	if s.polls, err = s.pool(0, "_query_only=1"); err != nil {
		return err
	}
	if s.sql, err = prepare(ctx, s); err != nil {
		return err
	}
	_, err = s.writer.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", shortWait.Milliseconds()))
	return err
}

// createPrivately makes a missing file with the permissions that secrets'
// hashes deserve; SQLite's own files beside it inherit them.
func createPrivately(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the embedder's own path
	if err != nil {
		return err
	}
	return f.Close()
}

// pool opens a pool of at most size connections; 0 is as many as asked for.
func (s *Store) pool(size int, option string) (*sql.DB, error) {
	path := (&url.URL{Path: s.config.Path}).EscapedPath()
	db, err := sql.Open("sqlite", fmt.Sprintf(
		"file:%s?_busy_timeout=%d&_foreign_keys=1&_synchronous=FULL&_dqs=0&%s", path, busyTimeout.Milliseconds(), option))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(max(size, 2))
	return db, nil
}

// enterWAL switches the file to write-ahead logging, in which readers and the
// writer don't wait for each other. SQLite doesn't wait for another process that
// does the same, so this does.
func enterWAL(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, 2*busyTimeout)
	defer cancel()
	for {
		var mode string
		err := db.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode)
		if err == nil && mode != "wal" {
			return fmt.Errorf("the file's journal mode is %q and would not become WAL", mode)
		}
		if !isBusy(err) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func isBusy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY
}

// Close ends all watches and closes the file, once calls under way are done.
// It waits for watches no longer than ctx allows.
func (s *Store) Close(ctx context.Context) error {
	s.end()
	var errs []error
	if err := s.watchers.Close(ctx); err != nil {
		errs = append(errs, fmt.Errorf("sqlite: close: watches still run: %w", err))
	}
	// The writer is the last: closing it folds the write-ahead log into the file.
	for _, db := range []*sql.DB{s.polls, s.reader, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Ready returns nil while the file can be read and its tables have this program's
// version.
func (s *Store) Ready(ctx context.Context) error {
	version, err := schemaVersion(ctx, s.reader, s.config.Prefix)
	if err != nil {
		return s.failed("ready", err)
	}
	if version > newest() {
		return tooNew(version)
	}
	if version < newest() {
		return fmt.Errorf("sqlite: the tables have version %d, this program needs %d", version, newest())
	}
	return nil
}

// failed wraps an error of the database. It is never a sentinel: the caller
// could not tell.
func (s *Store) failed(what string, err error) error {
	if s.life.Err() != nil {
		return errClosed
	}
	return fmt.Errorf("sqlite: %s: %w", what, err)
}
