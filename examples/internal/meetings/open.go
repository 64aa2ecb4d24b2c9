package meetings

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"modernc.org/sqlite"               // the driver "sqlite"

	"github.com/strikeplate/strikeplate/policies"
)

// Store is the demo data in a database. It is safe for concurrent use.
type Store struct {
	// DB and Dialect are for what else the demo keeps in the same database.
	DB      *sql.DB
	Dialect string // policies.SQLite or policies.PostgreSQL

	pin *sql.Conn // a database in memory lives as long as a connection to it
}

//go:embed schema.sql
var schema string

// Open opens a database and makes missing tables: postgres://…, or a file of
// SQLite, or, if db is empty, one in memory that nobody else sees.
func Open(ctx context.Context, db string) (*Store, error) {
	s := &Store{Dialect: policies.SQLite}
	driver, source := "sqlite", "file:/"+rand.Text()+"?vfs=memdb&"+pragmas
	switch {
	case IsPostgreSQL(db):
		s.Dialect, driver, source = policies.PostgreSQL, "pgx", db
	case db != "":
		if err := createPrivately(db); err != nil {
			return nil, err
		}
		source = "file:" + (&url.URL{Path: db}).EscapedPath() + "?" + pragmas
	}
	var err error
	if s.DB, err = sql.Open(driver, source); err != nil {
		return nil, err
	}
	if db == "" {
		if s.pin, err = s.DB.Conn(ctx); err != nil {
			return nil, errors.Join(err, s.DB.Close())
		}
	}
	s.DB.SetMaxOpenConns(8)
	s.DB.SetConnMaxIdleTime(5 * time.Minute)
	if err := Patiently(ctx, func() error { return s.migrate(ctx) }); err != nil {
		return nil, errors.Join(fmt.Errorf("meetings: make tables: %w", err), s.Close())
	}
	return s, nil
}

// Transactions take the file's lock when they begin: one that asked for it later
// could find that it read what is no longer so.
const pragmas = "_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_txlock=immediate"

// IsPostgreSQL tells a URL from a file's name.
func IsPostgreSQL(db string) bool {
	return strings.HasPrefix(db, "postgres://") || strings.HasPrefix(db, "postgresql://")
}

// createPrivately makes a missing file, for its owner only.
func createPrivately(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path that the server was started with
	if err != nil {
		return err
	}
	return f.Close()
}

// Close closes the database.
func (s *Store) Close() error {
	if s.pin != nil {
		_ = s.pin.Close()
	}
	return s.DB.Close()
}

// As says how the store's queries want their filters.
func (s *Store) As() policies.As { return policies.As{Dialect: s.Dialect, Alias: "m"} }

// Patiently does what finds a file of SQLite locked again and again, for as long as
// another process holds it: how long that is depends on the machine's load, and
// some statements don't wait for the lock at all.
func Patiently(ctx context.Context, do func() error) error {
	for told := false; ; {
		err := do()
		var e *sqlite.Error
		if !errors.As(err, &e) || e.Code()&0xff != sqliteBusy {
			return err
		}
		if !told {
			slog.Info("another process holds the database's file; waiting")
			told = true
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

const sqliteBusy = 5 // SQLITE_BUSY; the bits above say more of it

// migrate makes what is missing. Instances that start at the same time wait for
// each other: in SQLite by the transaction's lock, in PostgreSQL by one that is
// asked for.
func (s *Store) migrate(ctx context.Context) error {
	if s.Dialect == policies.SQLite && s.pin == nil { // the file remembers it
		if _, err := s.DB.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
			return err
		}
	}
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if s.Dialect == policies.PostgreSQL {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(7209110)"); err != nil {
			return err
		}
	}
	for statement := range strings.SplitSeq(schema, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}
