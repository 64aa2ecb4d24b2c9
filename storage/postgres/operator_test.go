package postgres_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestOperator(t *testing.T) {
	storagetest.RunOperator(t, func(t *testing.T) storagetest.Operated {
		return open(t, postgres.Config{URL: migrated.Database(t) + room})
	})
}

func TestOperatorPair(t *testing.T) {
	storagetest.RunOperatorPair(t, func(t *testing.T) (here, there storagetest.Operated) {
		url := migrated.Database(t) + room
		return open(t, postgres.Config{URL: url}), open(t, postgres.Config{URL: url})
	})
}

// atVersion1 makes the tables as the first release did, and has it fill them:
// n organisations with a key and two entries each.
func atVersion1(t testing.TB, db string, n int) *pgx.Conn {
	t.Helper()
	c := connect(t, db)
	execute(t, c, "BEGIN;"+migrations(t)[0]+";COMMIT")
	for i := range n {
		mutateAtVersion1(t, c, fmt.Sprint("org", i), fmt.Sprint("k", i), 2)
	}
	return c
}

// mutateAtVersion1 is what the first release's Commit writes.
func mutateAtVersion1(t testing.TB, c *pgx.Conn, organisation, key string, entries int) {
	t.Helper()
	execute(t, c, "BEGIN")
	var counted int
	err := c.QueryRow(t.Context(), `INSERT INTO strikeplate_organisations AS o (organisation, entries) VALUES ($1, $2)
		ON CONFLICT (organisation) DO UPDATE SET entries = o.entries + excluded.entries RETURNING entries`,
		organisation, entries).Scan(&counted)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, c, `INSERT INTO strikeplate_keys SELECT $2::text, 'lookup-' || $2::text, '', $1, '', '', '', 'live', '', '{}', '', '',
		'{}', '{}', 'hash', NULL, 1, 1, now(), NULL, NULL, ''`, organisation, key)
	execute(t, c, `INSERT INTO strikeplate_audit SELECT $1, n, '', '', '', '{}', '192.0.2.1', 'key.created', $2::text, now(), NULL, NULL
		FROM generate_series($3::bigint, $4::bigint) n`, organisation, key, counted-entries+1, counted)
	execute(t, c, "COMMIT")
}

// TestUpgrade: ten instances at once bring a database with data up to date. An
// instance of the first release still runs, with rights over its tables alone;
// what it writes is delivered, and it is not disturbed.
func TestUpgrade(t *testing.T) {
	db := pgtest.Database(t)
	owner := atVersion1(t, db, 30)
	role := "first_" + strings.TrimPrefix(mustParse(t, db).Path, "/")
	execute(t, owner, "CREATE ROLE "+role+" LOGIN PASSWORD 'pw'")
	execute(t, owner, "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO "+role)
	u := mustParse(t, db)
	u.User = url.UserPassword(role, "pw")
	first := connect(t, u.String())

	var stores [10]*postgres.Store
	errs := make([]error, len(stores))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range stores {
		all.Go(func() {
			<-start
			stores[i], errs[i] = postgres.Open(t.Context(), postgres.Config{URL: db})
		})
	}
	close(start)
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, s := range stores {
		t.Cleanup(func() { shut(t, s) })
	}
	drain(t, stores[0], "export", 60)
	mutateAtVersion1(t, first, "org7", "by the first release", 3)
	mutateAtVersion1(t, first, "new", "by the first release, too", 1)
	drain(t, stores[1], "export", 4)
	drain(t, stores[2], "heard of later", 64)
	if n, err := stores[3].ForgetAddresses(t.Context(), time.Now().Add(time.Hour), 0); n != 64 || err != nil {
		t.Errorf("forgot %d addresses, %v; want 64", n, err)
	}
	for i := range 30 {
		if _, err := stores[4].Key(t.Context(), fmt.Sprint("org", i), fmt.Sprint("k", i)); err != nil {
			t.Errorf("key %d after the upgrade: %v", i, err)
		}
	}
}

