package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

// childFile, set in the environment, makes this binary a second process on the
// file that it names.
const childFile = "STRIKEPLATE_TEST_CHILD_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(run(m))
}

// benchDir holds the files that benchmarks fill once and use several times.
var benchDir string

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "strikeplate-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	benchDir = dir
	return m.Run()
}

// child opens the file once a first line arrives, creates a key, and revokes it
// when a second one does.
func child(path string) error {
	ctx := context.Background()
	lines := bufio.NewReader(os.Stdin)
	fmt.Println("started")
	if _, err := lines.ReadString('\n'); err != nil {
		return err
	}
	s, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	k := newKey("acme", fmt.Sprint("by-", os.Getpid()))
	m := mutation(k)
	m.Limit = &storage.Limit{Organisation: "acme", Max: 8}
	if err := s.Commit(ctx, m); err != nil && !errors.Is(err, storage.ErrLimit) {
		return err
	}
	fmt.Println(k.ID)
	if _, err := lines.ReadString('\n'); err != nil {
		return errors.Join(s.Close(ctx))
	}
	k.Version, k.Revoked = 1, noon
	if err := s.Commit(ctx, mutation(k)); err != nil {
		return err
	}
	fmt.Println("revoked")
	lines.ReadString('\n') // killed here
	return nil
}

type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(t testing.TB, path string) process {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childFile+"="+path)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p := process{c, in, bufio.NewReader(out)}
	p.line(t)
	return p
}

func (p process) line(t testing.TB) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("a process ended: %v", err)
	}
	return line[:len(line)-1]
}

func (p process) step(t testing.TB) {
	t.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		t.Fatal(err)
	}
}

// Ten processes open one new file at once: all succeed, and the limit holds.
func TestTenProcesses(t *testing.T) {
	path := file(t)
	var all []process
	for range 10 {
		all = append(all, start(t, path))
	}
	for _, p := range all {
		p.step(t)
	}
	for _, p := range all {
		p.line(t)
		p.in.Close()
		if err := p.Wait(); err != nil {
			t.Errorf("a process failed: %v", err)
		}
	}
	page, _, err := open(t, sqlite.Config{Path: path}).ListKeys(t.Context(), storage.Query{Organisation: "acme", Now: noon})
	if err != nil || len(page) != 8 {
		t.Errorf("%d keys, %v; want 8", len(page), err)
	}
}

// A revocation in another process reaches this one's watcher in time, and
// outlives that process's sudden end.
func TestRevokedByAnotherProcess(t *testing.T) {
	const interval = 100 * time.Millisecond
	path := file(t)
	s := open(t, sqlite.Config{Path: path, Poll: interval})
	k := watch(t, s)
	p := start(t, path)
	p.step(t)
	id := p.line(t)
	k.await(t, "key acme "+id+" 1")
	p.step(t)
	p.line(t) // its Commit has returned
	committed := time.Now()
	k.await(t, "key acme "+id+" 2")
	// About one interval on a machine that has time; what must hold anywhere is
	// the bound beyond which caches don't trust a feed.
	took := time.Since(committed)
	t.Logf("the revocation arrived after %v, at an interval of %v", took, interval)
	if took > 2*time.Second {
		t.Errorf("that is more than a healthy feed may be silent")
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	got, err := s.KeyByLookup(t.Context(), "lookup-"+id)
	if err != nil || got.Revoked.IsZero() {
		t.Errorf("after the kill: %+v, %v", got, err)
	}
}
