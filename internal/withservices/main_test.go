//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/processtest"
)

// child makes this test binary be the program.
const child = "STRIKEPLATE_WITHSERVICES_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		main()
	}
	os.Exit(m.Run())
}

// fake is a server that is only told to stop.
type fake struct{ stopped *bool }

func (f fake) URL() string { return "fake://127.0.0.1:1/it" }
func (f fake) Stop()       { *f.stopped = true }

const variable = "STRIKEPLATE_WITHSERVICES_FAKE"

// sh runs a line of sh with one service.
func sh(t *testing.T, line string, start func() (server, error)) (code int, said string) {
	t.Helper()
	var complaints bytes.Buffer
	code = run([]string{"/bin/sh", "-c", line}, []service{{variable, start}}, nil, &complaints)
	return code, complaints.String()
}

func TestTheCommandsExitCodeIsTold(t *testing.T) {
	for line, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143} {
		var stopped bool
		code, said := sh(t, line, func() (server, error) { return fake{&stopped}, nil })
		if code != want || said != "" || !stopped {
			t.Errorf("%s: %d, stopped %v, %q; want %d", line, code, stopped, said, want)
		}
	}
}

func TestTheCommandFindsTheAddress(t *testing.T) {
	var stopped bool
	line := fmt.Sprintf(`[ "$%s" = fake://127.0.0.1:1/it ]`, variable)
	if code, _ := sh(t, line, func() (server, error) { return fake{&stopped}, nil }); code != 0 {
		t.Errorf("code %d", code)
	}
	t.Setenv(variable, "the user's own")
	line = fmt.Sprintf(`[ "$%s" = "the user's own" ]`, variable)
	code, _ := sh(t, line, func() (server, error) { t.Error("a server is started for nothing"); return nil, errors.New("no") })
	if code != 0 {
		t.Errorf("code %d", code)
	}
}

func TestMissingServers(t *testing.T) {
	missing := func() (server, error) {
		return nil, fmt.Errorf("start: %w", processtest.MissingError{Text: "apt-get install it"})
	}
	t.Setenv("STRIKEPLATE_REQUIRE_SERVICES", "")
	if code, said := sh(t, fmt.Sprintf(`[ -z "$%s" ]`, variable), missing); code != 0 || !strings.Contains(said, "apt-get install it") {
		t.Errorf("code %d, %q", code, said)
	}
	t.Setenv("STRIKEPLATE_REQUIRE_SERVICES", "1")
	if code, said := sh(t, "exit 0", missing); code != failed || !strings.Contains(said, "apt-get install it") {
		t.Errorf("required: code %d, %q", code, said)
	}
}

func TestWhatCantRun(t *testing.T) {
	t.Setenv("STRIKEPLATE_REQUIRE_SERVICES", "")
	broken := func() (server, error) { return nil, errors.New("no room") }
	if code, said := sh(t, "exit 0", broken); code != failed || !strings.Contains(said, "no room") {
		t.Errorf("a server that doesn't start: %d, %q", code, said)
	}
	var complaints bytes.Buffer
	if code := run(nil, nil, nil, &complaints); code != failed || !strings.Contains(complaints.String(), "usage") {
		t.Errorf("no command: %d, %q", code, complaints.String())
	}
	var stopped bool
	started := []service{{variable, func() (server, error) { return fake{&stopped}, nil }}}
	if code := run([]string{filepath.Join(t.TempDir(), "none")}, started, nil, &complaints); code != failed || !stopped {
		t.Errorf("no such command: %d, stopped %v", code, stopped)
	}
}

// A signal before the command starts ends the servers, and nothing is run.
func TestAnEarlySignal(t *testing.T) {
	signals := make(chan os.Signal, 1)
	var stopped bool
	started := []service{{variable, func() (server, error) { signals <- syscall.SIGTERM; return fake{&stopped}, nil }}}
	ran := filepath.Join(t.TempDir(), "ran")
	code := run([]string{"/bin/sh", "-c", `touch "$0"`, ran}, started, signals, &bytes.Buffer{})
	if _, err := os.Stat(ran); code != 143 || !stopped || !os.IsNotExist(err) {
		t.Errorf("code %d, stopped %v, the command's file: %v", code, stopped, err)
	}
}

// program is this binary as the program, around a line of sh that does one thing
// first, writes the addresses into a file, by which the test knows that it runs,
// and goes on.
func program(t *testing.T, first, then string) (cmd *exec.Cmd, addresses func() []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "addresses")
	line := fmt.Sprintf(`printf '%%s\n%%s\n' "$%s" "$%s" > "$0.new" && mv "$0.new" "$0"; `, postgresVariable, redisVariable)
	cmd = exec.Command(os.Args[0], "/bin/sh", "-c", first+"; "+line+then, file)
	// Killed, the program leaves its directories and its command behind; these are
	// the test's.
	temporary, err := os.MkdirTemp("", "strikeplate-withservices-") //nolint:usetesting // its parents must let another user through
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temporary) })
	if err := os.Chmod(temporary, 0o711); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), child+"=1", "STRIKEPLATE_REQUIRE_SERVICES=", postgresVariable+"=", redisVariable+"=", "TMPDIR="+temporary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return cmd, func() []string {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil
		}
		return strings.Fields(string(content))
	}
}

// Real servers, and a signal: the command is told, and its code comes back, and
// the servers are gone.
func TestServersEndWithTheProgram(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("needs Linux")
	}
	for _, how := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(how.String(), func(t *testing.T) {
			// The shell waits for its child, so that the trap runs at once.
			cmd, addresses := program(t, `trap 'exit 9' INT TERM`, `sleep 1000 & wait`)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			urls := await(t, addresses, ended)
			if len(urls) != 2 {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				<-ended
				t.Skip("needs PostgreSQL and Redis")
			}
			if err := cmd.Process.Signal(how); err != nil {
				t.Fatal(err)
			}
			<-ended
			if code := cmd.ProcessState.ExitCode(); how != syscall.SIGKILL && code != 9 {
				t.Errorf("exit code %d, want the command's", code)
			}
			for _, u := range urls {
				gone(t, u)
			}
		})
	}
}

func await(t *testing.T, addresses func() []string, ended <-chan error) []string {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-tick.C:
			if urls := addresses(); urls != nil {
				return urls
			}
		}
	}
}

// gone waits until nobody listens at an address.
func gone(t *testing.T, text string) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		if !listens(t, u.Host) {
			return
		}
	}
	t.Errorf("%s outlives the program", u.Redacted())
}

func listens(t *testing.T, host string) bool {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", host)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
