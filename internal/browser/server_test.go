package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is a running example.
type server struct {
	testing.TB
	BaseURL string `json:"base_url"`
	Keys    map[string]struct {
		Key string `json:"key"`
		ID  string `json:"id"`
	} `json:"keys"`
}

const developer = "/settings/developer"

// serve starts an example and waits until it is ready.
func serve(t testing.TB, name string) *server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials.json")
	cmd := exec.CommandContext(context.Background(), program(t, name), "-addr", "127.0.0.1:0", "-credentials", file)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil && t.Failed() {
				t.Logf("%s: %v\n%s", name, err, &said)
			}
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("%s didn't end", name)
		}
	})
	s := &server{TB: t}
	patience := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s: %v\n%s", name, err, &said)
		case <-patience:
			t.Fatalf("%s isn't ready\n%s", name, &said)
		case <-tick.C:
		}
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if err := json.Unmarshal(content, s); err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// call calls the product's API with a key, as an integration does.
func (s *server) call(key, path string) (status int, body string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.BaseURL+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// want calls the API and compares the status.
func (s *server) want(what, key string, status int) {
	s.Helper()
	if got, body := s.call(key, "/v1/whoami"); got != status {
		s.Errorf("%s: %d, want %d: %s", what, got, status, body)
	}
}

// control uses one of the demo's controls.
func (s *server) control(path, body string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.BaseURL+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		s.Fatalf("%s: %s", path, res.Status)
	}
}
