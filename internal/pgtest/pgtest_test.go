package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/internal/pgtest"
)

// hold makes this binary start a server, say so, and wait to be killed.
const hold = "STRIKEPLATE_PGTEST_HOLD"

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestDatabasesAreApart(t *testing.T) {
	a, b := connect(t, pgtest.Database(t)), connect(t, pgtest.Database(t))
	run(t, a, "CREATE TABLE here (n int)")
	var there *string
	if err := b.QueryRow(t.Context(), "SELECT to_regclass('here')::text").Scan(&there); err != nil {
		t.Fatal(err)
	}
	if there != nil {
		t.Errorf("a table of one database shows in another: %q", *there)
	}
}

var filled = pgtest.Template{Fill: func(url string) error {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, "CREATE TABLE here (n int); INSERT INTO here VALUES (7)")
	return errors.Join(err, c.Close(ctx))
}}

// Copies begin with what was filled in, and are apart.
func TestTemplate(t *testing.T) {
	for range 2 {
		c := connect(t, filled.Database(t))
		run(t, c, "INSERT INTO here VALUES (8)")
		var n int
		if err := c.QueryRow(t.Context(), "SELECT sum(n) FROM here").Scan(&n); err != nil || n != 15 {
			t.Errorf("the sum is %d, %v; want 15", n, err)
		}
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	c := connect(t, pgtest.Database(t))
	for setting, want := range map[string]string{"listen_addresses": "127.0.0.1", "unix_socket_directories": ""} {
		var got string
		if err := c.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
}

func TestWantsThePassword(t *testing.T) {
	config, err := pgx.ParseConfig(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	config.Password = "wrong"
	if c, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		_ = c.Close(t.Context())
		t.Error("connected with a wrong password")
	}
}

func TestKillAndRestartKeepPortAndData(t *testing.T) {
	s := pgtest.Start(t, "fsync=on")
	url := s.URL()
	run(t, connect(t, url), "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")

	s.Kill()
	if c, err := pgx.Connect(t.Context(), url); err == nil {
		_ = c.Close(t.Context())
		t.Fatal("a killed server answers")
	}
	s.Restart(t)
	if s.URL() != url {
		t.Errorf("URL after a restart is %q, was %q", s.URL(), url)
	}
	c := connect(t, url)
	var n int
	if err := c.QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
		t.Errorf("read %d, %v after a crash; want 7", n, err)
	}
	var fsync string
	if err := c.QueryRow(t.Context(), "SHOW fsync").Scan(&fsync); err != nil || fsync != "on" {
		t.Errorf("fsync = %q, %v; want on, as set", fsync, err)
	}
}

func TestPauseAndResume(t *testing.T) {
	s := pgtest.Start(t)
	c := connect(t, s.URL())
	run(t, c, "SELECT 1")

	s.Pause()
	answered := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "SELECT 1")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("a paused server answers: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	s.Resume()
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("after Resume: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("no answer within a minute after Resume")
	}
}

func TestStopDeletesTheDirectory(t *testing.T) {
	s := pgtest.Start(t)
	var dir string
	if err := connect(t, s.URL()).QueryRow(t.Context(), "SHOW data_directory").Scan(&dir); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("data directory after Stop: %v; want that it doesn't exist", err)
	}
}

// A test binary that is killed runs no cleanup; its server must end all the same.
func TestServerDiesWithAKilledTestBinary(t *testing.T) {
	if os.Getenv(hold) != "" {
		s := pgtest.Start(t)
		_, _ = os.Stdout.WriteString("\nserver " + s.URL() + "\n")
		select {}
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("needs Linux")
	}
	pgtest.Database(t) // skips where PostgreSQL is missing

	// Its directory stays behind by design; this one is deleted with the test.
	temp, err := os.MkdirTemp("", "strikeplate-hold-") //nolint:usetesting // its parents must let another user through
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	if err := os.Chmod(temp, 0o711); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), hold+"=1", "TMPDIR="+temp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	url := ""
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		url, _ = strings.CutPrefix(lines.Text(), "server ")
		if !strings.HasPrefix(url, "postgres://") {
			url = ""
		}
	}
	if url == "" {
		t.Fatal("the child did not start a server")
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return
		}
		_ = c.Close(t.Context())
		if time.Now().After(deadline) {
			t.Fatalf("the server outlives its killed test binary (pid %s)", strconv.Itoa(cmd.Process.Pid))
		}
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	return c
}

func run(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