// drain acknowledges all that waits, and fails unless that are want entries.
func drain(t testing.TB, s *postgres.Store, consumer string, want int) {
	t.Helper()
	got := 0
	for {
		page, err := s.Undelivered(t.Context(), consumer, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if err := s.Acknowledge(t.Context(), consumer, e.Organisation, e.Position); err != nil {
				t.Fatal(err)
			}
			got++
		}
	}
	if got != want {
		t.Errorf("%s was given %d entries, want %d", consumer, got, want)
	}
}

// Where another session's default would show what was there before a lock was
// granted, and in every way that pgx can talk.
func TestOperatorSettings(t *testing.T) {
	for _, settings := range []string{
		"&default_transaction_isolation=serializable", "&default_query_exec_mode=exec",
		"&default_query_exec_mode=simple_protocol", "&default_query_exec_mode=cache_describe",
	} {
		t.Run(settings, func(t *testing.T) {
			s := open(t, postgres.Config{URL: pgtest.Database(t) + settings, Schema: "order", Prefix: "api_"})
			create(t, s, 9)
			drain(t, s, "export", 9)
			if n, err := s.TrimAudit(t.Context(), noon.Add(time.Hour), 5); n != 5 || err != nil {
				t.Errorf("trimmed %d, %v", n, err)
			}
			if n, err := s.ForgetAddresses(t.Context(), noon.Add(time.Hour), 5); n != 0 || err != nil {
				t.Errorf("forgot %d, %v", n, err)
			}
			if names, err := s.Organisations(t.Context(), "", 5); len(names) != 1 || err != nil {
				t.Errorf("organisations: %q, %v", names, err)
			}
			if err := s.EraseOrganisation(t.Context(), "acme"); err != nil {
				t.Error(err)
			}
			drain(t, s, "new", 0)
		})
	}
}

// A mutation that hangs holds up the consumer's first call for a second, other
// mutations no longer than that, and a consumer that is known not at all.
func TestDeliveryBesideAStuckMutation(t *testing.T) {
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	create(t, s, 3)
	drain(t, s, "known", 3)
	stuck := connect(t, db)
	execute(t, stuck, "BEGIN; UPDATE strikeplate_organisations SET entries = entries + 1")
	if _, err := s.Undelivered(t.Context(), "new", 1); err == nil || !strings.Contains(err.Error(), "lock timeout") {
		t.Errorf("a new consumer beside a stuck mutation: %v, want a lock timeout", err)
	}
	commit(t, s, newKey("globex", "g1"))
	drain(t, s, "known", 1)
	if n, err := s.TrimAudit(t.Context(), noon.Add(time.Hour), 0); n != 4 || err != nil {
		t.Errorf("trimmed %d beside a stuck mutation, %v", n, err)
	}
	execute(t, stuck, "ROLLBACK")
	commit(t, s, newKey("acme", "after"))
	drain(t, s, "new", 1)
}

// The outcome of an erasure that nobody knows is told.
func TestErasureLostAtCommit(t *testing.T) {
	db := pgtest.Database(t)
	direct := open(t, postgres.Config{URL: db})
	commit(t, direct, newKey("acme", "k1"))
	p := newProxy(t, db)
	s := open(t, postgres.Config{URL: p.url(t, db), ListenURL: db})
	r := watch(t, s)
	p.cutAt("commit\x00", true)
	err := s.EraseOrganisation(t.Context(), "acme")
	if err == nil {
		t.Fatal("EraseOrganisation reports success without an answer")
	}
	if !r.told("k1") {
		t.Error("EraseOrganisation returned, and the watcher was not told")
	}
	if err := s.EraseOrganisation(t.Context(), "acme"); err != nil {
		t.Errorf("once more: %v", err)
	}
	if entries, _, err := direct.Entries(t.Context(), storage.Query{Organisation: "acme"}); len(entries) > 0 || err != nil {
		t.Errorf("%d entries are left, %v", len(entries), err)
	}
}

