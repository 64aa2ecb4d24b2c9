package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage/postgres"
)

// notFresh is the next that a watcher hears but barriers.
func notFresh(e event) bool { return e.what != "fresh" }

func changed(id string) func(event) bool {
	return func(e event) bool { return e.what == "changed" && e.id == id }
}

// TestPollHearsOtherPrograms, and late ones: transactions are told of in whatever
// order they end.
func TestPollHearsOtherPrograms(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db, Poll: true, Schema: "order", Prefix: "api_"})
	create(t, s, 3)
	r := watch(t, s)
	early, late := connect(t, db), connect(t, db)
	execute(t, early, `BEGIN; UPDATE "order".api_keys SET name = 'early' WHERE id = 'k0'`)
	execute(t, late, `UPDATE "order".api_keys SET name = 'late' WHERE id = 'k1'`)
	if e := r.await(t, "the one that began later", notFresh); e.id != "k1" || e.version != 2 {
		t.Errorf("heard %+v, want k1", e)
	}
	r.await(t, "Fresh", fresh)
	execute(t, early, "COMMIT")
	if e := r.await(t, "the one that ended later", notFresh); e.id != "k0" || e.version != 2 || e.organisation != "acme" {
		t.Errorf("heard %+v, want k0", e)
	}
	execute(t, late, `BEGIN; UPDATE "order".api_keys SET name = 'never' WHERE id = 'k2'; ROLLBACK`)
	execute(t, late, `TRUNCATE "order".api_users`)
	if e := r.await(t, "a table that was emptied", notFresh); e.what != "lost" {
		t.Errorf("heard %+v, want Lost", e)
	}
	r.await(t, "Fresh", fresh)
}

// TestPollThatMissed says so: rows that are gone before they were seen, and more
// than a look reads.
func TestPollThatMissed(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db, Poll: true})
	create(t, s, 1)
	r := watch(t, s)
	c := connect(t, db)
	for what, sql := range map[string]string{
		"cleared away": `UPDATE strikeplate_forgotten SET txid = pg_current_xact_id()`,
		"too many": `INSERT INTO strikeplate_users SELECT 'u' || n, 'acme', '', 'member', true, NULL
			FROM generate_series(1, 10001) AS n`,
		"not a message": `INSERT INTO strikeplate_changes (message) VALUES ('["key", 1]')`,
	} {
		execute(t, c, sql)
		if e := r.await(t, what, notFresh); e.what != "lost" {
			t.Errorf("%s: heard %+v, want Lost", what, e)
		}
		r.await(t, "Fresh", fresh)
		execute(t, c, "UPDATE strikeplate_keys SET name = name || 'x'")
		r.await(t, "a change after that", changed("k0"))
	}
}

// TestChangesAreClearedAway by those who change something, and who may do nothing
// else with them.
func TestChangesAreClearedAway(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db, Poll: true})
	create(t, s, 50)
	c := connect(t, db)
	execute(t, c, "UPDATE strikeplate_changes SET at = at - interval '11 minutes'")
	r := watch(t, s)
	const role = "strikeplate_clerk"
	execute(t, c, `CREATE ROLE `+role+`; GRANT SELECT, INSERT, UPDATE ON strikeplate_users TO `+role)
	execute(t, c, "SET ROLE "+role)
	if _, err := c.Exec(t.Context(), "DELETE FROM strikeplate_changes"); err == nil {
		t.Error("the clerk may clear away by hand")
	}
	if _, err := c.Exec(t.Context(), `CREATE TEMP TABLE strikeplate_changes (message text);
		CREATE TRIGGER t AFTER INSERT ON pg_temp.strikeplate_changes FOR EACH ROW EXECUTE FUNCTION public.strikeplate_changed('key')`); err == nil {
		t.Error("the clerk may make a trigger of what runs with the owner's rights")
	}
	execute(t, c, `INSERT INTO public.strikeplate_users SELECT 'u' || n, 'acme', '', 'member', true, NULL
		FROM generate_series(1, 3000) AS n`) // of which some thirty look for what is old
	execute(t, c, "RESET ROLE; DROP OWNED BY "+role+"; DROP ROLE "+role)
	var old, kept int
	if err := c.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE message LIKE '["key"%'), count(*)
		FROM public.strikeplate_changes`).Scan(&old, &kept); err != nil {
		t.Fatal(err)
	}
	if old != 0 || kept != 3000 {
		t.Errorf("%d old ones are left, and %d in all; want none and 3000", old, kept)
	}
	// Nobody who looks missed anything.
	for n := range 3000 {
		if e := r.await(t, "all users", notFresh); e.what != "changed" {
			t.Fatalf("after %d users heard %+v", n, e)
		}
	}
}

// TestPollAcrossARestart: the server's, whose transactions may go on elsewhere.
func TestPollAcrossARestart(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	s := open(t, postgres.Config{URL: server.URL(), Poll: true})
	other := open(t, postgres.Config{URL: server.URL()})
	create(t, s, 1)
	r := watch(t, s)
	server.Kill()
	killed := time.Now()
	if e := r.await(t, "Lost", notFresh); e.what != "lost" {
		t.Errorf("heard %+v, want Lost", e)
	}
	server.Restart(t)
	if e := r.await(t, "Fresh", fresh); e.asOf.Before(killed) {
		t.Error("Fresh speaks for a server that is gone")
	}
	commit(t, other, newKey("acme", "up"))
	r.await(t, "a change after that", changed("up"))

	server.Pause()
	paused := time.Now()
	for e := r.next(t); e.what != "lost"; e = r.next(t) {
		if e.asOf.After(paused) {
			t.Fatal("Fresh from a server that stands still")
		}
	}
	server.Resume()
	r.await(t, "Fresh", fresh)
}

// TestPollOfAReplica: a server that says that it is one is not believed to know of
// every change. The session's search_path puts its answer before the server's own.
func TestPollOfAReplica(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	execute(t, connect(t, db), `CREATE SCHEMA standby; CREATE FUNCTION standby.pg_is_in_recovery() RETURNS boolean
		LANGUAGE sql AS 'SELECT true'`)
	s := open(t, postgres.Config{URL: db + "&search_path=standby,pg_catalog,public", Schema: "public", Poll: true})
	r := newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx, r) }()
	e := r.await(t, "why it is lost", func(e event) bool {
		return e.what == "fresh" || e.err != nil && strings.Contains(e.err.Error(), "replica")
	})
	cancel()
	<-ended
	if e.what == "fresh" {
		t.Error("Fresh from a replica")
	}
}

func TestPollConfig(t *testing.T) {
	db := pgtest.Database(t)
	if s, err := postgres.Open(t.Context(), postgres.Config{URL: db, Poll: true, ListenURL: db}); err == nil {
		shut(t, s)
		t.Error("Poll and ListenURL were both taken")
	}
}

// brokenBell rings never and hears nothing.
type brokenBell struct{}

func (brokenBell) Ring(ctx context.Context) error {
	<-ctx.Done()
	return fmt.Errorf("the bell: %w", ctx.Err())
}
func (brokenBell) Hear(context.Context, func()) error { return fmt.Errorf("the bell is gone") }

// TestBrokenBell: nobody waits for it, and changes arrive all the same.
func TestBrokenBell(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	here := open(t, postgres.Config{URL: db, Poll: true, Bell: brokenBell{}})
	there := open(t, postgres.Config{URL: db, Poll: true, Bell: brokenBell{}})
	r := watch(t, here)
	began := time.Now()
	create(t, there, 20)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("20 commits took %v", took)
	}
	r.await(t, "the last", changed("k19"))
}
