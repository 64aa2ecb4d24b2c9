package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A disk that is full, in one of two ways.
type disk interface {
	// dir is where the database goes.
	dir() string
	fill(t testing.TB, m *member)
	free(t testing.TB, m *member)
}

// smallDisk is a file system in memory that holds 16 MiB: to mount it takes root. A
// write fails with ENOSPC.
type smallDisk struct{ path string }

func (d *smallDisk) dir() string { return d.path }

func (d *smallDisk) filler() string { return filepath.Join(d.path, "filler") }

func (d *smallDisk) fill(t testing.TB, _ *member) {
	t.Helper()
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func (d *smallDisk) free(t testing.TB, _ *member) {
	t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		t.Fatal(err)
	}
}

// fileLimit is RLIMIT_FSIZE on the server: its files don't grow, and a write beyond
// their first page fails with EFBIG. It can be had without root.
type fileLimit struct{ path string }

func (d *fileLimit) dir() string { return d.path }

// set runs prlimit as the server's user, who alone may.
func (d *fileLimit) set(t testing.TB, m *member, soft string) {
	t.Helper()
	if err := m.Run("prlimit", "--pid", strconv.Itoa(m.PID()), "--fsize="+soft+":"); err != nil {
		t.Fatal(err)
	}
}

func (d *fileLimit) fill(t testing.TB, m *member) { t.Helper(); d.set(t, m, "4096") }
func (d *fileLimit) free(t testing.TB, m *member) { t.Helper(); d.set(t, m, "unlimited") }

// TestDiskFull: while SQLite can't write, known keys are served, no change is
// acknowledged that isn't there, and none is lost, not even by a crash. Once there
// is room again all goes on.
func TestDiskFull(t *testing.T) {
	if !*full {
		t.Skip("only with -full")
	}
	program := build(t)
	t.Run("the-file-system-is-full", func(t *testing.T) {
		dir := roomFor(t)
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m,mode=0777"); err != nil {
			t.Skipf("no small file system can be mounted here: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
		fillUp(t, program, &smallDisk{dir})
	})
	t.Run("files-may-not-grow", func(t *testing.T) {
		if _, err := exec.LookPath("prlimit"); err != nil {
			t.Skip("prlimit is not installed (Debian: apt-get install util-linux)")
		}
		fillUp(t, program, &fileLimit{roomFor(t)})
	})
}

// roomFor is a directory that the server's user may write to.
func roomFor(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "strikeplate-disk-") //nolint:usetesting // the server runs as another user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// onDisk is what was acknowledged and what was answered by one server.
type onDisk struct {
	m    *member
	kept []created // acknowledged
	dead []created // acknowledged as revoked

	known                   string // a good key that is presented all the time
	passed, refused, failed atomic.Int64
	acknowledged, refusals  int // changes while there was no room
}

func fillUp(t *testing.T, program string, d disk) {
	m := startMember(t, member{name: "one server", program: program}, "", "", newJar(t), "-db", filepath.Join(d.dir(), "demo.db"))
	s := &onDisk{m: m}
	if err := m.signIn(t.Context(), "admin"); err != nil {
		t.Fatal(err)
	}
	s.change(t, true)
	s.change(t, true)
	s.known = s.kept[0].Secret
	stop := s.load(t)
	for range 2 {
		d.fill(t, m)
		// SQLite writes its log anew from the beginning now and then, and has that room.
		before := s.refusals
		insist(t, "a change that can't be written", func() error {
			if s.change(t, false); s.refusals-before < 12 {
				return fmt.Errorf("%d of 12", s.refusals-before)
			}
			return nil
		})
		s.check(t)
		d.free(t, m)
		insist(t, "change something once there is room", func() error { return m.rename(t.Context(), s.kept[0].Key.ID, "room") })
		s.change(t, true)
		s.check(t)
	}
	d.fill(t, m)
	s.change(t, false)
	stop()
	m.Kill() // with a full disk, and what SQLite left half-done on it
	if limit, is := d.(*smallDisk); is {
		limit.free(t, m) // the other's limit ended with the process
	}
	m.Restart(t)
	s.check(t)
	s.change(t, true)
	s.check(t)
	verdict{s.failed.Load() == 0 && s.refused.Load() == 0 && s.passed.Load() > 0, "known keys are served though nothing can be written",
		fmt.Sprintf("%d passed, %d answered 401, %d not answered or 5xx", s.passed.Load(), s.refused.Load(), s.failed.Load())}.judge(t)
	verdict{s.refusals > 0, "what can't be written is not acknowledged",
		fmt.Sprintf("%d changes failed while the disk was full, %d did not and are there", s.refusals, s.acknowledged)}.judge(t)
	verdict{!t.Failed(), "nothing acknowledged is lost, no revoked key accepted",
		fmt.Sprintf("%d keys and %d revocations, twice full, once killed while full", len(s.kept), len(s.dead))}.judge(t)
}

// change makes a key and revokes one. With room both must work.
func (s *onDisk) change(t *testing.T, room bool) {
	t.Helper()
	note := func(what string, err error) bool {
		switch {
		case err == nil && !room:
			s.acknowledged++
		case err != nil && room:
			t.Errorf("%s: %v", what, err)
		case err != nil:
			s.refusals++
		}
		return err == nil
	}
	if len(s.kept) < 4 { // an organisation may have ten, and most are there already
		c, err := s.m.create(t.Context(), "disk", time.Time{})
		if note("create a key", err) {
			s.kept = append(s.kept, c)
		}
	}
	if last := len(s.kept) - 1; last > 1 || last == 1 && !room { // the first one is presented all the time
		if note("revoke a key", s.m.revoke(t.Context(), s.kept[last].Key.ID)) {
			s.dead, s.kept = append(s.dead, s.kept[last]), s.kept[:last]
		}
	}
}

// check presents all keys: what was acknowledged counts at once.
func (s *onDisk) check(t *testing.T) {
	t.Helper()
	for _, c := range s.kept {
		if a := s.m.ask(t.Context(), c.Secret); a.status != http.StatusOK {
			t.Errorf("a key whose creation was acknowledged: %d %v", a.status, a.err)
		}
	}
	for _, c := range s.dead {
		if a := s.m.ask(t.Context(), c.Secret); a.status != http.StatusUnauthorized {
			t.Errorf("a key whose revocation was acknowledged: %d %v", a.status, a.err)
		}
	}
}

// load presents the known key all the time.
func (s *onDisk) load(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				a := s.m.ask(ctx, s.known)
				switch {
				case ctx.Err() != nil:
				case a.status == http.StatusOK:
					s.passed.Add(1)
				case a.status == http.StatusUnauthorized:
					s.refused.Add(1)
				default:
					s.failed.Add(1)
				}
				pause(ctx, 20*time.Millisecond)
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}
