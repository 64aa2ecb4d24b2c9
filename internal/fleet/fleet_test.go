package fleet_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/internal/redistest"
)

var (
	full = flag.Bool("full", false, "every fault, and every broken build")
	soak = flag.Duration("soak", 0, "how long TestSoak runs; 0: it is skipped")
)

// patience bounds the waiting for what must come on a loaded machine.
const patience = 90 * time.Second

// fleet is some instances over one PostgreSQL and one Redis, and a client.
type fleet struct {
	plan
	postgres *pgtest.Server
	redis    *redistest.Server
	members  []*member
	ledger   *ledger

	good      string // a key that is never touched
	goodID    string
	elsewhere string   // another organisation's, whose limit is spent all the time
	dead      []string // revoked keys
	last      passes   // of the last one
	stop      func()

	mu     sync.Mutex
	recent map[*member][]time.Time // when the good key passed
}

// pace is how often an instance is asked with the good key, usually.
const pace = 150 * time.Millisecond

// plan is what to start.
type plan struct {
	program   string
	instances int
	pace      time.Duration
	broken    string // a promise, for a build that can break it
}

func startFleet(t testing.TB, p plan) *fleet {
	t.Helper()
	f := &fleet{plan: p, postgres: pgtest.Start(t), redis: redistest.Start(t), ledger: newLedger(), recent: map[*member][]time.Time{}}
	jar := newJar(t)
	for i := range p.instances {
		m := member{name: fmt.Sprintf("instance %d", i+1), program: p.program, broken: p.broken}
		f.members = append(f.members, startMember(t, m, f.postgres.URL(), f.redis.URL(), jar))
	}
	first := f.members[0]
	if err := first.signIn(t.Context(), "admin"); err != nil {
		t.Fatal(err)
	}
	c, err := first.create(t.Context(), "load", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	f.ledger.created[c.Key.ID] = true
	f.good, f.goodID = c.Secret, c.Key.ID
	f.elsewhere = first.credentials(t)["other_org_full"].Key
	f.load(t)
	return f
}

// load asks every instance all the time, until stop.
func (f *fleet) load(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	wrong := flip(f.good)
	for _, m := range f.members {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				a := m.ask(ctx, f.good)
				if ctx.Err() == nil {
					f.ledger.good(m, "load", a, true)
					f.noteRecent(m, a)
				}
				if i%4 == 0 {
					if a := m.ask(ctx, wrong); ctx.Err() == nil {
						f.ledger.bad(m, a)
					}
				}
				pause(ctx, f.pace)
			}
		})
		for range spenders {
			all.Go(func() { f.spend(ctx, m) })
		}
	}
	f.stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	t.Cleanup(f.stop)
}

// flip changes a character in the middle of the secret.
func flip(key string) string {
	b := []byte(key)
	i := len(b) - len(b)/4
	if b[i]++; b[i] == 'z'+1 || b[i] == 'Z'+1 || b[i] == '9'+1 {
		b[i] -= 2
	}
	return string(b)
}

func (f *fleet) noteRecent(m *member, a answer) {
	if a.err != nil || a.status != 200 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recent[m] = append(f.recent[m], a.sent)
}

// atRisk is how long the answers of a killed instance may not be in the database
// yet: it stores them each second, which takes a moment.
const atRisk = 4 * time.Second

// kill ends an instance at once.
func (f *fleet) kill(m *member) {
	m.Kill()
	now := time.Now()
	f.mu.Lock()
	n := 0
	for _, at := range f.recent[m] {
		if now.Sub(at) < atRisk {
			n++
		}
	}
	f.mu.Unlock()
	f.ledger.mu.Lock()
	f.ledger.atRisk += n + 1 // one may be under way
	f.ledger.mu.Unlock()
}

// pause waits for real time to pass: the promises are about it.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// awaitReady returns once every instance says that it is ready.
func (f *fleet) awaitReady(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for _, m := range f.members {
		for {
			err := ready(m.Server)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not become ready: %v", m.name, err)
			}
			pause(t.Context(), 50*time.Millisecond)
		}
	}
}

// insist repeats what a fault may make fail, until it is acknowledged.
func insist(t testing.TB, what string, do func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		pause(t.Context(), 50*time.Millisecond)
	}
}

// watched is a key that some goroutines present to every instance.
type watched struct {
	created
	expires time.Time // zero: never
	answers map[*member]*[]answer
	end     func()
}

// watch makes a key through one instance, that expires after a while or never, and
// presents it to all.
func (f *fleet) watch(t testing.TB, by *member, lasts time.Duration) *watched {
	t.Helper()
	w := &watched{answers: map[*member]*[]answer{}}
	insist(t, "create a key", func() (err error) {
		if lasts > 0 {
			w.expires = time.Now().Add(lasts)
		}
		w.created, err = by.create(t.Context(), "watched", w.expires)
		return err
	})
	f.ledger.mu.Lock()
	f.ledger.created[w.Key.ID] = true
	f.ledger.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, m := range f.members {
		list := new([]answer)
		w.answers[m] = list
		all.Go(func() {
			for ctx.Err() == nil {
				*list = append(*list, m.ask(ctx, w.Secret))
				pause(ctx, 50*time.Millisecond)
			}
		})
	}
	w.end = sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	t.Cleanup(w.end)
	return w
}

