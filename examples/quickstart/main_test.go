package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The demo does what it prints: its key is let in, nobody else is.
func TestQuickstart(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "credentials.json")
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", file) }()
	written := waitFor(t, file, ended)

	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the credentials' file has mode %v", info.Mode())
	}
	key := written.Keys["demo"].Key
	for _, test := range []struct {
		path, key string
		status    int
		code      string
	}{
		{"/v1/whoami", key, 200, ""},
		{"/v1/whoami", "", 401, "missing_api_key"},
		{"/v1/whoami", key + "x", 401, "invalid_api_key"},
		{"/v1/other", "", 401, "missing_api_key"},
		{"/v1/other", key, 404, "not_found"},
		{"/v1/meetings", key, 200, ""},
		{"/", "", 200, ""},
		{"/openapi.json", "", 200, ""},
	} {
		status, body := get(t, written.BaseURL+test.path, test.key)
		if status != test.status {
			t.Errorf("%s with key %.12q: %d, want %d: %s", test.path, test.key, status, test.status, body)
		}
		var problem struct{ Code string }
		if test.code != "" && (json.Unmarshal(body, &problem) != nil || problem.Code != test.code) {
			t.Errorf("%s: %s, want code %s", test.path, body, test.code)
		}
	}
	checkScope(t, written.BaseURL, key)
	_, body := get(t, written.BaseURL+"/v1/whoami", key)
	var principal struct{ Organisation, Credential string }
	if err := json.Unmarshal(body, &principal); err != nil || principal.Organisation != "org_demo" ||
		principal.Credential != written.Keys["demo"].ID {
		t.Errorf("whoami: %s", body)
	}
	status := 0
	for range 61 { // of 60, some of which are spent
		status, body = get(t, written.BaseURL+"/v1/whoami", key)
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("after 61 more requests: %d %s", status, body)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("after the signal: %v", err)
	}
}

type credentials struct {
	BaseURL string `json:"base_url"`
	Keys    map[string]struct{ Key, ID string }
}

// waitFor polls for the file, which appears when the server is ready.
func waitFor(t *testing.T, file string, ended <-chan error) credentials {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v", err)
		case <-deadline:
			t.Fatal("no credentials after 30 s")
		case <-tick.C:
		}
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var c credentials
		if err := json.Unmarshal(content, &c); err != nil {
			t.Fatalf("the file is there, but not complete: %v", err)
		}
		return c
	}
}

func get(t *testing.T, url, key string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"} {
		if res.Header.Get(field) == "" {
			t.Errorf("%s: the response has no %s", url, field)
		}
	}
	return res.StatusCode, body
}

// checkScope tries what the demo key has no scope for.
func checkScope(t *testing.T, base, key string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, base+"/v1/meetings/m1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if challenge := res.Header.Get("WWW-Authenticate"); res.StatusCode != http.StatusForbidden ||
		challenge != `Bearer error="insufficient_scope", scope="meetings:write"` {
		t.Errorf("without the scope: %d, %s", res.StatusCode, challenge)
	}
	if limit := res.Header.Get("X-RateLimit-Limit"); limit != "60" {
		t.Errorf("the plan's limit is told as %q", limit)
	}
}
