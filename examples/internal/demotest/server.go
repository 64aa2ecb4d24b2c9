// Package demotest runs the example servers in tests, and asks them over HTTP.
//
//	s := demotest.Start(t, product, demo.Options{})
//	r := s.Get(t, "team", "/v1/meetings")
package demotest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
)

// Server is an example server that runs in this process, and what scripts know of
// it.
type Server struct {
	BaseURL string `json:"base_url"`
	Keys    map[string]struct{ Key, ID, About string }
	Users   map[string]struct {
		ID, Organisation, Role string
		Active                 bool
	}
	Organisations map[string]struct{ ID, Plan, Subscription string }
	OAuth         map[string]OAuthClient

	// Client is the browser or program that asks.
	Client *http.Client `json:"-"`
	// Check, if it is set, sees each answer.
	Check func(t *testing.T, r Response) `json:"-"`
}

// OAuthClient is an app of the credentials file.
type OAuthClient struct {
	ID           string   `json:"client_id"`
	Secret       string   `json:"client_secret"`
	RedirectURIs []string `json:"redirect_uris"`
}

// Start runs a server until the test ends, on the Redis that the environment names.
func Start(t *testing.T, p demo.Product, o demo.Options) *Server {
	t.Helper()
	if o.Redis == "" {
		o.Redis = os.Getenv("STRIKEPLATE_EXAMPLES_REDIS")
	}
	return StartAlone(t, p, o)
}

// StartAlone is Start without that Redis: each instance counts its own requests.
func StartAlone(t *testing.T, p demo.Product, o demo.Options) *Server {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	if o.Credentials == "" {
		o.Credentials = filepath.Join(t.TempDir(), "credentials.json")
	}
	o.InsecureCheapHashes = true
	before, _ := os.ReadFile(o.Credentials) // of an earlier start
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, p, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("after the signal: %v", err)
		}
	})
	return await(t, o.Credentials, string(before), ended)
}

// await polls for the file, which is written when the server is ready.
func await(t *testing.T, name, before string, ended chan error) *Server {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("the server ended: %v", err)
		case <-deadline:
			t.Fatal("no credentials after 60 s")
		case <-tick.C:
		}
		content, err := os.ReadFile(name) //nolint:gosec // the test's own file
		if err != nil || string(content) == before {
			continue
		}
		s := &Server{Client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		if err := json.Unmarshal(content, s); err != nil {
			t.Fatalf("the file is there, but not complete: %v", err)
		}
		return s
	}
}

// Databases runs a test on SQLite, and on PostgreSQL where the environment names
// one.
func Databases(t *testing.T, test func(t *testing.T, db string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "demo.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres(t)) })
}

// postgres is an empty schema in the database that the environment names.
func postgres(t *testing.T) string {
	t.Helper()
	url := os.Getenv("STRIKEPLATE_EXAMPLES_POSTGRES")
	switch {
	case url != "":
	case os.Getenv("STRIKEPLATE_REQUIRE_SERVICES") == "1":
		t.Fatal("STRIKEPLATE_EXAMPLES_POSTGRES is not set; `make test` sets it")
	default:
		t.Skip("set STRIKEPLATE_EXAMPLES_POSTGRES to the URL of a PostgreSQL database to run this test, as `make test` does")
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	schema := "demo_" + strings.ToLower(rand.Text())
	if _, err := conn.Exec(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := conn.Exec(context.Background(), "DROP SCHEMA "+schema+" CASCADE")
		if err != nil {
			t.Error(err)
		}
		_ = conn.Close(context.Background())
	})
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	return url + separator + "search_path=" + schema
}

// Response is an answer that was read, and what was asked.
type Response struct {
	*http.Response
	Body []byte
}

// Ask sends a request with the demo key of that name; "" is no key. A body is sent
// as JSON. Header fields follow by name and value.
func (s *Server) Ask(t *testing.T, key, method, path, body string, headers ...string) Response {
	t.Helper()
	if key != "" {
		k, ok := s.Keys[key]
		if !ok || k.Key == "" {
			t.Fatalf("no demo key %q", key)
		}
		headers = append([]string{"Authorization", "Bearer " + k.Key}, headers...)
	}
	return s.Send(t, method, path, body, headers...)
}

// Get is Ask without a body.
func (s *Server) Get(t *testing.T, key, path string, headers ...string) Response {
	t.Helper()
	return s.Ask(t, key, http.MethodGet, path, "", headers...)
}

// Send sends a request. On a machine that is busy a server may answer that it could
// not check in time: nothing was done then, and it is asked again, as clients do. No
// test is about that.
func (s *Server) Send(t *testing.T, method, path, body string, headers ...string) Response {
	t.Helper()
	for patience := 10; ; patience-- {
		r := s.once(t, method, path, body, headers...)
		if r.StatusCode != http.StatusServiceUnavailable || patience == 0 {
			if s.Check != nil {
				s.Check(t, r)
			}
			return r
		}
		t.Logf("%s %s: asked again after %.200s", method, path, r.Body)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-t.Context().Done():
			return r
		}
	}
}

func (s *Server) once(t *testing.T, method, path, body string, headers ...string) Response {
	t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = s.BaseURL + path
	}
	r, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Response{answer, content}
}

// Control uses one of the demo's controls.
func (s *Server) Control(t *testing.T, path, body string) Response {
	t.Helper()
	r := s.Send(t, http.MethodPost, path, body)
	if r.StatusCode != http.StatusOK {
		t.Fatalf("POST %s %s: %d %s", path, body, r.StatusCode, r.Body)
	}
	return r
}

// As is a browser in which a demo user is signed in.
func (s *Server) As(t *testing.T, user string) *Server {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	copied := *s
	copied.Client = &http.Client{Jar: jar, CheckRedirect: s.Client.CheckRedirect}
	copied.Control(t, "/demo/login", `{"user": "`+user+`"}`)
	return &copied
}

// Decode reads an answer's JSON.
func Decode[T any](t *testing.T, r Response) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(r.Body, &v); err != nil {
		t.Fatalf("%s: %v", r.Body, err)
	}
	return v
}

// Want checks an answer's status, and of an error the code: the exact one, in
// X-Error-Code.
func Want(t *testing.T, what string, r Response, status int, code string) {
	t.Helper()
	if r.StatusCode != status || r.Header.Get("X-Error-Code") != code {
		t.Errorf("%s: %d %q, want %d %q: %.500s", what, r.StatusCode, r.Header.Get("X-Error-Code"), status, code, r.Body)
	}
}

// Refused is what the body of a refusal of Mavio's says.
type Refused struct {
	Error struct {
		Code, Message string
		RequestID     string `json:"request_id"`
		Details       []struct{ Field, Message string }
	}
}

// Fields are the fields that a refusal names.
func Fields(t *testing.T, r Response) []string {
	t.Helper()
	var fields []string
	for _, d := range Decode[Refused](t, r).Error.Details {
		fields = append(fields, d.Field)
	}
	return fields
}

// List follows a list to its end.
func List[T any](t *testing.T, s *Server, key, path string) []T {
	t.Helper()
	all := []T{}
	for next := ""; ; {
		page := path
		if next != "" {
			separator := "?"
			if strings.Contains(path, "?") {
				separator = "&"
			}
			page += separator + "cursor=" + next
		}
		r := s.Get(t, key, page)
		if r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %d %s", key, page, r.StatusCode, r.Body)
		}
		found := Decode[struct {
			Data []T
			Next *string
		}](t, r)
		all = append(all, found.Data...)
		if found.Next == nil {
			return all
		}
		next = *found.Next
	}
}
