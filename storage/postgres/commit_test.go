package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/postgres"
)

var sentinels = []error{storage.ErrNotFound, storage.ErrConflict, storage.ErrRevoked, storage.ErrPermanent,
	storage.ErrLimit, storage.ErrNoAudit}

// storageRoundTrip writes one of everything and reads it back.
func storageRoundTrip(t *testing.T, s *postgres.Store) {
	t.Helper()
	want := newKey("acme", "k1")
	m := mutation(want)
	m.Limit = &storage.Limit{Organisation: "acme", Max: 2}
	m.Audit[0].Actor = storage.Actor{User: "u1", Organisation: "acme", Role: "admin", Scopes: []string{"a:b"},
		Client: netip.MustParseAddr("fe80::1%eth0")}
	m.Audit[0].After = []byte(`{"name": "it's \\ a \"name\""}`)
	if err := s.Commit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	want.Version = 1
	want.Name, want.Expires, want.Sealed, want.Metadata, want.Allow = `it's a \name`, time.Time{}, nil, nil, nil
	if err := s.Commit(t.Context(), mutation(want)); err != nil {
		t.Fatal(err)
	}
	want.Version = 2
	got, err := s.KeyByLookup(t.Context(), want.Lookup)
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); d != "" || err != nil {
		t.Errorf("key, %v (-want +got):\n%s", err, d)
	}
	if page, _, err := s.ListKeys(t.Context(), storage.Query{Organisation: "acme", Status: storage.Active, Now: noon}); len(page) != 1 || err != nil {
		t.Errorf("listed %d keys, %v; want 1", len(page), err)
	}
	entries, _, err := s.Entries(t.Context(), storage.Query{Organisation: "acme"})
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d entries, %v; want 2", len(entries), err)
	}
	m.Audit[0].Position = 1
	if d := cmp.Diff(m.Audit[0], entries[0], cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Errorf("entry (-want +got):\n%s", d)
	}
	account := storage.Account{Organisation: "acme", Plan: "pro", Settings: map[string]any{"seats": 3.5, "on": true, "x": []any{nil, "y"}}}
	user := storage.User{ID: "u1", Organisation: "acme", Name: "Ann", Role: "admin", Active: true, Scopes: []string{}}
	if err := errors.Join(s.PutAccount(t.Context(), account), s.PutUser(t.Context(), user)); err != nil {
		t.Fatal(err)
	}
	gotAccount, err := s.Account(t.Context(), "acme")
	if d := cmp.Diff(account, gotAccount); d != "" || err != nil {
		t.Errorf("account, %v (-want +got):\n%s", err, d)
	}
	gotUser, err := s.User(t.Context(), "acme", "u1")
	if d := cmp.Diff(user, gotUser); d != "" || err != nil {
		t.Errorf("user, %v (-want +got):\n%s", err, d)
	}
}

// TestConnectionLostAtCommit: nobody can tell whether the transaction was
// committed, so the error is no sentinel and the watchers are told.
func TestConnectionLostAtCommit(t *testing.T) {
	for name, arrives := range map[string]bool{"after it was committed": true, "before it arrived": false} {
		t.Run(name, func(t *testing.T) {
			db := pgtest.Database(t)
			direct := open(t, postgres.Config{URL: db})
			p := newProxy(t, db)
			s := open(t, postgres.Config{URL: p.url(t, db), ListenURL: db})
			r := watch(t, s)

			p.cutAt("commit\x00", arrives)
			err := s.Commit(t.Context(), mutation(newKey("acme", "k1")))
			if err == nil {
				t.Fatal("Commit reports success without an answer")
			}
			for _, sentinel := range sentinels {
				if errors.Is(err, sentinel) {
					t.Errorf("Commit returned %v; want an error that is no sentinel", err)
				}
			}
			if !r.told("k1") {
				t.Error("Commit returned, and the watcher was not told")
			}
			_, err = direct.Key(t.Context(), "acme", "k1")
			if arrives && err != nil || !arrives && !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("afterwards the key reads as %v", err)
			}
			entries, _, err := direct.Entries(t.Context(), storage.Query{Organisation: "acme"})
			if (len(entries) == 1) != arrives || err != nil {
				t.Errorf("%d audit entries, %v; want as many as keys", len(entries), err)
			}
		})
	}
}

