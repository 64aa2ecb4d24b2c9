package fleet_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// fault is one thing that goes wrong. inject breaks it, has a key revoked
// meanwhile by an instance that can, and mends it.
type fault struct {
	name   string
	short  bool // in the short list
	inject func(t testing.TB, f *fleet)
	// agrees compares what was measured with the model; nil: nothing is.
	agrees func(f *fleet) verdict
}

var faults = []fault{
	{name: "nothing", short: true, inject: func(t testing.TB, f *fleet) { f.revocation(t, f.members[0], nil) }},
	{name: "an instance is killed", short: true, inject: func(t testing.TB, f *fleet) {
		m := f.members[1]
		f.revocation(t, f.members[0], func() { f.kill(m) })
		m.Restart(t)
	}},
	{name: "an instance stands still", inject: func(t testing.TB, f *fleet) {
		m := f.members[1]
		stopped := make(chan struct{})
		f.revocation(t, f.members[0], func() {
			m.Pause()
			go func() {
				defer close(stopped)
				pause(context.Background(), 2500*time.Millisecond)
				m.Resume()
			}()
		})
		<-stopped
	}},
	{name: "PostgreSQL is killed", short: true, inject: func(t testing.TB, f *fleet) {
		f.revocation(t, f.members[0], func() {
			f.postgres.Kill()
			pause(t.Context(), time.Second)
			f.postgres.Restart(t)
		})
	}},
	{name: "PostgreSQL stands still", inject: func(t testing.TB, f *fleet) {
		f.revocation(t, f.members[0], func() {
			f.postgres.Pause()
			pause(t.Context(), 3*time.Second)
			f.postgres.Resume()
		})
	}},
	{name: "Redis is killed", inject: func(t testing.TB, f *fleet) {
		f.revocation(t, f.members[0], func() {
			f.redis.Kill()
			f.ledger.lostCounters()
			pause(t.Context(), time.Second)
			f.redis.Restart(t)
		})
	}},
	{name: "Redis stands still", short: true, inject: redisStandsStill},
	{name: "an instance's connections to PostgreSQL are reset", inject: func(t testing.TB, f *fleet) {
		m := f.members[1]
		f.revocation(t, f.members[0], func() { m.postgres.reset(t) })
		m.postgres.heal()
	}},
	{name: "PostgreSQL is a second away from an instance", inject: func(t testing.TB, f *fleet) {
		m := f.members[1]
		f.revocation(t, f.members[0], func() { m.postgres.slow(t, 1000) })
		m.postgres.heal()
	}},
	{name: "an instance is cut off from PostgreSQL", short: true, inject: func(t testing.TB, f *fleet) {
		m := f.members[1]
		f.revocation(t, f.members[0], func() {
			// What the directory said is new, so that it isn't what ends first.
			insist(t, "change the account", func() error {
				return m.manage(t.Context(), http.MethodPost, "/demo/organisations/org_acme", map[string]bool{"private_via_api": true}, nil)
			})
			pause(t.Context(), 200*time.Millisecond)
			m.postgres.hole(t)
		})
		m.postgres.heal()
	}, agrees: (*fleet).revocationAgrees},
	{name: "an instance is cut off from Redis", inject: func(t testing.TB, f *fleet) {
		m := f.members[1]
		f.revocation(t, f.members[0], func() { m.redis.hole(t) })
		m.redis.heal()
	}},
	{name: "a migration holds the tables for a second", inject: func(t testing.TB, f *fleet) {
		f.revocation(t, f.members[0], func() { migrate(t, f) })
	}},
	{name: "an instance's clock is five minutes ahead", inject: func(t testing.TB, f *fleet) {
		m := f.members[1]
		f.revocation(t, f.members[0], func() {
			m.ahead = 5 * time.Minute
			insist(t, "set the clock", func() error {
				return m.manage(t.Context(), http.MethodPost, "/demo/clock", map[string]string{"advance": "5m"}, nil)
			})
		})
		restartGracefully(t, m)
		m.ahead = 0
	}},
	{name: "all instances are replaced, one after the other", inject: func(t testing.TB, f *fleet) {
		f.revocation(t, f.members[0], func() {
			for _, m := range f.members[1:] {
				restartGracefully(t, m)
			}
		})
		restartGracefully(t, f.members[0])
	}},
	{name: "tag keys are rotated", inject: rotateTagKeys},
	{name: "the secret of shared proofs is rotated", inject: rotateProofs},
	{name: "the fleet is upgraded, tables too", inject: upgrade}, // no way back: the last one
}

// redisStandsStill: nothing passes uncounted, as the example's limits have no
// fallback.
func redisStandsStill(t testing.TB, f *fleet) {
	f.redis.Pause()
	pause(t.Context(), 3*time.Second)
	f.redis.Resume()
	f.revocation(t, f.members[0], nil)
}

// migrate changes the tables as a release would, in one transaction.
func migrate(t testing.TB, f *fleet) {
	conn, err := pgx.Connect(t.Context(), f.postgres.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, sql := range []string{
		"BEGIN", "ALTER TABLE strikeplate_keys ADD COLUMN fleet_test text", "CREATE INDEX fleet_test ON strikeplate_audit (target)",
		"SELECT pg_sleep(1)", "COMMIT", "ALTER TABLE strikeplate_keys DROP COLUMN fleet_test", "DROP INDEX fleet_test",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// restartGracefully is what a deployment does: SIGTERM, then a new process.
func restartGracefully(t testing.TB, m *member) {
	t.Helper()
	m.Quit()
	m.Restart(t)
}