// passes says how long a revoked key passed on instances that didn't revoke it. It
// was revoked at some moment until that was acknowledged, and last asked for within a
// gap of what is known.
type passes struct{ latest, acknowledged, gap time.Duration }

func (p *passes) note(a answer, asked time.Time) {
	if a.err != nil || a.status != 200 || a.received.Before(asked) {
		return
	}
	p.latest = max(p.latest, a.sent.Sub(asked))
	p.gap = max(p.gap, a.received.Sub(a.sent)+50*time.Millisecond)
}

func (p passes) String() string {
	return fmt.Sprintf("a revoked key passed elsewhere until %v after it was asked for, which took %v",
		p.latest.Round(time.Millisecond), p.acknowledged.Round(time.Millisecond))
}

// lifetime is how long a key lasts that expires while a fault is in force.
const lifetime = 2 * time.Second

// revocation renames a key and revokes it, through one instance, while fault is in
// force, and judges what all instances answered. The renaming makes the instances
// read the key's record just before it is revoked. Another key expires meanwhile.
func (f *fleet) revocation(t testing.TB, by *member, fault func()) {
	t.Helper()
	w := f.watch(t, by, 0)
	pause(t.Context(), 500*time.Millisecond) // every instance proves and remembers it
	x := f.watch(t, by, lifetime)
	insist(t, "rename the key", func() error { return by.rename(t.Context(), w.Key.ID, "renamed") })
	pause(t.Context(), 100*time.Millisecond)
	if fault != nil {
		fault()
	}
	asked := time.Now()
	insist(t, "revoke the key", func() error { return by.revoke(t.Context(), w.Key.ID) })
	revoked := time.Now()
	pause(t.Context(), bound+1500*time.Millisecond)
	w.end()
	x.end()
	f.ledger.mu.Lock()
	f.ledger.revocations++
	f.ledger.expiries++
	f.ledger.revoked[w.Key.ID] = true
	f.ledger.mu.Unlock()
	f.dead = append(f.dead, w.Secret)
	f.last = passes{acknowledged: revoked.Sub(asked)}
	for m, answers := range w.answers {
		for _, a := range *answers {
			if m != by {
				f.last.note(a, asked)
			}
			if a.sent.Before(revoked) {
				continue // it may have been revoked by then, or not
			}
			f.ledger.dead(m, a, revoked, m == by)
		}
	}
	for m, answers := range x.answers {
		for _, a := range *answers {
			f.ledger.expiring(m, a, x.expires)
		}
	}
}

// deadStayDead presents every key that was revoked to every instance again.
func (f *fleet) deadStayDead(t testing.TB) {
	t.Helper()
	for _, m := range f.members {
		for _, key := range f.dead {
			f.ledger.revokedLongAgo(m, m.ask(t.Context(), key))
		}
	}
}

// audit looks into the database, past the instances.
func (f *fleet) audit(t testing.TB) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.postgres.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	l := f.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	check := func(ids map[string]bool, action, exists string) {
		for id := range ids {
			l.checked++
			var there bool
			var entries int
			err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM strikeplate_keys WHERE id = $1 AND "+exists+
				"), (SELECT count(*) FROM strikeplate_audit WHERE target = $1 AND action = $2)", id, action).Scan(&there, &entries)
			if err != nil {
				t.Fatal(err)
			}
			if !there {
				l.lost++
				l.note("%s of %s was acknowledged, and is not there", action, id)
			}
			switch {
			case entries == 0:
				l.notAudited++
			case entries > 1:
				l.doubled++
			}
		}
	}
	check(l.created, "key.create", "true")
	check(l.revoked, "key.revoke", "revoked IS NOT NULL")
}

// usage stops the instances, so that they store what they counted, and compares.
func (f *fleet) usage(t testing.TB) {
	t.Helper()
	f.stop()
	for _, m := range f.members {
		m.Stop()
	}
	conn, err := pgx.Connect(t.Context(), f.postgres.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	f.ledger.usageChecked = true
	err = conn.QueryRow(t.Context(), `SELECT coalesce(sum(class2), 0) FROM strikeplate_usage_series s
		JOIN strikeplate_usage_keys k ON k.id = s.key WHERE k.credential = $1 AND NOT k.total AND s.step = 3`, f.goodID).Scan(&f.ledger.usage)
	if err != nil {
		t.Fatal(err)
	}
}

// alongside lets the short list go on while the broken build is made. What is measured
// in whole is measured alone.
func alongside(t *testing.T) {
	t.Helper()
	if !*full {
		t.Parallel()
	}
}

func TestFleet(t *testing.T) {
	alongside(t)
	program := build(t)
	f := startFleet(t, plan{program: program, instances: 3, pace: pace})
	began := time.Now()
	if *full {
		f.directoryAgrees(t).judge(t)
	}
	for _, fault := range faults {
		if !*full && !fault.short {
			continue
		}
		f.awaitReady(t)
		since := time.Now()
		fault.inject(t, f)
		f.awaitReady(t)
		t.Logf("%-51s %4.1f s; %v", fault.name, time.Since(since).Seconds(), f.last)
		if fault.agrees != nil {
			fault.agrees(f).judge(t)
		}
	}
	f.deadStayDead(t)
	f.audit(t)
	f.usage(t)
	t.Logf("%d instances, %v", len(f.members), time.Since(began).Round(time.Second))
	f.ledger.judge(t)
}