// TestOtherProgramsAreHeldToTheContract: the triggers, not only Commit.
func TestOtherProgramsAreHeldToTheContract(t *testing.T) {
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	revoked := newKey("acme", "dead")
	revoked.Revoked = noon
	commit(t, s, newKey("acme", "k1"), revoked)
	c := connect(t, db)

	for column, value := range map[string]string{
		"id": "'x'", "organisation": "'globex'", "lineage": "'x'", "format": "'x'", "environment": "'test'",
		"access": "'org-full'", "scopes": "'{all}'", "owner": "'x'", "creator": "'x'", "created": "now()",
	} {
		_, err := c.Exec(t.Context(), "UPDATE strikeplate_keys SET "+column+" = "+value+" WHERE id = 'k1'")
		if err == nil {
			t.Errorf("another program changed %s, which is permanent", column)
		}
	}
	for _, change := range []string{"revoked = NULL", "name = 'x'", "revoked = now()", "hash = 'x'"} {
		if _, err := c.Exec(t.Context(), "UPDATE strikeplate_keys SET "+change+" WHERE id = 'dead'"); err == nil {
			t.Errorf("another program changed a revoked key: %s", change)
		}
	}

	// What it may change rises the version, so that nobody overwrites it unread.
	execute(t, c, "UPDATE strikeplate_keys SET name = 'by hand' WHERE id = 'k1'")
	k, err := s.Key(t.Context(), "acme", "k1")
	if err != nil || k.Version != 2 || k.Name != "by hand" {
		t.Errorf("after an update by hand: name %q, version %d, %v", k.Name, k.Version, err)
	}
	stale := newKey("acme", "k1")
	stale.Version = 1
	if err := s.Commit(t.Context(), mutation(stale)); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("a write that didn't see it: %v, want ErrConflict", err)
	}
}

// TestErrorsTellNoHash: PostgreSQL's details quote the row that it refuses.
func TestErrorsTellNoHash(t *testing.T) {
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	execute(t, connect(t, db), "ALTER TABLE strikeplate_keys ADD CONSTRAINT nothing CHECK (name = '')")
	err := s.Commit(t.Context(), mutation(newKey("acme", "k1")))
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "23514" {
		t.Fatalf("got %v, want a violated check", err)
	}
	if text := fmt.Sprintf("%v %#v", err, *pe); strings.Contains(text, "hash-of") {
		t.Errorf("the error tells the hash: %s", text)
	}
}

// TestDeadlockIsTriedAgain: another program locks in the other order, and
// PostgreSQL gives up the mutation for it.
func TestDeadlockIsTriedAgain(t *testing.T) {
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	k := newKey("acme", "k1")
	commit(t, s, k)
	c := connect(t, db)
	execute(t, c, "SET deadlock_timeout = '1min'") // so that the other one is the victim
	execute(t, c, "BEGIN; UPDATE strikeplate_keys SET name = name WHERE id = 'nobody'; SELECT FROM strikeplate_keys WHERE id = 'k1' FOR UPDATE")

	k.Version, k.Name = 1, "renamed"
	done := make(chan error, 1)
	go func() { done <- s.Commit(context.Background(), mutation(k)) }()
	awaitRow(t, connect(t, db), "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
	execute(t, c, "UPDATE strikeplate_organisations SET entries = entries WHERE organisation = 'acme'")
	execute(t, c, "COMMIT")
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Commit after a deadlock: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Commit hangs")
	}
	if entries, _, err := s.Entries(t.Context(), storage.Query{Organisation: "acme"}); len(entries) != 2 || err != nil {
		t.Errorf("%d entries, %v; want 2", len(entries), err)
	}
}

// TestLongTransactionHidesNoEntry: one that runs elsewhere delays no reader.
func TestLongTransactionHidesNoEntry(t *testing.T) {
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	c := connect(t, db)
	execute(t, c, "BEGIN; CREATE TABLE busy (n int)")
	create(t, s, 3)
	entries, _, err := s.Entries(t.Context(), storage.Query{Organisation: "acme"})
	if err != nil || len(entries) != 3 {
		t.Errorf("read %d entries, %v, beside a long transaction; want 3", len(entries), err)
	}
}

// TestVanishedInstanceFreesTheLock: one that is cut off inside a transaction
// blocks its organisation for ten seconds at most.
func TestVanishedInstanceFreesTheLock(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	t.Parallel()
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	p := newProxy(t, db)
	cut := open(t, postgres.Config{URL: p.url(t, db)})
	commit(t, cut, newKey("acme", "k0")) // so that its connection is warm
	p.holeAt("key.changed")              // in its second batch: the lock is held

	ctx, cancel := context.WithCancel(t.Context())
	vanished := make(chan error, 1)
	go func() { vanished <- cut.Commit(ctx, mutation(newKey("acme", "k1"))) }()
	select {
	case <-p.holed:
	case <-time.After(patience):
		t.Fatal("the second batch was never sent")
	}
	began := time.Now()
	waiting, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := s.Commit(waiting, mutation(newKey("acme", "k2"))); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the lock of a vanished instance was held for %v", took)
	}
	cancel()
	<-vanished
}

func TestConnectionSurvivesAnEndedContext(t *testing.T) {
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, mutation(newKey("acme", "k1"))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	commit(t, s, newKey("acme", "k1"))
}

// awaitRow polls: PostgreSQL tells nobody that a session waits for a lock.
func awaitRow(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		var ok bool
		if err := c.QueryRow(t.Context(), sql).Scan(&ok); err != nil {
			t.Fatal(err)
		}
		if ok {
			return
		}
	}
	t.Fatalf("never true: %s", sql)
}
