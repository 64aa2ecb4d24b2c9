// Package pgtest starts real, throw-away PostgreSQL servers for tests, from the
// binaries that are installed.
//
// The common case, a fresh database on a server that the tests of one binary
// share:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	func TestStore(t *testing.T) {
//		pool, err := pgxpool.New(ctx, pgtest.Database(t))
//		…
//	}
//
// A test that kills or pauses PostgreSQL calls [Start] for a server of its own.
//
// Where PostgreSQL is not installed the test is skipped, and says how to install
// it; with STRIKEPLATE_REQUIRE_SERVICES=1 in the environment it fails instead.
//
// # Security notes
//
// A server listens on 127.0.0.1 only, has no Unix socket, and wants a password
// that is made anew for each. Its data is in a directory that only its user
// reads. initdb refuses root, so under root the server runs as the user
// postgres, or nobody. Durability is off (fsync) unless a setting turns it on.
package pgtest

import (
	"context"
	"crypto/rand"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/internal/processtest"
)

// How long a statement of this package may take on a loaded machine.
const patience = 60 * time.Second

// Server is one PostgreSQL server, with the methods of [processtest.Server] that
// kill, restart, pause and stop it. They are for one goroutine.
type Server struct {
	*processtest.Server
	password string
	strategy string // of CREATE DATABASE
}

// Start starts a server of the caller's own, stopped when tb ends. Settings are
// written as in postgresql.conf, such as "fsync=on" or "max_connections=20".
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s, err := Open(settings...)
	if err != nil {
		processtest.GiveUp(tb, "pgtest", err)
	}
	tb.Cleanup(s.Stop)
	return s
}

var shared = processtest.Shared[*Server]{Name: "pgtest", Start: func() (*Server, error) { return Open() }}

// Main runs the tests and stops the shared server after them. It returns the
// exit code. Without it the shared server ends with the test binary, but leaves
// its directory behind.
func Main(m *testing.M) int { return shared.Main(m) }

// Database creates an empty database on the server that all tests of this
// binary share, and returns its URL. It is dropped when tb ends.
func Database(tb testing.TB) string {
	tb.Helper()
	server, n := shared.Get(tb)
	return server.create(tb, "test"+strconv.Itoa(n), "template1")
}

// Template is a database that is filled once, and copied for each test that wants
// what is in it: a schema, say, that takes longer to make than to copy. It is for
// tests of one binary, on the server that they share.
type Template struct {
	// Fill is given the URL of an empty database. It leaves no connection open.
	Fill func(url string) error

	once sync.Once
	name string
	err  error
}

// Database is [Database], but a copy of what Fill made.
func (t *Template) Database(tb testing.TB) string {
	tb.Helper()
	server, n := shared.Get(tb)
	t.once.Do(func() {
		t.name = "tables" + strconv.Itoa(n) // "template1" is PostgreSQL's own
		if t.err = server.exec("CREATE DATABASE " + t.name); t.err == nil {
			t.err = t.Fill(server.database(t.name))
		}
	})
	if t.err != nil {
		tb.Fatalf("pgtest: template: %v", t.err)
	}
	return server.create(tb, "test"+strconv.Itoa(n), t.name)
}

// create copies a database, and drops the copy when tb ends.
func (s *Server) create(tb testing.TB, name, template string) string {
	tb.Helper()
	if err := s.exec("CREATE DATABASE " + name + " TEMPLATE " + template + s.strategy); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return s.database(name)
}

// URL returns the URL of the server's database "postgres", with the rights of a
// superuser.
func (s *Server) URL() string { return s.database("postgres") }

func (s *Server) database(name string) string {
	return location(s.Server, s.password, name)
}

func location(p *processtest.Server, password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port())),
		Path:     database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Open is [Start] for a program that is no test: it stops the server itself. The
// error is a [processtest.MissingError] where PostgreSQL is not installed.
func Open(settings ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{password: rand.Text()}
	s.Server, err = processtest.Start(processtest.Config{
		Name:    "pg",
		Account: "postgres",
		Prepare: func(p *processtest.Server) error { return initialise(p, bin, s.password) },
		Command: func(p *processtest.Server) []string { return command(p, bin, settings) },
		Ready: func(p *processtest.Server) error {
			return exec(location(p, s.password, "postgres"), "SELECT 1")
		},
		Quit: syscall.SIGQUIT, // an "immediate shutdown": shared memory is given back
	})
	if err != nil {
		return nil, err
	}
	if s.strategy, err = copying(s.URL()); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// copying is how CREATE DATABASE copies files without writing each page to the
// log as well. Before version 15 it knows no other way.
func copying(url string) (option string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, "SELECT CASE WHEN current_setting('server_version_num')::int >= 150000 THEN ' STRATEGY file_copy' ELSE '' END").Scan(&option)
	return option, err
}

// initialise creates the data directory.
func initialise(p *processtest.Server, bin, password string) error {
	secret, err := p.WriteFile("password", password)
	if err != nil {
		return err
	}
	if err := p.Run(filepath.Join(bin, "initdb"), "--pgdata", data(p), "--username", "postgres", "--pwfile", secret,
		"--auth", "password", "--encoding", "UTF8", "--no-locale", "--no-sync"); err != nil {
		return err
	}
	return os.Remove(secret)
}

func command(p *processtest.Server, bin string, settings []string) []string {
	settings = append([]string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "port=" + strconv.Itoa(p.Port()),
		"max_connections=300", "shared_buffers=64MB", "log_min_messages=fatal",
		// A killed process loses nothing by this, a power cut would.
		"fsync=off", "full_page_writes=off",
	}, settings...)
	line := []string{filepath.Join(bin, "postgres"), "-D", data(p)}
	for _, setting := range settings {
		line = append(line, "-c", setting)
	}
	return line
}

func data(p *processtest.Server) string { return filepath.Join(p.Dir(), "data") }

func (s *Server) exec(sql string) error { return exec(s.URL(), sql) }

func exec(url, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// binaries finds the directory of the installation: PATH first, then where
// Debian puts it, newest first.
func binaries() (string, error) {
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(installed, func(a, b string) int { return major(b) - major(a) })
	if dir, ok := processtest.Find(processtest.Path(installed...), "initdb", "postgres"); ok {
		return dir, nil
	}
	return "", processtest.MissingError{Text: "PostgreSQL's initdb and postgres are neither in PATH nor in /usr/lib/postgresql/*/bin; " +
		"to run this test install them (Debian: apt-get install postgresql)"}
}

// major is the version in a path such as /usr/lib/postgresql/15/bin.
func major(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}
