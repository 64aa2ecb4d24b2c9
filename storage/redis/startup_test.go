package redis_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/redis"
)

// asMember makes this test's binary be a member of a fleet, and names its PostgreSQL,
// Redis and feed.
const asMember = "STRIKEPLATE_TEST_MEMBER"

func TestMain(m *testing.M) {
	if where, ok := os.LookupEnv(asMember); ok {
		if err := serve(strings.Fields(where)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(pgtest.Main(m))
}

// serve is a service with the defaults of a fleet: it says its address, and serves
// until its standard input ends.
func serve(where []string) error {
	ctx := context.Background()
	options, err := goredis.ParseURL(where[1])
	if err != nil {
		return err
	}
	options.ContextTimeoutEnabled = true
	shared := redis.Config{Client: goredis.NewClient(options)}
	bell, err := redis.NewBell(shared)
	if err != nil {
		return err
	}
	proofs, err := redis.NewProofs(shared)
	if err != nil {
		return err
	}
	store, err := postgres.Open(ctx, postgres.Config{URL: where[0], Poll: where[2] == "poll", Bell: bell})
	if err != nil {
		return err
	}
	scheme, err := keyauth.NewScheme(schemeConfig(keyauth.Hashing{}))
	if err != nil {
		return err
	}
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store,
		Cache: keyauth.Cache{Shared: &keyauth.Shared{Store: proofs, Secret: secret}}})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = l.Close()
	}()
	routes := http.NewServeMux()
	routes.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := keys.Ready(r.Context()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	routes.Handle("GET /", strikeplate.Edge{Logger: slog.New(slog.DiscardHandler)}.Handler(strikeplate.Require(keys)(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))))
	_ = http.Serve(l, routes)
	return nil
}

// BenchmarkStart is from the start of a process until it has let a request in and
// is ready, with a million keys in the store. The key is one that nobody proved, so a
// hash at its default cost is part of it.
func BenchmarkStart(b *testing.B) {
	keys := 1_000_000
	if testing.Short() {
		keys = 1000
	}
	url, shared := pgtest.Database(b), redistest.Start(b).URL()
	text := million(b, url, keys)
	for _, feed := range []string{"listen", "poll"} {
		b.Run(fmt.Sprintf("keys=%d/feed=%s", keys, feed), func(b *testing.B) {
			var answered, ready []time.Duration
			for b.Loop() {
				a, r := start(b, strings.Join([]string{url, shared, feed}, " "), text[0])
				answered, ready, text = append(answered, a), append(ready, r), text[1:]
			}
			for name, d := range map[string][]time.Duration{"answer-ms": answered, "ready-ms": ready} {
				slices.Sort(d)
				b.ReportMetric(float64(d[len(d)/2].Microseconds())/1000, name)
			}
			b.ReportMetric(float64(max(answered[len(answered)-1], ready[len(ready)-1]).Microseconds())/1000, "slowest-ms")
		})
	}
}

// million fills the store and returns the texts of some of its keys.
func million(b *testing.B, url string, keys int) (texts []string) {
	b.Helper()
	store := open(b, url, nil)
	put(b, store, "acme")
	f := newFleet(b, keyauth.Hashing{})
	for range 100 {
		text, _ := issued(b, f.scheme, store, fmt.Sprint("known", len(texts)))
		texts = append(texts, text)
	}
	c, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	// The triggers are silent: a million announcements are not what is measured.
	for _, sql := range []string{"SET session_replication_role = replica", fmt.Sprintf(`INSERT INTO strikeplate_keys
		SELECT 'k' || n, 'lookup-' || n, 'k' || n, 'org' || n / 100, 'key ' || n, 'abcd', 'key_', 'live', 'org-full',
			'{}', '', 'u1', '{}', '{}', '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$' || md5(n::text) || md5(n::text),
			NULL, 1, 1, now(), NULL, NULL, '' FROM generate_series(1, %d) AS n`, keys), "VACUUM ANALYZE strikeplate_keys", "CHECKPOINT"} {
		if _, err := c.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	return texts
}

// start starts a member and measures until it lets the key in, and until it is ready.
func start(b *testing.B, where, key string) (answered, ready time.Duration) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asMember+"="+where)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	ok := func(path string) bool {
		r, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+strings.TrimSpace(addr)+path, nil)
		r.Header.Set("Authorization", "Bearer "+key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	eventually(b, "a key is let in", func() bool { return ok("/") })
	answered = time.Since(began)
	eventually(b, "it is ready", func() bool { return ok("/readyz") })
	return answered, time.Since(began)
}
