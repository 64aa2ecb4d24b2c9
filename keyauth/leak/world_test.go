package leak_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/leak"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const patience = time.Minute // for anything, on a loaded machine

// store is what each backend is.
type store interface {
	storage.Keys
	storage.Audit
	storage.EditableDirectory
	storage.Feed
	Close(ctx context.Context) error
}

// each runs a test on a new store of each kind.
func each(t *testing.T, run func(t *testing.T, s store)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { run(t, closing(t, memory.New())) })
	t.Run("postgres", func(t *testing.T) {
		s, err := postgres.Open(t.Context(), postgres.Config{URL: pgtest.Database(t)})
		if err != nil {
			t.Fatal(err)
		}
		run(t, closing(t, s))
	})
}

func memoryStore() *memory.Store { return memory.New() }

func closing(t testing.TB, s store) store {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

var cheap = keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true}

// formats are those of the products, and a former one.
func formats() keyauth.SchemeConfig {
	return keyauth.SchemeConfig{
		Formats: []keyauth.Format{
			{Prefix: "mvo_", Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}},
			{Prefix: "mavio_sk_", Foreign: []keyauth.Foreign{{Prefix: "mav.", MinLength: 30, MaxLength: 60, Separator: ".",
				Until: time.Now().Add(time.Hour)}}},
			{Pair: true},
		},
		TagKeys: [][]byte{randomBytes(32)}, Hashing: cheap,
	}
}

// world is a service of one organisation, "acme", with an intake of both kinds.
type world struct {
	testing.TB
	store  store
	scheme *keyauth.Scheme
	auth   *keyauth.Authenticator
	intake *leak.Intake
	secret []byte // of the scanner
}

func newWorld(t testing.TB, s store, sc keyauth.SchemeConfig, change ...func(*leak.Config)) *world {
	t.Helper()
	scheme, err := keyauth.NewScheme(sc)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, store: s, scheme: scheme, secret: randomBytes(32)}
	w.must(s.PutAccount(t.Context(), storage.Account{Organisation: "acme", Plan: "pro"}))
	w.auth, err = keyauth.New(keyauth.Config{Scheme: scheme, Keys: s, Directory: s, Feed: s})
	w.must(err)
	t.Cleanup(func() { w.must(w.auth.Close(context.Background())) })
	c := leak.Config{Scheme: scheme, Keys: s, ScannerSecrets: [][]byte{w.secret}}
	for _, f := range change {
		f(&c)
	}
	w.intake, err = leak.New(c)
	w.must(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		w.must(w.intake.Close(ctx))
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// mint makes a key without storing it.
func (w *world) mint(prefix string, env strikeplate.Environment, change ...func(*storage.Key)) (string, storage.Key) {
	w.Helper()
	m, err := w.scheme.Mint(w.Context(), prefix, env)
	w.must(err)
	id := "key_" + rand.Text()
	k := storage.Key{ID: id, Lookup: m.Lookup, Lineage: id, Organisation: "acme", Name: "CRM Sync", Last4: m.Last4,
		Format: m.Format, Environment: m.Environment, Access: strikeplate.OrganisationFull,
		Scopes: []string{"meetings:read"}, Creator: "ada", Hash: m.Hash, SecretVersion: 1, Created: time.Now()}
	for _, f := range change {
		f(&k)
	}
	return m.Secret.Reveal(), k
}

// key makes a key of acme.
func (w *world) key(change ...func(*storage.Key)) (string, storage.Key) {
	w.Helper()
	text, k := w.mint("mvo_", strikeplate.Live, change...)
	w.put(k)
	return text, k
}

func (w *world) put(k storage.Key) {
	w.Helper()
	w.must(w.store.Commit(w.Context(), storage.Mutation{Now: time.Now(), Put: []storage.Key{k},
		Audit: []storage.Entry{{Organisation: k.Organisation, Action: "test", Target: k.ID, At: time.Now()}}}))
}

func (w *world) stored(k storage.Key) storage.Key {
	w.Helper()
	k, err := w.store.Key(w.Context(), k.Organisation, k.ID)
	w.must(err)
	return k
}

// code is what the service says of a key: "" if it is accepted.
func (w *world) code(text string) string {
	w.Helper()
	_, err := w.auth.Verify(w.Context(), text, netip.MustParseAddr("192.0.2.9"))
	var e *strikeplate.Error
	if errors.As(err, &e) {
		return e.Code
	}
	w.must(err)
	return ""
}

// entries are those of the log that tests didn't write themselves.
func (w *world) entries() []storage.Entry {
	w.Helper()
	var found []storage.Entry
	q := storage.Query{Organisation: "acme", Limit: 1000}
	for {
		page, next, err := w.store.Entries(w.Context(), q)
		w.must(err)
		for _, e := range page {
			if e.Action != "test" {
				found = append(found, e)
			}
		}
		if len(page) < 1000 {
			return found
		}
		q.Cursor = next
	}
}

// report is one element of a body.
type report struct {
	Token  string `json:"token"`
	Type   string `json:"type"`
	URL    string `json:"url"`
	Source string `json:"source"`
}

func leaked(tokens ...string) []report {
	reports := make([]report, len(tokens))
	for i, token := range tokens {
		reports[i] = report{token, "mvo_live_api_key", "https://github.example/a/b/blob/0123/.env", "Commit"}
	}
	return reports
}

func body(t testing.TB, reports []report) []byte {
	t.Helper()
	text, err := json.Marshal(reports)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verdict is one element of a reply.
type verdict struct {
	TokenRaw  *string `json:"token_raw"`
	TokenHash string  `json:"token_hash"`
	TokenType string  `json:"token_type"`
	Label     string  `json:"label"`
}

func hashed(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// labels reads a reply, by token_hash.
func labels(t testing.TB, reply *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	if reply.Code != http.StatusOK || reply.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %s", reply.Code, reply.Body)
	}
	var verdicts []verdict
	if err := json.Unmarshal(reply.Body.Bytes(), &verdicts); err != nil {
		t.Fatalf("%v in %s", err, reply.Body)
	}
	found := make(map[string]string)
	for _, v := range verdicts {
		found[v.TokenHash] = v.Label
	}
	return found
}

// post sends a body with header fields to a handler, through an Edge.
func post(h http.Handler, content []byte, fields map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/leaks", bytes.NewReader(content))
	r.RemoteAddr = "192.0.2.44:5555"
	r.Header.Set("Content-Type", "application/json")
	for name, value := range fields {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	strikeplate.Edge{}.Handler(h).ServeHTTP(w, r)
	return w
}

// refused fails unless the reply is that refusal, in the service's dialect, and
// says nothing of the tokens.
func refused(t testing.TB, reply *httptest.ResponseRecorder, status int, code string, tokens ...string) {
	t.Helper()
	var problem struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(reply.Body.Bytes(), &problem); err != nil || reply.Code != status || problem.Code != code {
		t.Fatalf("got %d %s; want %d %s", reply.Code, reply.Body, status, code)
	}
	if !strings.HasSuffix(problem.Detail, ".") {
		t.Errorf("%q is no sentence", problem.Detail)
	}
	for _, token := range tokens {
		if strings.Contains(reply.Body.String(), token) || strings.Contains(reply.Body.String(), hashed(token)) {
			t.Errorf("the refusal tells of a token: %s", reply.Body)
		}
	}
	if status == http.StatusServiceUnavailable && reply.Header().Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
}
