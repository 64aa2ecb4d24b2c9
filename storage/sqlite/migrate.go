package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed migrations/*.sql
var files embed.FS

const defaultPrefix = "strikeplate_"

// Migrations returns the schema as SQL files, named 0001_….sql and so on, for a
// team's own migration tool. Each is applied once, in one transaction, in the
// order of names. As they are they make tables with the default prefix. Each
// ends by recording its version, so [Open] knows what it finds.
func Migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return sub
}

// migration returns the SQL of a version, for a prefix.
func migration(version int, prefix string) (string, error) {
	names, err := fs.Glob(files, fmt.Sprintf("migrations/%04d_*.sql", version))
	if err != nil {
		return "", fmt.Errorf("migration %d: %w", version, err)
	}
	if len(names) != 1 {
		return "", fmt.Errorf("migration %d: found %v", version, names)
	}
	text, err := files.ReadFile(names[0])
	return withPrefix(string(text), prefix), err
}

func withPrefix(text, prefix string) string {
	return strings.ReplaceAll(text, defaultPrefix, prefix)
}

// newest is the version of the last migration.
func newest() int {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is constant
	}
	return len(names)
}

// migrate brings the tables up to date. All of it is one transaction, begun
// with the file's write lock, so of several processes one does the work.
func migrate(ctx context.Context, db *sql.DB, c Config) error {
	version, err := schemaVersion(ctx, db, c.Prefix)
	switch {
	case err != nil || version == newest():
		return err
	case version > newest():
		return tooNew(version)
	case c.SkipMigrations:
		return fmt.Errorf("the tables have version %d, this program needs %d: apply Migrations, or leave SkipMigrations false",
			version, newest())
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if version, err = schemaVersion(ctx, tx, c.Prefix); err != nil {
		return err
	}
	for version++; version <= newest(); version++ {
		text, err := migration(version, c.Prefix)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("migration %d: %w", version, err)
		}
	}
	return tx.Commit()
}

func tooNew(version int) error {
	return fmt.Errorf("the tables have version %d, this program knows none above %d: run a newer one", version, newest())
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaVersion is 0 in an empty database.
func schemaVersion(ctx context.Context, db querier, prefix string) (version int, err error) {
	var tables int
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", prefix+"schema").Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM "+prefix+"schema").Scan(&version)
	return version, err
}
