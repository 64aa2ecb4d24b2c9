package postgres_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestGrants(t *testing.T) {
	storagetest.RunGrants(t, func(t *testing.T) storagetest.Granting {
		return open(t, postgres.Config{URL: migrated.Database(t) + room})
	})
}

func TestGrantsPair(t *testing.T) {
	storagetest.RunGrantsPair(t, func(t *testing.T) (here, there storagetest.Granting) {
		url := migrated.Database(t) + room
		return open(t, postgres.Config{URL: url, Schema: "order", Prefix: "api_"}), open(t, postgres.Config{URL: url, Schema: "order", Prefix: "api_"})
	})
}

// TestGrantPlans: each statement has an index to go by, whatever its arguments are.
func TestGrantPlans(t *testing.T) {
	db := pgtest.Database(t)
	open(t, postgres.Config{URL: db})
	c := connect(t, db)
	// See TestUsagePlans.
	execute(t, c, "SET enable_seqscan = off")
	execute(t, c, "SET plan_cache_mode = force_generic_plan")
	seqScan := regexp.MustCompile(`Seq Scan on strikeplate_`)
	i := 0
	for text, n := range postgres.GrantQueries() {
		i++
		execute(t, c, fmt.Sprintf("PREPARE q%d AS %s", i, text))
		rows, err := c.Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE q%d (%s)", i, strings.TrimSuffix(strings.Repeat("NULL,", n), ",")), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		plan := strings.Join(lines, "\n")
		if seqScan.MatchString(plan) || !strings.Contains(plan, "Index") {
			t.Errorf("%s\n%s", text, plan)
		}
	}
	if i < 30 {
		t.Errorf("%d statements: too few to tell", i)
	}
}

func hash(name string) [32]byte { return sha256.Sum256([]byte(name)) }

func token(kind storage.TokenKind, name string) storage.Token {
	return storage.Token{Hash: hash(name), Kind: kind, Grant: "a1", Scopes: []string{"a"}, Created: noon, Expires: noon.Add(time.Hour)}
}

func entries() []storage.Entry {
	return []storage.Entry{{Organisation: "acme", Action: "grant.changed", Target: "a1", At: noon}}
}

// granted makes an app, a grant with a code, and tokens from that, of which the
// first refresh token was rotated.
func granted(t testing.TB, s *postgres.Store) {
	t.Helper()
	ctx := t.Context()
	app := storage.App{ClientID: "app", Organisation: "acme", Source: storage.AppRegistered, Created: noon,
		Secrets: []storage.AppSecret{{Hash: hash("secret"), Created: noon}}, RedirectURIs: []string{"https://app.example/"}}
	g := storage.Grant{ID: "a1", ClientID: "app", Organisation: "acme", Subject: "u1", Scopes: []string{"a"}, Created: noon, Expires: noon.Add(time.Hour)}
	var rotated error
	err := errors.Join(
		s.CommitApp(ctx, storage.AppMutation{Now: noon, Put: app, Audit: entries()}),
		s.BeginGrant(ctx, storage.NewGrant{Now: noon, Grant: g, Audit: entries(),
			Consent: &storage.Consent{Organisation: "acme", Subject: "u1", ClientID: "app", Scopes: []string{"a"}, Given: noon},
			Code:    &storage.Code{Hash: hash("code"), Grant: "a1", Expires: noon.Add(time.Minute)}}),
		s.UseCode(ctx, hash("code"), noon, []storage.Token{token(storage.AccessToken, "access"), token(storage.RefreshToken, "refresh")}))
	if err == nil {
		_, _, rotated = s.Rotate(ctx, storage.Rotation{Old: hash("refresh"), Now: noon,
			Access: token(storage.AccessToken, "access 2"), Refresh: token(storage.RefreshToken, "refresh 2")})
	}
	if err := errors.Join(err, rotated); err != nil {
		t.Fatal(err)
	}
}

// TestGrantGuards: another program can't undo what happened once.
func TestGrantGuards(t *testing.T) {
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	granted(t, s)
	c := connect(t, db)
	refused := func(statement string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "SP00") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	refused("UPDATE strikeplate_codes SET used = NULL")
	refused("UPDATE strikeplate_tokens SET rotated = NULL, successor = NULL WHERE rotated IS NOT NULL")
	refused("UPDATE strikeplate_tokens SET expires = expires + interval '1 day' WHERE rotated IS NULL")
	refused("UPDATE strikeplate_grants SET scopes = '{all}'")
	refused("UPDATE strikeplate_apps SET organisation = 'globex'")
	// A revocation by hand is one as any other.
	execute(t, c, "UPDATE strikeplate_grants SET revoked = now()")
	if p, err := s.Presented(t.Context(), hash("access 2")); err != nil || p.Grant.Revoked.IsZero() || p.Grant.Version != 2 {
		t.Errorf("revoked by hand: %+v, %v", p.Grant, err)
	}
	refused("UPDATE strikeplate_grants SET revoked = NULL")
	execute(t, c, "UPDATE strikeplate_apps SET revoked = now()")
	refused("UPDATE strikeplate_apps SET revoked = NULL")
}

