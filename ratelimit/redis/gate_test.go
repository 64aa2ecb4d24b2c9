package redis_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/ratelimit/redis"
)

func gate(t testing.TB, s *redistest.Server, lease time.Duration) *redis.Gate {
	t.Helper()
	g, err := redis.NewGate(redis.GateConfig{Config: config(t, s), Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGateHoldsNoMoreThanItsPlaces(t *testing.T) {
	const most = 5
	server := redistest.Start(t)
	var fleet [4]ratelimit.Gate
	for i := range fleet {
		fleet[i] = gate(t, server, time.Minute)
	}
	var inside, highest, entered atomic.Int64
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range 64 {
		all.Go(func() {
			<-start
			for range 20 {
				leave, err := fleet[i%4].Enter(t.Context(), "acme", most)
				if errors.Is(err, ratelimit.ErrBusy) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				entered.Add(1)
				n := inside.Add(1)
				for h := highest.Load(); n > h && !highest.CompareAndSwap(h, n); h = highest.Load() {
				}
				inside.Add(-1)
				leave()
				leave() // again, without effect
			}
		})
	}
	close(start)
	all.Wait()
	if highest.Load() > most || entered.Load() < most {
		t.Errorf("%d at once, %d in all; want at most %d at once", highest.Load(), entered.Load(), most)
	}
	for range most { // all places are free again, and no more than those
		if _, err := fleet[0].Enter(t.Context(), "acme", most); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := fleet[1].Enter(t.Context(), "acme", most); !errors.Is(err, ratelimit.ErrBusy) {
		t.Errorf("one more than there are places: %v", err)
	}
	if _, err := fleet[1].Enter(t.Context(), "other", most); err != nil {
		t.Errorf("another key: %v", err)
	}
	c := client(t, server, true)
	keys := c.Keys(t.Context(), "*").Val()
	for _, key := range keys {
		if ttl := c.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("the key %q lives for %v, with leases of a minute", key, ttl)
		}
	}
	if len(keys) != 2 {
		t.Errorf("keys %q, want two", keys)
	}
	if _, err := fleet[1].Enter(t.Context(), "acme", 0); !errors.Is(err, ratelimit.ErrPolicy) {
		t.Errorf("no places at all: %v", err)
	}
}

// A place outlives its lease while its holder lives, and Redis's memory.
func TestGatePlacesAreRenewedAndRestored(t *testing.T) {
	const lease = 2 * time.Second
	server := redistest.Start(t)
	holder, other := gate(t, server, lease), gate(t, server, lease)
	leave, err := holder.Enter(t.Context(), "acme", 1)
	if err != nil {
		t.Fatal(err)
	}
	for until := time.After(2 * lease); ; {
		if _, err := other.Enter(t.Context(), "acme", 1); !errors.Is(err, ratelimit.ErrBusy) {
			t.Fatalf("a held place is given away: %v", err)
		}
		select {
		case <-until:
		case <-time.After(20 * time.Millisecond):
			continue
		}
		break
	}
	server.Restart(t) // all is lost
	c := client(t, server, true)
	eventually(t, "the place to be restored", func() bool { return c.DBSize(t.Context()).Val() == 1 })
	if _, err := other.Enter(t.Context(), "acme", 1); !errors.Is(err, ratelimit.ErrBusy) {
		t.Errorf("a restored place is given away: %v", err)
	}
	leave()
	if _, err := other.Enter(t.Context(), "acme", 1); err != nil {
		t.Errorf("after leaving: %v", err)
	}
}

// Who leaves while places are renewed is not let in again.
func TestGateLeavingBeatsRenewing(t *testing.T) {
	const lease = 6 * time.Second
	server := redistest.Start(t)
	c := config(t, server)
	leaves, renewing := make(chan func(), 1), make(chan time.Time, 1)
	c.Client.AddHook(hook{
		before: func(cmd goredis.Cmder) {
			if cmd.Name() == "eval" { // not what a new connection says
				(<-leaves)()
				renewing <- time.Now()
			}
		},
		after: func(goredis.Cmder) {},
	})
	g, err := redis.NewGate(redis.GateConfig{Config: c, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	leave, err := g.Enter(t.Context(), "acme", 1)
	if err != nil {
		t.Fatal(err)
	}
	leaves <- leave
	since := <-renewing
	other := gate(t, server, lease)
	eventually(t, "the place", func() bool {
		_, err := other.Enter(t.Context(), "acme", 1)
		return err == nil
	})
	if took := time.Since(since); took >= lease {
		t.Errorf("the place was free %v after leaving, when its lease ended", took)
	}
}

const holdURL = "STRIKEPLATE_GATE_HOLD"

// The places of a process that died are free when their leases end.
func TestGatePlacesOfADeadProcessExpire(t *testing.T) {
	if url := os.Getenv(holdURL); url != "" {
		options, err := goredis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		options.ContextTimeoutEnabled = true
		g, err := redis.NewGate(redis.GateConfig{Config: redis.Config{Client: goredis.NewClient(options), Secret: secret, Timeout: patient}, Lease: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Enter(t.Context(), "acme", 1); err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString("\ninside\n")
		select {}
	}
	server := redistest.Start(t)
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), holdURL+"="+server.URL())
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "inside" {
	}
	if lines.Text() != "inside" {
		t.Fatal("the child did not get in")
	}
	g := gate(t, server, time.Second)
	if _, err := g.Enter(t.Context(), "acme", 2); err != nil { // one that lives, beside it
		t.Fatal(err)
	}
	if _, err := g.Enter(t.Context(), "acme", 2); !errors.Is(err, ratelimit.ErrBusy) {
		t.Fatalf("the child's place is free: %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dead process's place", func() bool {
		_, err := g.Enter(t.Context(), "acme", 2)
		return err == nil
	})
	if _, err := g.Enter(t.Context(), "acme", 2); !errors.Is(err, ratelimit.ErrBusy) {
		t.Errorf("the living place went with the dead: %v", err)
	}
}

func TestGateFailsWithRedisAndLeavesAnyway(t *testing.T) {
	server := redistest.Start(t)
	c := config(t, server)
	c.Timeout = 50 * time.Millisecond
	g, err := redis.NewGate(redis.GateConfig{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	var leave func()
	eventually(t, "a place", func() bool { // on a busy machine 50 ms may be short
		l, err := g.Enter(t.Context(), "acme", 100)
		leave = l
		return err == nil
	})
	server.Pause()
	defer server.Resume()
	start := time.Now()
	if _, err := g.Enter(t.Context(), "acme", 100); err == nil || errors.Is(err, ratelimit.ErrBusy) {
		t.Errorf("a paused Redis lets in or refuses: %v", err)
	}
	leave()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("entering and leaving took %v while Redis is paused", took)
	}
}

func TestGateConfigs(t *testing.T) {
	server := redistest.Start(t)
	c := config(t, server)
	if _, err := redis.NewGate(redis.GateConfig{Config: c, Lease: time.Millisecond}); err == nil {
		t.Error("a lease of a millisecond passes")
	}
	c.Secret = nil
	if _, err := redis.NewGate(redis.GateConfig{Config: c}); err == nil {
		t.Error("a missing secret passes")
	}
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}
