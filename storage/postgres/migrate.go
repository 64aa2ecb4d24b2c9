package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations returns the schema as SQL files, named 0001_….sql and so on, for a
// team's own migration tool. Each is applied once, in one transaction, in the
// order of names. As they are they make tables with the default prefix in the
// session's schema. Each ends by recording its version, so [Open] with
// SkipMigrations knows what it finds.
func Migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return sub
}

// migrationLock serialises migrations of a database (an advisory lock). It is
// any number that another program is unlikely to use.
const migrationLock = 0x7374726b_706c6174

// migrate brings the tables up to date. All of it is one transaction, so that an
// instance that dies half-way leaves nothing half-done.
func migrate(ctx context.Context, pool *pgxpool.Pool, schema string, sql statements, skip bool) error {
	// Mostly there is nothing to do, and a role without rights over the schema
	// can find that out.
	version, err := schemaVersion(ctx, pool, sql)
	if err != nil {
		return err
	}
	switch {
	case version == newest():
		return nil
	case version > newest():
		return tooNew(version)
	case skip:
		return fmt.Errorf("postgres: the tables have version %d, this program needs %d: apply Migrations, or leave SkipMigrations false",
			version, newest())
	}
	// Read committed, whatever the session's default: after waiting for the lock
	// the next statement must see what its last holder did.
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite},
		func(tx pgx.Tx) error { return migrateIn(ctx, tx, schema, sql) })
}

func tooNew(version int) error {
	return fmt.Errorf("postgres: the tables have version %d, this program knows none above %d: run a newer one",
		version, newest())
}

func migrateIn(ctx context.Context, tx pgx.Tx, schema string, sql statements) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
		return failed("lock for migrations", err)
	}
	if err := enterSchema(ctx, tx, schema); err != nil {
		return err
	}
	version, err := schemaVersion(ctx, tx, sql) // another instance may have been faster
	if err != nil {
		return err
	}
	if version > newest() {
		return tooNew(version)
	}
	for n, name := range migrationNames() {
		if n+1 <= version {
			continue
		}
		text, err := fs.ReadFile(Migrations(), name)
		if err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
		// The schema comes by search_path: names of triggers, for one, cannot
		// carry it. Without arguments pgx sends all statements of a file at once.
		if _, err := tx.Exec(ctx, substitute(string(text), "", sql.prefix)); err != nil {
			return failed("apply "+name, err)
		}
	}
	return nil
}

// enterSchema makes the schema, if it is missing, and creates what follows in
// this transaction there.
func enterSchema(ctx context.Context, tx pgx.Tx, schema string) error {
	if schema == "" {
		return nil
	}
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT to_regnamespace($1::text) IS NOT NULL", `"`+schema+`"`).Scan(&exists); err != nil {
		return failed("look for the schema", err)
	}
	if !exists {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA "`+schema+`"`); err != nil {
			return failed("create the schema", err)
		}
	}
	if _, err := tx.Exec(ctx, "SELECT set_config('search_path', $1, true)", `"`+schema+`"`); err != nil {
		return failed("enter the schema", err)
	}
	return nil
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion returns the version of the tables, 0 where there are none.
func schemaVersion(ctx context.Context, q querier, sql statements) (int, error) {
	var exists bool
	if err := q.QueryRow(ctx, sql.exists).Scan(&exists); err != nil {
		return 0, failed("look for the tables", err)
	}
	if !exists {
		return 0, nil
	}
	var version int
	if err := q.QueryRow(ctx, sql.version).Scan(&version); err != nil {
		return 0, failed("read the tables' version", err)
	}
	return version, nil
}

// newest is the version that this program makes and needs.
func newest() int { return len(migrationNames()) }

// migrationNames are the files in order: the file at index n makes version n+1.
func migrationNames() []string {
	entries, err := fs.ReadDir(Migrations(), ".")
	if err != nil {
		panic(err) // the files are embedded
	}
	var names []string
	for _, e := range entries {
		number, _, _ := strings.Cut(e.Name(), "_")
		if n, err := strconv.Atoi(number); err != nil || n != len(names)+1 {
			panic("postgres: migrations are not numbered in order: " + e.Name())
		}
		names = append(names, e.Name())
	}
	return names
}