// TestGrantsByARoleThatOnlyWritesRows: with the rights that the package's
// documentation names.
func TestGrantsByARoleThatOnlyWritesRows(t *testing.T) {
	db := pgtest.Database(t)
	open(t, postgres.Config{URL: db, Schema: "keys"})
	role := "grants_" + strings.TrimPrefix(mustParse(t, db).Path, "/")
	c := connect(t, db)
	execute(t, c, "CREATE ROLE "+role+" LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA keys TO "+role+
		"; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA keys TO "+role+
		"; GRANT DELETE ON keys.strikeplate_blocks, keys.strikeplate_consents, keys.strikeplate_tokens, keys.strikeplate_pushed TO "+role)
	u := mustParse(t, db)
	u.User = url.UserPassword(role, "pw")
	s := open(t, postgres.Config{URL: u.String(), Schema: "keys"})
	granted(t, s)
	ctx := t.Context()
	_, err := s.RevokeGrants(ctx, storage.GrantRevocation{Now: noon, Organisation: "acme", Subject: "u1", Audit: entries()})
	_, once := s.UseOnce(ctx, hash("once"), noon, noon.Add(time.Hour))
	push := s.Push(ctx, storage.Pushed{Hash: hash("pushed"), ClientID: "app", Expires: noon.Add(time.Hour)})
	_, take := s.TakePushed(ctx, hash("pushed"), noon)
	if err := errors.Join(err, once, push, take, s.DropToken(ctx, hash("access")),
		s.BlockApp(ctx, storage.Block{Organisation: "acme", ClientID: "app", At: noon}, entries()),
		s.UnblockApp(ctx, "acme", "app", entries()), s.Ready(ctx)); err != nil {
		t.Error(err)
	}
}

// TestGrantModes: in every way in which pgx can talk.
func TestGrantModes(t *testing.T) {
	for _, mode := range []string{"cache_describe", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			s := open(t, postgres.Config{URL: pgtest.Database(t) + "&default_query_exec_mode=" + mode, Schema: "order", Prefix: "api_"})
			granted(t, s)
			p, err := s.Presented(t.Context(), hash("access 2"))
			if err != nil || p.App.Secrets[0].Hash != hash("secret") || p.App.RedirectURIs[0] != "https://app.example/" || p.Token.Scopes[0] != "a" {
				t.Errorf("presented: %+v, %v", p, err)
			}
			err = s.UseCode(t.Context(), hash("code"), noon, nil)
			if !errors.Is(err, storage.ErrReused) {
				t.Errorf("a code that was used: %v", err)
			}
			err = s.EraseOrganisation(t.Context(), "acme")
			_, prune := s.PruneGrants(t.Context(), noon, 0)
			_, pruneApps := s.PruneApps(t.Context(), noon, 0)
			if err := errors.Join(err, prune, pruneApps); err != nil {
				t.Error(err)
			}
		})
	}
}

// counter counts what is sent on its own, and in batches.
type counter struct{ queries, batches atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.queries.Add(1)
	return ctx
}
func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.batches.Add(1)
	return ctx
}
func (c *counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// TestPresentedAtOnce: what every request waits for is one query.
func TestPresentedAtOnce(t *testing.T) {
	config, err := pgxpool.ParseConfig(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	var sent counter
	config.ConnConfig.Tracer = &sent
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := open(t, postgres.Config{Pool: pool})
	granted(t, s)
	before := sent.queries.Load() + 10*sent.batches.Load()
	if _, err := s.Presented(t.Context(), hash("access")); err != nil {
		t.Fatal(err)
	}
	if n := sent.queries.Load() + 10*sent.batches.Load() - before; n != 1 {
		t.Errorf("Presented sent %d queries, a batch counted as ten", n)
	}
}

// TestReuseThoughHungUp: a mutation of the organisation holds up the revocation
// that a used code brings. Whoever presented the code can't get away by hanging up
// meanwhile (THREATS 27).
func TestReuseThoughHungUp(t *testing.T) {
	db := pgtest.Database(t)
	s := open(t, postgres.Config{URL: db})
	granted(t, s)
	c := connect(t, db)
	execute(t, c, "BEGIN; UPDATE strikeplate_organisations SET entries = entries")
	ctx, hangUp := context.WithCancel(t.Context())
	used := make(chan error, 1)
	go func() { used <- s.UseCode(ctx, hash("code"), noon, nil) }()
	watching := connect(t, db)
	limit, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for waiting := false; !waiting; {
		err := watching.QueryRow(limit, `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database OR l.database IS NULL
			WHERE NOT l.granted AND d.datname = current_database())`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	hangUp()
	execute(t, c, "ROLLBACK")
	if err := <-used; !errors.Is(err, storage.ErrReused) {
		t.Errorf("a code that was used: %v", err)
	}
	if g, err := s.Grant(t.Context(), "acme", "a1"); err != nil || g.Revoked.IsZero() {
		t.Errorf("its grant: %+v, %v", g, err)
	}
}
