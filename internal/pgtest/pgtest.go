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
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// How long a server may take to come up or to go down on a loaded machine.
const patience = 60 * time.Second

// Server is one PostgreSQL server. Its methods are for one goroutine.
type Server struct {
	bin, dir, password string
	port               int
	settings           []string
	process            *process // nil while the server is down
}

// Start starts a server of the caller's own, stopped when tb ends. Settings are
// written as in postgresql.conf, such as "fsync=on" or "max_connections=20".
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s, err := start(settings)
	if err != nil {
		giveUp(tb, err)
	}
	tb.Cleanup(s.Stop)
	return s
}

var shared struct {
	sync.Mutex
	server    *Server
	err       error
	databases int
}

// Main runs the tests and stops the shared server after them. It returns the
// exit code. Without it the shared server ends with the test binary, but leaves
// its directory behind.
func Main(m *testing.M) int {
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.server != nil {
			shared.server.Stop()
		}
	}()
	return m.Run()
}

// Database creates an empty database on the server that all tests of this
// binary share, and returns its URL. It is dropped when tb ends.
func Database(tb testing.TB) string {
	tb.Helper()
	shared.Lock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = start(nil)
	}
	server, err := shared.server, shared.err
	shared.databases++
	name := "test" + strconv.Itoa(shared.databases)
	shared.Unlock()
	if err != nil {
		giveUp(tb, err)
	}

	if err := server.exec("CREATE DATABASE " + name); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := server.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return server.database(name)
}

// giveUp skips tb where PostgreSQL is missing, and fails it otherwise.
func giveUp(tb testing.TB, err error) {
	tb.Helper()
	var missing missingError
	if errors.As(err, &missing) && os.Getenv("STRIKEPLATE_REQUIRE_SERVICES") != "1" {
		tb.Skip(missing)
	}
	tb.Fatalf("pgtest: %v", err)
}

// URL returns the URL of the server's database "postgres", with the rights of a
// superuser.
func (s *Server) URL() string { return s.database("postgres") }

func (s *Server) database(name string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     name,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Kill ends the server and its children with SIGKILL, as a crash would.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// Restart starts a server that is down again, on the same port with the same
// data; one that runs is killed first. It returns when the server answers.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		tb.Fatalf("pgtest: restart: %v", err)
	}
}

// Pause stops the server and its children in their tracks (SIGSTOP):
// connections stay open, and nobody answers.
func (s *Server) Pause() {
	if s.process != nil {
		s.process.pause()
	}
}

// Resume undoes [Server.Pause].
func (s *Server) Resume() {
	if s.process != nil {
		s.process.resume()
	}
}

// Stop ends the server and deletes its data. Stopping twice is harmless.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.resume()
		s.process.quit()
		s.process = nil
	}
	_ = os.RemoveAll(s.dir)
}

func start(settings []string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := directory()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, password: rand.Text(), settings: settings}
	if err := s.init(); err != nil {
		s.Stop()
		return nil, err
	}
	// Somebody may take the free port before the server does.
	for range 5 {
		if s.port, err = freePort(); err != nil {
			break
		}
		if err = s.run(); err == nil || !strings.Contains(s.log(), "could not bind") {
			break
		}
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// init creates the data directory.
func (s *Server) init() error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := handOver(secret); err != nil {
		return err
	}
	cmd := s.command("initdb", "--pgdata", s.data(), "--username", "postgres", "--pwfile", secret,
		"--auth", "password", "--encoding", "UTF8", "--no-locale", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return os.Remove(secret)
}

// run starts the server process and waits until it answers.
func (s *Server) run() error {
	settings := append([]string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "port=" + strconv.Itoa(s.port),
		"max_connections=300", "shared_buffers=64MB", "log_min_messages=fatal",
		// A killed process loses nothing by this, a power cut would.
		"fsync=off", "full_page_writes=off",
	}, s.settings...)
	args := []string{"-D", s.data()}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	out, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd := s.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = out, out
	p, err := launch(cmd)
	if err != nil {
		return err
	}
	if err := s.await(p); err != nil {
		p.kill()
		return fmt.Errorf("%w\n%s", err, s.log())
	}
	s.process = p
	return nil
}

// await polls until the server answers: PostgreSQL has no other sign that a
// program could wait for without a notification socket.
func (s *Server) await(p *process) error {
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return fmt.Errorf("postgres ended while starting: %w", p.err)
		case <-deadline:
			return fmt.Errorf("postgres did not answer within %v", patience)
		case <-tick.C:
			if s.exec("SELECT 1") == nil {
				return nil
			}
		}
	}
}

func (s *Server) exec(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

func (s *Server) data() string    { return filepath.Join(s.dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

func (s *Server) log() string {
	text, _ := os.ReadFile(s.logFile())
	return string(text)
}

// command prepares a program of the installation, to run as the server's user.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	// The tester's PGDATA, PGPORT and locale must not leak in.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C", "TZ=UTC"}
	demote(cmd)
	return cmd
}

// missingError says that PostgreSQL is not installed.
type missingError struct{}

func (missingError) Error() string {
	return "PostgreSQL's initdb and postgres are neither in PATH nor in /usr/lib/postgresql/*/bin; " +
		"to run this test install them (Debian: apt-get install postgresql)"
}

// binaries finds the directory of the installation: PATH first, then where
// Debian puts it, newest first.
func binaries() (string, error) {
	candidates := filepath.SplitList(os.Getenv("PATH"))
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(installed, func(a, b string) int { return major(b) - major(a) })
	for _, dir := range append(candidates, installed...) {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", missingError{}
}

// major is the version in a path such as /usr/lib/postgresql/15/bin.
func major(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// directory makes a directory that the server's user owns and can reach.
func directory() (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if !traversable(parent) {
			continue
		}
		dir, err := os.MkdirTemp(parent, "strikeplate-pg-")
		if err != nil {
			continue
		}
		return dir, handOver(dir)
	}
	return "", fmt.Errorf("no temporary directory that the server's user can reach: set TMPDIR")
}
