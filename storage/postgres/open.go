// Package postgres keeps Strikeplate's records in PostgreSQL 13 or newer, for
// any number of instances:
//
//	store, err := postgres.Open(ctx, postgres.Config{URL: "postgres://api@db/api"})
//	if err != nil { … }
//	defer store.Close(context.Background())
//	keys, err := keyauth.New(keyauth.Config{Keys: store, Directory: store, Feed: store, …})
//
// A service that has a pool passes it as Config.Pool. Tables are made by [Open],
// or by the team's own migration tool from [Migrations].
//
// # Changes reach every instance
//
// Triggers announce each change of a key, account, user, app or grant with NOTIFY, so that
// changes made by hand or by other programs are announced as well. [Store.Watch]
// listens on a connection of its own, and proves twice a second that changes
// would arrive. Where the proof fails, caches are told within two seconds.
//
// # Behind a transaction pooler
//
// Ordinary queries work through PgBouncer and its like in transaction mode; add
// default_query_exec_mode=exec to the URL where the pooler cannot keep prepared
// statements. LISTEN does not work there: set Config.ListenURL to the server's
// own address. Without it everything still works, but no cache is ever fresh,
// so that every request asks the database. Where no address leads past the pooler,
// set Config.Poll: changes are looked for twice a second in a table that the
// triggers write as well, and Config.Bell, such as the one of storage/redis, says
// when. Nothing depends on the bell.
//
// # Replicas
//
// Everything is read from where Config.URL or Config.Pool lead, and that must be the
// primary: a replica lags, and would tell of a revoked key that it is good. A watch
// that looks for changes refuses one; none can be listened to.
//
// # Security notes
//
// What is permanent in a key, app or grant, that a revoked one stays revoked, and
// that a code or refresh token is used once, is enforced by triggers as well,
// against every program that writes to the tables. Errors name what failed but
// never a row's values. The role needs to own the tables to migrate them. Afterwards
// SELECT, INSERT and UPDATE suffice for keys, accounts and users, and SELECT on changes and forgotten with
// Config.Poll; the triggers write these with the owner's rights. What is used once
// or forgotten needs DELETE as well: on replays for storage.Replays; on blocks,
// consents, tokens and pushed for storage.Apps and storage.Grants; on all tables for
// upkeep (storage.Operator and the methods named Prune).
package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/strikeplate/strikeplate/internal/watchers"
)

// Config says where the records are. The zero value is refused.
type Config struct {
	// URL is the database, as a URL or as keywords and values; pgx's settings
	// such as pool_max_conns may follow. Empty: Pool is used.
	URL string
	// Pool is the embedder's own; [Store.Close] leaves it open. Nil: URL is used.
	Pool *pgxpool.Pool
	// ListenURL is where the change feed connects, past a pooler that loses
	// LISTEN. It must lead to the same database. Empty: like the pool.
	ListenURL string
	// Poll looks for changes twice a second in a table, by the pool, instead of
	// listening: for where no address leads past the pooler, or where there are
	// more instances than the server should have listeners. URL or Pool must lead
	// to the primary. False: changes are listened for.
	Poll bool
	// Bell makes those who Poll look at once, so that a change reaches them in
	// milliseconds; give it to each instance, those that listen included. Nil: it
	// reaches them with the next look.
	Bell Bell
	// Schema holds the tables; it is created if missing. Empty: the first one in
	// the connection's search_path.
	Schema string
	// Prefix begins each table's name. Empty: "strikeplate_".
	Prefix string
	// SkipMigrations leaves the tables to another tool; Open then only checks
	// their version. False: Open brings them up to date.
	SkipMigrations bool
	// Logger hears when the feed breaks and when it is mended. Nil: nobody does.
	Logger *slog.Logger
}

// Store implements storage.Keys, storage.Audit, storage.EditableDirectory,
// storage.Feed, storage.Operator, storage.Usage, storage.Replays, storage.Apps and
// storage.Grants. It is safe for concurrent use. Make one with [Open].
type Store struct {
	pool    *pgxpool.Pool
	ownPool bool
	listen  *pgx.ConnConfig // nil: the pool's
	sql     statements
	channel string // where the triggers announce changes
	polls   bool   // looks for changes, instead of listening
	bell    Bell   // nil: there is none
	logger  *slog.Logger

	watchers watchers.Hub
}

