package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
)

// server is an avoma that runs in this process, and what scripts know of it.
type server struct {
	BaseURL string `json:"base_url"`
	Keys    map[string]struct{ Key, ID, About string }
	Users   map[string]struct {
		ID, Organisation, Role string
		Active                 bool
	}
	Organisations map[string]struct{ ID, Plan, Subscription string }

	client *http.Client
}

// start runs a server until the test ends.
func start(t *testing.T, o demo.Options) *server {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	if o.Credentials == "" {
		o.Credentials = filepath.Join(t.TempDir(), "credentials.json")
	}
	o.InsecureCheapHashes = true
	before, _ := os.ReadFile(o.Credentials) // of an earlier start
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, avoma, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("after the signal: %v", err)
		}
	})
	return await(t, o.Credentials, string(before), ended)
}

// await polls for the file, which is written when the server is ready.
func await(t *testing.T, name, before string, ended chan error) *server {
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
		content, err := os.ReadFile(name)
		if err != nil || string(content) == before {
			continue
		}
		s := &server{client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		if err := json.Unmarshal(content, s); err != nil {
			t.Fatalf("the file is there, but not complete: %v", err)
		}
		return s
	}
}

// databases are what the tests run on: SQLite, and PostgreSQL where the
// environment names one.
func databases(t *testing.T, test func(t *testing.T, db string)) {
	t.Helper()
	demotest.Databases(t, test)
}

// response is an answer that was read.
type response struct {
	*http.Response
	body []byte
}

// get asks with the demo key of that name; "" is no key.
func (s *server) get(t *testing.T, key, path string, headers ...string) response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.BaseURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		k, ok := s.Keys[key]
		if !ok || k.Key == "" {
			t.Fatalf("no demo key %q", key)
		}
		r.Header.Set("Authorization", "Bearer "+k.Key)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return s.do(t, r)
}

func (s *server) do(t *testing.T, r *http.Request) response {
	t.Helper()
	res, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{res, body}
}

// control uses one of the demo's controls.
func (s *server) control(t *testing.T, path, body string) response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.BaseURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res := s.do(t, r)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("POST %s %s: %d %s", path, body, res.StatusCode, res.body)
	}
	return res
}

// as is a browser in which a demo user is signed in.
func (s *server) as(t *testing.T, user string) *server {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	copied := *s
	copied.client = &http.Client{Jar: jar, CheckRedirect: s.client.CheckRedirect}
	copied.control(t, "/demo/login", `{"user": "`+user+`"}`)
	return &copied
}

func decode[T any](t *testing.T, r response) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
	return v
}

// refusal checks the status and the stable code of an answer.
func refusal(t *testing.T, what string, r response, status int, code string) {
	t.Helper()
	if r.StatusCode != status || r.Header.Get("X-Error-Code") != code {
		t.Errorf("%s: %d %q, want %d %q: %s", what, r.StatusCode, r.Header.Get("X-Error-Code"), status, code, r.body)
	}
	var body struct{ Detail string }
	if err := json.Unmarshal(r.body, &body); err != nil || body.Detail == "" {
		t.Errorf(`%s: the body is not {"detail": …}: %s`, what, r.body)
	}
}
