package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nginx starts Debian's, as testdata/nginx.conf says, in front of service and
// beside a gateway.
func nginx(t *testing.T, gateway, service string) (addr string) {
	t.Helper()
	path := program(t, "nginx", "nginx")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = free.Addr().String()
	_ = free.Close()
	text, err := os.ReadFile("testdata/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	made := strings.NewReplacer("GATEWAY", gateway, "SERVICE", service, "LISTEN", addr).Replace(string(text))
	if err := os.WriteFile(config, []byte(made), 0o600); err != nil {
		t.Fatal(err)
	}
	// One process: there is nobody to be, and nobody to leave behind.
	command := exec.Command(path, "-p", dir, "-c", config, "-e", "stderr", "-g", "master_process off;")
	command.Stderr = os.Stderr
	background(t, command)
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return addr
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

func TestThreat14NginxAsksTheGateway(t *testing.T) {
	behind := service(t)
	g := start(t, options{proxies: "127.0.0.1"})
	front := nginx(t, g.addr, behind)

	res, body := raw(t, front, g.get("reader", "GET", "/v1/meetings/mtg_1?a=%2f", "X-Anything: else")...)
	var s sent
	if err := json.Unmarshal([]byte(body), &s); err != nil || res.StatusCode != http.StatusOK || s.URL != "/v1/meetings/mtg_1?a=%2f" || len(s.of("X-Anything")) != 1 {
		t.Fatalf("%s %s", status(res), body)
	}
	if res.Header.Get("X-RateLimit-Limit") != "300" || len(res.Header["X-Ratelimit-Limit"]) != 1 || len(res.Header["X-Request-Id"]) != 1 {
		t.Errorf("%s", status(res))
	}
	g.truthful(t, "nginx", body, "reader")
	_, body = raw(t, front, g.get("", "GET", "/status")...)
	g.truthful(t, "nginx", body, "")

	// Fields that nginx drops by itself, or sets to ours, are no matter; what it
	// would pass on is refused. Either way nobody is believed.
	for _, field := range hostile {
		res, body := raw(t, front, g.get("reader", "GET", "/v1/me", field)...)
		if res.StatusCode == http.StatusOK {
			g.truthful(t, "nginx", body, "reader")
		} else if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"code":"field_not_allowed"`) {
			t.Errorf("%s: %s %s", field, status(res), body)
		}
	}
	for _, target := range ambiguous {
		if res, body := raw(t, front, g.get("writer", "GET", target)...); res.StatusCode != http.StatusBadRequest || strings.Contains(body, `"fields"`) {
			t.Errorf("%s: %s %s", target, status(res), body)
		}
	}
	for _, target := range []string{"/-/auth", "/-/auth?x", "/-/envoy/v1/me", "/V1/me", "/v1/me/", "http://evil.example/v1/none"} {
		if res, body := raw(t, front, g.get("writer", "GET", target, "X-Forwarded-Uri: /v1/me", "X-Forwarded-Method: GET")...); res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusBadRequest || strings.Contains(body, `"fields"`) {
			t.Errorf("%s: %s %s", target, status(res), body)
		}
	}
}

// nginx makes 500 of what it doesn't know; the configuration mends that.
func TestNginxTellsWhatTheGatewaySaid(t *testing.T) {
	behind := service(t)
	g := start(t, options{proxies: "127.0.0.1"})
	front := nginx(t, g.addr, behind)
	refused := func(key, method, target string, wantStatus int, code string, fields ...string) {
		t.Helper()
		res, body := raw(t, front, g.get(key, method, target, fields...)...)
		var told struct {
			Status int
			Code   string
		}
		if err := json.Unmarshal([]byte(body), &told); err != nil || res.StatusCode != wantStatus || told.Status != wantStatus || told.Code != code ||
			res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %s %s, want %d %s", method, target, status(res), body, wantStatus, code)
		}
		if limited := wantStatus == http.StatusTooManyRequests; limited && (res.Header.Get("Retry-After") == "" || res.Header.Get("X-RateLimit-Remaining") != "0") ||
			wantStatus == http.StatusUnauthorized && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s %s: %s", method, target, status(res))
		}
	}
	refused("", "GET", "/v1/me", 401, "missing_api_key")
	refused("", "GET", "/v1/me", 401, "invalid_api_key", "Authorization: Bearer demo_none")
	refused("", "OPTIONS", "/v1/me", 401, "missing_api_key", "Origin: https://evil.example", "Access-Control-Request-Method: GET")
	refused("lapsed", "GET", "/v1/me", 402, "subscription_required")
	refused("reader", "DELETE", "/v1/meetings/mtg_1", 403, "insufficient_scope")
	refused("reader", "GET", "/admin", 404, "not_found")
	refused("reader", "PUT", "/v1/meetings/mtg_1", 405, "method_not_allowed")
	refused("reader", "GET", "/v1/meetings/%2e%2e", 400, "ambiguous_path")
	spend(t, g)
	refused("writer", "GET", "/v1/me", 429, "rate_limit_exceeded")
	g.stop()
	refused("reader", "GET", "/v1/me", 503, "temporarily_unavailable")
}

// spend uses what is left of the organisation's requests in this minute.
func spend(t *testing.T, g *gateway) {
	t.Helper()
	for range 301 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.BaseURL+"/v1/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+g.Keys["reader"].Key)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusTooManyRequests {
			return
		}
	}
	t.Fatal("more than 300 requests were let through")
}
