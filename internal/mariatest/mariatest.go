// Package mariatest starts real, throw-away MariaDB servers for tests, from the
// binaries that are installed.
//
// The common case, a fresh database on a server that the tests of one binary
// share:
//
//	func TestMain(m *testing.M) { os.Exit(mariatest.Main(m)) }
//
//	func TestStore(t *testing.T) {
//		db, err := sql.Open("mysql", mariatest.Database(t))
//		…
//	}
//
// A test that kills or pauses MariaDB calls [Start] for a server of its own.
//
// Where MariaDB is not installed the test is skipped, and says how to install it;
// with STRIKEPLATE_REQUIRE_SERVICES=1 in the environment it fails instead.
//
// # Security notes
//
// A server listens on 127.0.0.1 only; MariaDB insists on a Unix socket, which is
// in the server's own directory. Its one user who can sign in is root, from
// 127.0.0.1, with a password that is made anew for each server. It reads no option file. Under root
// it runs as the user mysql, or nobody. A killed process loses nothing that was
// committed, a power cut would.
package mariatest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/strikeplate/strikeplate/internal/processtest"
)

// How long a statement of this package may take on a loaded machine.
const patience = 60 * time.Second

// Server is one MariaDB server, with the methods of [processtest.Server] that
// kill, restart, pause and stop it. They are for one goroutine.
type Server struct {
	*processtest.Server
	password string
}

// Start starts a server of the caller's own, stopped when tb ends. Settings are
// written as on mariadbd's command line, such as "--max-connections=20".
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s, err := start(settings)
	if err != nil {
		processtest.GiveUp(tb, "mariatest", err)
	}
	tb.Cleanup(s.Stop)
	return s
}

var shared = processtest.Shared[*Server]{Name: "mariatest", Start: func() (*Server, error) { return start(nil) }}

// Main runs the tests and stops the shared server after them. It returns the
// exit code. Without it the shared server ends with the test binary, but leaves
// its directory behind.
func Main(m *testing.M) int { return shared.Main(m) }

// Database creates an empty database (utf8mb4) on the server that all tests of
// this binary share, and returns its data source name for the driver "mysql",
// which reads times as time.Time in UTC. It is dropped when tb ends.
func Database(tb testing.TB) string {
	tb.Helper()
	server, n := shared.Get(tb)
	name := "test" + strconv.Itoa(n)
	if err := server.exec("CREATE DATABASE " + name + " CHARACTER SET utf8mb4"); err != nil {
		tb.Fatalf("mariatest: %v", err)
	}
	tb.Cleanup(func() {
		if err := server.exec("DROP DATABASE " + name); err != nil {
			tb.Errorf("mariatest: %v", err)
		}
	})
	return source(server.Server, server.password, name)
}

// DSN returns the data source name of the server's database "mysql", with the
// rights of root.
func (s *Server) DSN() string { return source(s.Server, s.password, "mysql") }

func source(p *processtest.Server, password, database string) string {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName, c.ParseTime = "root", password, database, true
	c.Net, c.Addr = "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port()))
	return c.FormatDSN()
}

func start(settings []string) (*Server, error) {
	directories := processtest.Path("/usr/bin", "/usr/sbin", "/usr/local/sbin")
	install, ok1 := processtest.Find(directories, "mariadb-install-db")
	server, ok2 := processtest.Find(directories, "mariadbd")
	if !ok1 || !ok2 {
		return nil, processtest.MissingError{Text: "mariadbd and mariadb-install-db are neither in PATH nor in /usr/sbin; " +
			"to run this test install them (Debian: apt-get install mariadb-server)"}
	}
	s := &Server{password: rand.Text()}
	var err error
	s.Server, err = processtest.Start(processtest.Config{
		Name:    "maria",
		Account: "mysql",
		Prepare: func(p *processtest.Server) error {
			return initialise(p, filepath.Join(install, "mariadb-install-db"), s.password)
		},
		Command: func(p *processtest.Server) []string {
			return command(p, filepath.Join(server, "mariadbd"), settings)
		},
		Ready: func(p *processtest.Server) error {
			return exec(source(p, s.password, "mysql"), "DO 1")
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// initialise creates the data directory with one user, who has the password.
func initialise(p *processtest.Server, program, password string) error {
	users, err := p.WriteFile("users.sql", fmt.Sprintf("DELETE FROM mysql.global_priv WHERE user <> 'mariadb.sys';\nFLUSH PRIVILEGES;\n"+
		"CREATE USER root@'127.0.0.1' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n", password))
	if err != nil {
		return err
	}
	if err := p.Run(program, "--no-defaults", "--datadir="+data(p), "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve", "--innodb-flush-method=nosync", "--extra-file="+users); err != nil {
		return err
	}
	return os.Remove(users)
}

func command(p *processtest.Server, program string, settings []string) []string {
	return append([]string{
		program, "--no-defaults", "--datadir=" + data(p),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(p.Port()), "--skip-name-resolve",
		"--socket=" + filepath.Join(p.Dir(), "socket"), "--pid-file=" + filepath.Join(p.Dir(), "pid"),
		"--character-set-server=utf8mb4", "--max-connections=300", "--skip-log-bin",
		"--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
		// A killed process loses nothing by this, a power cut would.
		"--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync",
	}, settings...)
}

func data(p *processtest.Server) string { return filepath.Join(p.Dir(), "data") }

func (s *Server) exec(query string) error { return exec(s.DSN(), query) }

func exec(dsn, query string) error {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return err
	}
	config.Logger = &mysql.NopLogger{} // a server that isn't up yet is no news
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, query)
	return err
}