// TestPlans: with 100,000 organisations the upkeep's queries go by their indexes.
func TestPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("fills 100,000 organisations")
	}
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	idle(t, db, s)
	c := connect(t, db)
	for _, q := range []struct{ query, index string }{
		{`SELECT organisation FROM strikeplate_deliveries WHERE consumer = 'export' AND acknowledged < entries
			AND organisation > 'org5' ORDER BY organisation LIMIT 1000`, "strikeplate_deliveries_behind"},
		{`SELECT organisation, position FROM strikeplate_audit WHERE at < now()
			ORDER BY at, organisation, position LIMIT 1000 FOR UPDATE SKIP LOCKED`, "strikeplate_audit_oldest"},
		{`SELECT organisation, position FROM strikeplate_audit WHERE at < now() AND actor_client <> ''
			ORDER BY at, organisation, position LIMIT 1000 FOR UPDATE SKIP LOCKED`, "strikeplate_audit_addresses"},
		{`DELETE FROM strikeplate_users WHERE organisation = 'org5'`, "strikeplate_users_organisation"},
	} {
		rows, err := c.Query(t.Context(), "EXPLAIN "+q.query)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || !strings.Contains(strings.Join(plan, "\n"), q.index) {
			t.Errorf("not by %s, %v:\n%s", q.index, err, strings.Join(plan, "\n"))
		}
	}
}

// idle makes 100,000 organisations of which a consumer has acknowledged all.
func idle(t testing.TB, db string, s *postgres.Store) {
	t.Helper()
	c := connect(t, db)
	execute(t, c, `INSERT INTO strikeplate_organisations SELECT 'org' || n, 3 FROM generate_series(1, 100000) n`)
	execute(t, c, `INSERT INTO strikeplate_audit SELECT 'org' || n, p, 'u1', 'org' || n, 'admin', '{}', '', 'key.created', 'k' || n,
		now(), NULL, NULL FROM generate_series(1, 100000) n, generate_series(1, 3) p`)
	execute(t, c, `INSERT INTO strikeplate_users SELECT 'u' || n, 'org' || n, '', '', true, NULL FROM generate_series(1, 100000) n`)
	if _, err := s.Undelivered(t.Context(), "export", 1); err != nil {
		t.Fatal(err)
	}
	execute(t, c, `INSERT INTO strikeplate_deliveries SELECT organisation, 'export', 0, entries FROM strikeplate_organisations ON CONFLICT DO NOTHING`)
	execute(t, c, `UPDATE strikeplate_deliveries SET acknowledged = entries`)
	execute(t, c, `UPDATE strikeplate_consumers SET filled = NULL`)
	execute(t, c, "VACUUM ANALYZE")
	execute(t, c, "CHECKPOINT")
}

// BenchmarkUndelivered: 100,000 organisations, and no news; then one entry of
// one of them, with its acknowledgement and the commit of the next.
func BenchmarkUndelivered(b *testing.B) {
	db := pgtest.Database(b)
	s := open(b, postgres.Config{URL: db})
	idle(b, db, s)
	b.Run("idle", func(b *testing.B) {
		for b.Loop() {
			if page, err := s.Undelivered(b.Context(), "export", 1000); len(page) != 0 || err != nil {
				b.Fatal(len(page), err)
			}
		}
	})
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			news := storage.Mutation{Now: noon, Audit: []storage.Entry{{Organisation: "org777", At: noon}}}
			if err := s.Commit(b.Context(), news); err != nil {
				b.Fatal(err)
			}
			page, err := s.Undelivered(b.Context(), "export", 1000)
			if len(page) != 1 || err != nil {
				b.Fatal(len(page), err)
			}
			if err := s.Acknowledge(b.Context(), "export", "org777", page[0].Position); err != nil {
				b.Fatal(err)
			}
		}
	})
}
