package usage_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

const (
	childEnv   = "STRIKEPLATE_USAGE_CHILD"
	childEvery = 500 * time.Millisecond
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if share, err := strconv.Atoi(os.Getenv(shareEnv)); err == nil {
			countShare(path, share)
		} else {
			countUntilKilled(path)
		}
	}
	os.Exit(m.Run())
}

// countUntilKilled is the child: it counts for ever. It prints how much it had
// counted at which moment, and up to which moment its batches that are stored go.
func countUntilKilled(path string) {
	store, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	var counted atomic.Int64
	counter, err := usage.New(usage.Config{Store: &failing{Usage: store,
		after: func(b storage.UsageBatch) error { fmt.Println("stored", len(b.Rows), b.Until.UnixNano()); return nil },
	}, Every: childEvery})
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	k := principal("acme", "k1")
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		for range 10 {
			counter.Count(request(k, time.Now()))
			counted.Add(1)
		}
		fmt.Println("counted", counted.Load(), time.Now().UnixNano())
	}
}

// TestKilledProcess: a process that is killed loses at most what it counted since
// the last batch that it stored, which is one interval.
func TestKilledProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.db")
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close(context.Background()) }()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe, "-test.run=^$")
	child.Env = append(os.Environ(), childEnv+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	told := childsTale{lines: bufio.NewScanner(out)}
	for told.next(t) {
		if told.batches >= 6 && told.counted-told.safe >= 1000 { // in the midst of an interval
			_ = child.Process.Kill()
			break
		}
	}
	for told.next(t) { // what it said before it was dead
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	reader := counting(t, slow(store))
	got := classes(t, reader, lately("acme", ""))[2]
	t.Logf("of %d requests %d are stored: lost %d, counted in the last %v; the interval is %v",
		told.counted, got, told.counted-got, told.last.Sub(told.until).Round(time.Millisecond), childEvery)
	// Ten may have been counted after the line that was printed last.
	if got < told.safe || got > told.counted+10 {
		t.Errorf("%d are stored, want at least the %d that were counted before the last batch that is stored, of %d", got, told.safe, told.counted)
	}
	// Nobody knows what it did after its last word.
	late := time.Now().Add(storage.UsageSilence(childEvery) + time.Minute)
	since, err := store.UsageCompleteSince(t.Context(), "acme", late)
	if err != nil || since.Before(late.Add(-time.Millisecond)) {
		t.Errorf("complete since %v, %v, want not before %v", since, err, late)
	}
}

// childsTale is what the child says: batches that are surely stored hold all that
// was counted before they were made.
type childsTale struct {
	lines         *bufio.Scanner
	counted, safe int64
	batches       int
	until, last   time.Time
	said          []countedAt
}

type countedAt struct {
	n  int64
	at time.Time
}

func (c *childsTale) next(t *testing.T) bool {
	t.Helper()
	if !c.lines.Scan() {
		return false
	}
	var what string
	var n, at int64
	if _, err := fmt.Sscan(c.lines.Text(), &what, &n, &at); err != nil {
		return true // cut off in the middle
	}
	c.last = time.Unix(0, at)
	switch what {
	case "counted":
		c.counted = n
		c.said = append(c.said, countedAt{n, c.last})
	case "stored":
		if n > 0 {
			c.batches++
		}
		c.until = c.last
		for len(c.said) > 0 && !c.said[0].at.After(c.until) {
			c.safe, c.said = c.said[0].n, c.said[1:]
		}
	default:
		t.Fatalf("the child says %q", c.lines.Text())
	}
	return true
}
