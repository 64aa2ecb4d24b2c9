// Package processtest runs server programs for tests: what pgtest, redistest
// and mariatest have in common.
//
// A [Server] is a program in a process group of its own making, on a free port
// of the loopback interface, with a temporary directory that only its user
// reads. It can be killed, paused and restarted, and on Linux it dies with the
// test binary, however that ends.
//
// # Security notes
//
// Most servers refuse root, so under root a server runs as [Config.Account], or
// nobody. It gets none of the tester's environment but PATH.
package processtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// How long a server may take to come up or to go down on a loaded machine.
const patience = 60 * time.Second

// Config describes a server program.
type Config struct {
	// Name is the harness, for messages and for the directory's name.
	Name string
	// Account is the user that the server runs as under root. Where there is no
	// such user, it is nobody.
	Account string
	// Prepare makes what the program needs before its first start. Nil: nothing.
	Prepare func(s *Server) error
	// Command returns the program and its arguments, for the first start and for
	// each after it.
	Command func(s *Server) []string
	// Ready returns nil once the server answers. It is asked again and again.
	Ready func(s *Server) error
	// Quit ends the program at once, in a way that lets it clear up after itself.
	// Zero: SIGKILL, for a server that leaves nothing outside its directory.
	Quit syscall.Signal
}

// Server is one running program. Its methods are for one goroutine.
type Server struct {
	config  Config
	account *account
	dir     string
	port    int
	process *process // nil while the server is down
}

// Start prepares and starts a server, and returns when it answers. The error
// wraps a [MissingError] if Prepare or Command's program isn't there.
func Start(c Config) (*Server, error) {
	s := &Server{config: c, account: accountOf(c.Account)}
	var err error
	if s.dir, err = s.account.directory("strikeplate-" + c.Name + "-"); err != nil {
		return nil, err
	}
	if c.Prepare != nil {
		err = c.Prepare(s)
	}
	// Somebody may take the free port before the server does: it ends then.
	for try := 0; err == nil && try < 5; try++ {
		if s.port, err = freePort(); err != nil {
			break
		}
		if err = s.run(); !errors.Is(err, errEnded) {
			break
		}
		if try < 4 {
			err = nil
		}
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Dir is the server's directory. It is deleted when the server is stopped.
func (s *Server) Dir() string { return s.dir }

// Port is where the server listens, on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// PID is the process's number, 0 while the server is down.
func (s *Server) PID() int {
	if s.process == nil {
		return 0
	}
	return s.process.pid
}

// WriteFile writes a file into the server's directory that its user alone reads,
// and returns its path.
func (s *Server) WriteFile(name, text string) (string, error) {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", err
	}
	return path, s.account.handOver(path)
}

// Run runs a program to its end, as the server's user.
func (s *Server) Run(program string, args ...string) error {
	if out, err := s.command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

// Kill ends the server and its children with SIGKILL, as a crash would.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// Quit ends the server by the signal of its [Config], as an operator does, and
// leaves its directory. It returns when the process has ended.
func (s *Server) Quit() {
	if s.process != nil {
		s.process.quit(s.config.quit())
		s.process = nil
	}
}

// Restart starts a server that is down again, on the same port with the same
// directory; one that runs is killed first. It returns when the server answers.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		tb.Fatalf("%s: restart: %v", s.config.Name, err)
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

// Stop ends the server and deletes its directory. Stopping twice is harmless.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.resume()
	}
	s.Quit()
	_ = os.RemoveAll(s.dir)
}

func (c Config) quit() syscall.Signal {
	if c.Quit == 0 {
		return syscall.SIGKILL
	}
	return c.Quit
}

// errEnded: the program ended instead of answering.
var errEnded = errors.New("the server ended while starting")

// run starts the process and waits until it answers.
func (s *Server) run() error {
	log := filepath.Join(s.dir, "log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // in the directory that was made for it
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	line := s.config.Command(s)
	cmd := s.command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	p, err := launch(cmd, s.config.quit())
	if err != nil {
		return err
	}
	if err := s.await(p); err != nil {
		p.kill()
		text, _ := os.ReadFile(log) //nolint:gosec // likewise
		return fmt.Errorf("%w\n%s", err, text)
	}
	s.process = p
	return nil
}

// await polls until the server answers: the servers have no sign in common that
// a program could wait for.
func (s *Server) await(p *process) error {
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return errors.Join(errEnded, p.err) // nil if it ended well
		case <-deadline:
			return fmt.Errorf("the server did not answer within %v", patience)
		case <-tick.C:
			if s.config.Ready(s) == nil {
				return nil
			}
		}
	}
}

// command prepares a program to run as the server's user.
func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // to run the servers that it finds is what it is for, until Stop
	cmd.Dir = s.dir
	// The tester's PGDATA, MYSQL_HOME and locale must not leak in.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C", "TZ=UTC"}
	s.account.demote(cmd)
	return cmd
}

func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// directory makes a directory that the server's user owns and can reach.
func (a *account) directory(prefix string) (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if !a.traversable(parent) {
			continue
		}
		dir, err := os.MkdirTemp(parent, prefix)
		if err != nil {
			continue
		}
		return dir, a.handOver(dir)
	}
	return "", errors.New("no temporary directory that the server's user can reach: set TMPDIR")
}
