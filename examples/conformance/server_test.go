package conformance_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a running example server, and what its file of credentials says.
type server struct {
	of      product
	flags   []string
	file    string
	log     string                  // a file with what it prints
	stop    func() *os.ProcessState // ends it, before its test does
	BaseURL string                  `json:"base_url"`
	Keys    map[string]struct{ Key, ID, About string }
	Users   map[string]struct {
		ID, Organisation, Role string
		Active                 bool
	}
	Organisations map[string]struct{ ID, Plan, Subscription string }
	OAuth         map[string]client
}

type client struct {
	ID           string   `json:"client_id"`
	Secret       string   `json:"client_secret"`
	RedirectURIs []string `json:"redirect_uris"`
}

// programs are the built servers, each built when the first test wants it.
var programs struct {
	sync.Mutex
	dir   string
	built map[string]func() error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// program builds the product's server, as anybody would: without the race
// detector, which doesn't look into other processes anyway.
func program(t *testing.T, name string) string {
	t.Helper()
	binary, build := building(t, name)
	if err := build(); err != nil {
		t.Fatalf("go build ../%s: %v", name, err)
	}
	return binary
}

func building(t *testing.T, name string) (binary string, build func() error) {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "conformance-") //nolint:usetesting // it outlives this test
		if err != nil {
			t.Fatal(err)
		}
		programs.dir, programs.built = dir, make(map[string]func() error)
	}
	binary = filepath.Join(programs.dir, name)
	if programs.built[name] == nil {
		programs.built[name] = sync.OnceValue(func() error {
			if out, err := exec.Command("go", "build", "-o", binary, "../"+name).CombinedOutput(); err != nil {
				return errors.New(string(out))
			}
			return nil
		})
	}
	return binary, programs.built[name]
}

// start runs a server until the test ends.
func start(t *testing.T, of product, flags ...string) *server {
	t.Helper()
	binary := program(t, of.name)
	s := &server{of: of, flags: flags, file: filepath.Join(t.TempDir(), "credentials.json")}
	cmd := exec.Command(binary, append([]string{"-addr", "127.0.0.1:0", "-credentials", s.file}, flags...)...)
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	s.log, cmd.Stdout, cmd.Stderr = said.Name(), said, said
	ended, err := launch(cmd)
	_ = said.Close() // it is the server's now
	if err != nil {
		t.Fatal(err)
	}
	s.stop = sync.OnceValue(func() *os.ProcessState {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended.done:
			if ended.err != nil && !t.Failed() {
				t.Errorf("%s ended: %v\n%s", of.name, ended.err, s.says())
			}
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("%s doesn't end", of.name)
		}
		return cmd.ProcessState
	})
	t.Cleanup(func() { s.stop() })
	s.await(t, ended)
	return s
}

// says is what the server has printed.
func (s *server) says() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// launch starts a process that on Linux ends with this one, however that ends. The
// kernel ties the promise to the thread, which is kept for as long.
func launch(cmd *exec.Cmd) (*exit, error) {
	dieWithParent(cmd)
	started, x := make(chan error), &exit{done: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			x.err = cmd.Wait()
			close(x.done)
		}
	}()
	return x, <-started
}

// exit is how a process ended, once it has.
type exit struct {
	done chan struct{} // closed then
	err  error
}

// await polls for the file, which appears complete when the server is ready.
func (s *server) await(t *testing.T, ended *exit) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		select {
		case <-ended.done:
			t.Fatalf("%s %q ended: %v\n%s", s.of.name, s.flags, ended.err, s.says())
		case <-deadline:
			t.Fatalf("%s %q is not ready after a minute", s.of.name, s.flags)
		case <-tick.C:
		}
		content, err := os.ReadFile(s.file)
		if err != nil {
			continue
		}
		if err := json.Unmarshal(content, s); err != nil {
			t.Fatalf("the file of credentials is there, but not complete: %v", err)
		}
		return
	}
}

// schema is an empty schema in the database that the environment names.
func schema(t *testing.T) string {
	t.Helper()
	address := service(t, postgresVariable)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	name := "conformance_" + strings.ToLower(rand.Text())
	if _, err := conn.Exec(t.Context(), "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), "DROP SCHEMA "+name+" CASCADE"); err != nil {
			t.Error(err)
		}
		_ = conn.Close(context.Background())
	})
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return u.String()
}

// stores reports whether a text is anywhere in the server's database.
func (s *server) stores(t *testing.T, text string) bool {
	t.Helper()
	db := s.flags[1]
	if !strings.HasPrefix(db, "postgres") {
		found := false
		for _, name := range []string{db, db + "-wal"} {
			content, err := os.ReadFile(name)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			found = found || bytes.Contains(content, []byte(text))
		}
		return found
	}
	conn, err := pgx.Connect(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	// schema_to_xml writes every row of every table.
	var found bool
	err = conn.QueryRow(t.Context(), "SELECT position($1 IN schema_to_xml(current_schema(), true, false, '')::text) > 0", text).Scan(&found)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