// Open connects, brings the tables up to date, and refuses tables of a newer
// version than this program knows. Any number of instances may open at once.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if !identifier.MatchString(c.Prefix) || c.Schema != "" && !identifier.MatchString(c.Schema) {
		return nil, fmt.Errorf("postgres: Schema %q and Prefix %q must match %v", c.Schema, c.Prefix, identifier)
	}
	if (c.URL == "") == (c.Pool == nil) {
		return nil, errors.New("postgres: Config needs either URL or Pool")
	}
	if c.Poll && c.ListenURL != "" {
		return nil, errors.New("postgres: Config.Poll is for where nothing listens, so ListenURL must be empty")
	}
	s := &Store{
		pool:    c.Pool,
		ownPool: c.Pool == nil,
		sql:     rendered(c.Schema, c.Prefix),
		logger:  c.Logger,
		polls:   c.Poll,
		bell:    c.Bell,
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if err := s.connect(ctx, c); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, c); err != nil {
		if s.ownPool {
			s.pool.Close()
		}
		return nil, err
	}
	if s.bell != nil {
		s.ring()
	}
	return s, nil
}

// connect parses the addresses. Their parse errors may quote a password, so
// they are not passed on.
func (s *Store) connect(ctx context.Context, c Config) error {
	var err error
	if c.ListenURL != "" {
		if s.listen, err = pgx.ParseConfig(c.ListenURL); err != nil {
			return errors.New("postgres: Config.ListenURL is not a connection string")
		}
	}
	if s.pool != nil {
		return nil
	}
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return errors.New("postgres: Config.URL is not a connection string")
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return fmt.Errorf("postgres: open: %w", err)
	}
	return nil
}

// prepare migrates and finds out what the database alone knows: where the
// tables are.
func (s *Store) prepare(ctx context.Context, c Config) error {
	if err := migrate(ctx, s.pool, c.Schema, s.sql, c.SkipMigrations); err != nil {
		return err
	}
	var schema string
	if err := s.pool.QueryRow(ctx, s.sql.where).Scan(&schema); err != nil {
		return failed("find the tables", err)
	}
	s.channel = channelName(schema, c.Prefix)
	return nil
}

// Close ends every watch, and the pool if [Open] made it. It waits for calls
// under way, at most until ctx ends.
func (s *Store) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s.watchers.Close(ctx) == nil && s.ownPool {
			s.pool.Close()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("postgres: close: %w", ctx.Err())
	}
}

// Ready reports whether the store can serve: the database answers, its tables
// are not older than this program needs, and its clock is within five seconds of
// this machine's, since expiry is judged by both. Newer tables are fine here,
// though not for [Open]: an instance that runs keeps running while its
// successors migrate.
func (s *Store) Ready(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return failed("ready", err)
	}
	defer conn.Release()
	// The first execution may prepare the statement, another round trip: the
	// second is the one to measure by.
	var version int
	var theirs time.Time
	for range 2 {
		sent := time.Now()
		if err := conn.QueryRow(ctx, s.sql.ready).Scan(&version, &theirs); err != nil {
			return failed("ready", err)
		}
		trip := time.Since(sent)
		err = skewed(theirs.Sub(sent.Add(trip/2)), trip)
	}
	if version < newest() {
		return fmt.Errorf("postgres: the tables have version %d, this program needs %d", version, newest())
	}
	return err
}

// maxSkew is how far the clocks may be apart.
const maxSkew = 5 * time.Second

// skewed judges a difference that was measured over a round trip, whose half is
// how far the measurement may be off.
func skewed(skew, trip time.Duration) error {
	if skew.Abs()-trip/2 > maxSkew {
		return fmt.Errorf("postgres: the database's clock is %v off this machine's, more than %v",
			skew.Round(time.Millisecond), maxSkew)
	}
	return nil
}

const (
	defaultPrefix  = "strikeplate_"
	connectTimeout = 5 * time.Second
)

// identifier is what may be substituted into SQL.
var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,30}$`)

// substitute names the tables of a schema and prefix in SQL that was written
// for the default ones. Both match identifier.
func substitute(sql, schema, prefix string) string {
	if schema != "" {
		prefix = `"` + schema + `".` + prefix
	}
	return strings.ReplaceAll(sql, defaultPrefix, prefix)
}

// channelName is the name that the trigger strikeplate_changed computes.
func channelName(schema, prefix string) string {
	sum := sha256.Sum256([]byte(schema + "." + prefix))
	return prefix + hex.EncodeToString(sum[:])[:32]
}
