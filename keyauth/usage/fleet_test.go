package usage_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

var fleetRequests = flag.Int("requests", 40_000, "how many `requests` four processes count in TestFleetOfProcesses")

const (
	shareEnv   = "STRIKEPLATE_USAGE_SHARE"
	fleetEvery = 200 * time.Millisecond
	fleetTicks = 400 // in which a process counts its share
)

// countShare is a process of the fleet: it counts its share of requests, or until
// it is told to end; then it stores what it counted and says how much that was.
func countShare(path string, share int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fail := func(err error) {
		if err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
	}
	store, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	fail(err)
	counter, err := usage.New(usage.Config{Every: fleetEvery, Store: &failing{Usage: store,
		after: func(b storage.UsageBatch) error { fmt.Println("stored", len(b.Rows), b.Until.UnixNano()); return nil },
	}})
	fail(err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/things/{id}", func(http.ResponseWriter, *http.Request) {})
	k := principal("acme", "k1")
	handler := strikeplate.Edge{Done: []func(*strikeplate.Exchange){counter.Observe}}.Handler(
		strikeplate.Require(authenticator(func(*http.Request) *strikeplate.Principal { return k }))(mux))
	n := 0
	for tick := time.NewTicker(5 * time.Millisecond); n < share && ctx.Err() == nil; <-tick.C {
		for range min(share-n, max(1, share/fleetTicks)) {
			handler.ServeHTTP(nowhere{}, httptest.NewRequest(http.MethodGet, "/v1/things/7", nil))
			n++
		}
		fmt.Println("counted", n, time.Now().UnixNano())
	}
	grace, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	fail(counter.Close(grace))
	fail(store.Close(grace))
	fmt.Println("counted", n, time.Now().UnixNano())
	os.Exit(0)
}

// process is one of the fleet, and what it said.
type process struct {
	cmd  *exec.Cmd
	tale childsTale
}

func startProcess(t *testing.T, path string, share int) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe, "-test.run=^$")}
	p.cmd.Env = append(os.Environ(), childEnv+"="+path, shareEnv+"="+strconv.Itoa(share))
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	p.tale.lines = bufio.NewScanner(io.Reader(out))
	return p
}

// end listens until the process has ended.
func (p *process) end(t *testing.T) error {
	for p.tale.next(t) {
	}
	return p.cmd.Wait()
}

// TestFleetOfProcesses: of four processes on one store one is told to end half-way,
// and everything is counted; or it is killed, and what is lost is at most what it
// counted since the last batch that it stored. With a million requests:
//
//	go test -run TestFleetOfProcesses -v ./keyauth/usage -args -requests=1000000
func TestFleetOfProcesses(t *testing.T) {
	for _, c := range []struct {
		name string
		by   syscall.Signal
	}{{"SIGTERM", syscall.SIGTERM}, {"SIGKILL", syscall.SIGKILL}} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "usage.db")
			store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = store.Close(context.Background()) }()
			share := *fleetRequests / 4
			began := time.Now()
			first := startProcess(t, path, share)
			var others [3]*process
			var rest sync.WaitGroup
			for i := range others {
				others[i] = startProcess(t, path, share)
				rest.Go(func() {
					if err := others[i].end(t); err != nil || others[i].tale.counted != int64(share) {
						t.Errorf("process %d ended with %v, having counted %d", i, err, others[i].tale.counted)
					}
				})
			}
			for first.tale.next(t) {
				if first.tale.counted >= int64(share)/2 && first.tale.counted > first.tale.safe && first.tale.batches >= 2 {
					break // in the midst of an interval
				}
			}
			_ = first.cmd.Process.Signal(c.by)
			err = first.end(t)
			if err == nil { // a successor counts the rest
				if err := startProcess(t, path, share-int(first.tale.counted)).end(t); err != nil {
					t.Errorf("the successor ended with %v", err)
				}
			}
			rest.Wait()
			total := 4 * int64(share)
			if c.by == syscall.SIGKILL {
				total = first.tale.counted + 3*int64(share)
			}
			got := classes(t, counting(t, slow(store)), lately("acme", ""))[2]
			t.Logf("%d requests in %v, the first process ended at %d of %d: %d are stored, %d lost", total,
				time.Since(began).Round(time.Millisecond), first.tale.counted, share, got, total-got)
			if first.tale.counted >= int64(share) {
				t.Skip("the process was done before it could be stopped")
			}
			if c.by == syscall.SIGTERM {
				if err != nil || got != total {
					t.Errorf("%d are stored, want all of %d; the process ended with %v", got, total, err)
				}
				return
			}
			first.checkLoss(t, total-got, share)
		})
	}
}

// checkLoss says that no more is lost than what was counted after the last batch
// that is stored, which is an interval's; the process may have counted a tick more
// than it said.
func (p *process) checkLoss(t *testing.T, lost int64, share int) {
	t.Helper()
	tick := int64(max(1, share/fleetTicks))
	since := p.tale.last.Sub(p.tale.until)
	t.Logf("lost %d of the %d that were counted in the last %v; the interval is %v", lost, p.tale.counted-p.tale.safe, since.Round(time.Millisecond), fleetEvery)
	if lost < -tick || lost > p.tale.counted-p.tale.safe {
		t.Errorf("lost %d, want at most the %d since the last batch", lost, p.tale.counted-p.tale.safe)
	}
}
