package processtest_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/processtest"
)

// shell is a server of one line of sh.
func shell(line string) processtest.Config {
	return processtest.Config{
		Name:    "shell",
		Account: "nobody",
		Command: func(*processtest.Server) []string { return []string{"/bin/sh", "-c", line} },
		Ready:   func(*processtest.Server) error { return nil },
	}
}

func start(t *testing.T, c processtest.Config) *processtest.Server {
	t.Helper()
	if _, err := exec.LookPath("/bin/sh"); err != nil {
		t.Skip("needs a shell")
	}
	s, err := processtest.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Whoever takes the port first wins; the server goes to another one.
func TestServerThatEndsWhileStartingGetsAnotherPort(t *testing.T) {
	var ports []int
	c := shell("")
	c.Command = func(s *processtest.Server) []string {
		ports = append(ports, s.Port())
		if len(ports) < 3 {
			return []string{"/bin/sh", "-c", "exit 1"}
		}
		return []string{"/bin/sleep", "1000"}
	}
	c.Ready = func(*processtest.Server) error {
		if len(ports) < 3 {
			return errors.New("not yet")
		}
		return nil
	}
	s := start(t, c)
	if len(ports) != 3 || s.Port() != ports[2] {
		t.Errorf("ports %v, at last %d; want three tries", ports, s.Port())
	}
}

func TestServerThatNeverStartsTellsItsLog(t *testing.T) {
	c := shell("echo why not >&2; exit 3")
	c.Ready = func(*processtest.Server) error { return errors.New("not yet") }
	var dir string
	c.Prepare = func(s *processtest.Server) error { dir = s.Dir(); return nil }
	_, err := processtest.Start(c)
	if err == nil || !strings.Contains(err.Error(), "why not") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v; want the log and the status in it", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory of a failed start: %v; want that it doesn't exist", err)
	}
}

func TestFailedPreparationIsTold(t *testing.T) {
	c := shell("sleep 1000")
	c.Prepare = func(s *processtest.Server) error { return s.Run("/bin/sh", "-c", "echo no room; exit 4") }
	_, err := processtest.Start(c)
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("error %v; want the program's output in it", err)
	}
}

// A server's children go with it, and its environment is not the tester's.
func TestKillEndsTheChildren(t *testing.T) {
	t.Setenv("PGDATA", "leaks")
	c := shell(`env > env; sleep 1000 & echo $! > child.new; mv child.new child; wait`)
	c.Ready = func(s *processtest.Server) error {
		_, err := os.Stat(filepath.Join(s.Dir(), "child"))
		return err
	}
	s := start(t, c)
	environment := read(t, filepath.Join(s.Dir(), "env"))
	if strings.Contains(environment, "leaks") || !strings.Contains(environment, "LC_ALL=C") {
		t.Errorf("the server's environment is\n%s", environment)
	}
	child, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(s.Dir(), "child"))))
	if err != nil {
		t.Fatal(err)
	}
	if !runs(child) {
		t.Fatal("the child doesn't run")
	}
	s.Kill()
	if runs(child) {
		t.Error("a child outlives its killed server")
	}
	s.Kill() // twice is harmless
}

func TestPauseAndResume(t *testing.T) {
	s := start(t, shell("while :; do date +%N > beat; sleep 0.01; done"))
	beat := func() string { b, _ := os.ReadFile(filepath.Join(s.Dir(), "beat")); return string(b) }
	changes := func(within time.Duration) bool {
		first, tick := beat(), time.NewTicker(5*time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(within); time.Now().Before(deadline); <-tick.C {
			if now := beat(); now != first && now != "" {
				return true
			}
		}
		return false
	}
	if !changes(time.Minute) {
		t.Fatal("the server does nothing")
	}
	s.Pause()
	if changes(200 * time.Millisecond) {
		t.Error("a paused server works")
	}
	s.Resume()
	if !changes(time.Minute) {
		t.Error("a resumed server doesn't work")
	}
}

func TestQuitIsSentFirst(t *testing.T) {
	c := shell(`trap 'echo bye > quit; sleep 0.2; exit' QUIT; touch ready; while :; do sleep 0.05; done`)
	c.Quit = syscall.SIGQUIT
	c.Ready = func(s *processtest.Server) error {
		_, err := os.Stat(filepath.Join(s.Dir(), "ready"))
		return err
	}
	s := start(t, c)
	said := make(chan bool, 1)
	stop := make(chan struct{})
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				said <- false
				return
			case <-tick.C:
				if b, _ := os.ReadFile(filepath.Join(s.Dir(), "quit")); string(b) == "bye\n" {
					said <- true
					return
				}
			}
		}
	}()
	s.Stop()
	close(stop)
	if !<-said {
		t.Error("the server was not asked to quit")
	}
	if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
		t.Errorf("directory after Stop: %v; want that it doesn't exist", err)
	}
}

func TestDirectoryIsTheServersOwn(t *testing.T) {
	c := shell("sleep 1000")
	c.Prepare = func(s *processtest.Server) error {
		path, err := s.WriteFile("secret", "x")
		if err != nil {
			return err
		}
		return s.Run("/bin/sh", "-c", "cat "+path+" > copy")
	}
	s := start(t, c)
	if got := read(t, filepath.Join(s.Dir(), "copy")); got != "x" {
		t.Errorf("the server's user read %q of its file, want x", got)
	}
	for path, want := range map[string]os.FileMode{s.Dir(): 0o700, filepath.Join(s.Dir(), "secret"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestPortIsFree(t *testing.T) {
	s := start(t, shell("sleep 1000"))
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port())))
	if err != nil {
		t.Fatalf("port %d: %v", s.Port(), err)
	}
	_ = l.Close()
}

// recorder stands in for a test that gives up.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper()          {}
func (r *recorder) Skip(args ...any) { r.said = "skip: " + fmt.Sprint(args...); panic(r) }
func (r *recorder) Fatalf(format string, args ...any) {
	r.said = fmt.Sprintf(format, args...)
	panic(r)
}

func TestMissingServers(t *testing.T) {
	missing := fmt.Errorf("start: %w", processtest.MissingError{Text: "apt-get install it"})
	for _, c := range []struct {
		require, want string
		err           error
	}{
		{"", "skip: apt-get install it", missing},
		{"1", "xtest: start: apt-get install it", missing},
		{"", "xtest: broken", errors.New("broken")},
	} {
		t.Setenv("STRIKEPLATE_REQUIRE_SERVICES", c.require)
		r := &recorder{TB: t}
		func() {
			defer func() { _ = recover() }()
			processtest.GiveUp(r, "xtest", c.err)
		}()
		if r.said != c.want {
			t.Errorf("required %q, %v: said %q, want %q", c.require, c.err, r.said, c.want)
		}
	}
}

func TestFindWantsAllProgramsInOneDirectory(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for path, mode := range map[string]os.FileMode{
		filepath.Join(a, "one"): 0o700, filepath.Join(a, "two"): 0o600,
		filepath.Join(b, "one"): 0o700, filepath.Join(b, "two"): 0o700,
	} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if dir, ok := processtest.Find([]string{a, b}, "one", "two"); !ok || dir != b {
		t.Errorf("found %q, %v; want the directory with both", dir, ok)
	}
	if dir, ok := processtest.Find([]string{a}, "one", "two"); ok {
		t.Errorf("found %q, where one is no program", dir)
	}
}

// runs reports whether a process is there and no zombie.
func runs(pid int) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		return !strings.Contains(string(stat), ") Z")
	}
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
