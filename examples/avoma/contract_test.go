package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/scope"
)

// Each response tells its limits and names the request, whatever became of it.
func TestEveryResponseHasItsFields(t *testing.T) {
	s := start(t, demo.Options{})
	for _, test := range []struct {
		key, path string
		status    int
		limit     string
	}{
		{"org_full", "/v1/whoami", 200, "6000"},
		{"org_full", "/v1/meetings", 200, "6000"},
		{"org_full", "/v1/meetings?page=x", 400, "6000"},
		{"org_full", "/v1/meetings/none", 404, "6000"},
		{"org_full", "/v1/none", 404, "6000"},
		{"deactivated_owner", "/v1/meetings", 401, "6000"},
		{"", "/v1/meetings", 401, "6000"},
		{"", "/v1/none", 401, "6000"},
		{"", "/", 200, "6000"},
		{"", "/healthz", 200, "6000"},
		{"", "/openapi.json", 200, "6000"},
		{"", "/sign-in", 200, "6000"},
	} {
		r := s.Get(t, test.key, test.path)
		if r.StatusCode != test.status {
			t.Errorf("%s %s: %d, want %d", test.key, test.path, r.StatusCode, test.status)
		}
		if r.Header.Get("X-RateLimit-Limit") != test.limit {
			t.Errorf("%s %s: X-RateLimit-Limit: %q", test.key, test.path, r.Header.Get("X-RateLimit-Limit"))
		}
		for _, field := range []string{"X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"} {
			if r.Header.Get(field) == "" {
				t.Errorf("%s %s: no %s", test.key, test.path, field)
			}
		}
		if strings.HasPrefix(test.path, "/v1/") && r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s may be stored", test.key, test.path)
		}
	}
}

func TestWhoCallsIsRefusedOrTold(t *testing.T) {
	s := start(t, demo.Options{})
	key := s.Keys["user_full"].Key
	for name, header := range map[string]string{
		"002-103: the pair as Bearer": "Bearer " + key,
		"002-103: the pair as Basic":  "Basic " + base64.StdEncoding.EncodeToString([]byte(key)),
	} {
		r := s.Get(t, "", "/v1/whoami", "Authorization", header)
		who := demotest.Decode[map[string]any](t, r)
		if r.StatusCode != http.StatusOK || who["access"] != "user-full" || who["subject"] != "usr_bo" || who["credential"] != s.Keys["user_full"].ID {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.Body)
		}
	}
	for name, header := range map[string]string{
		"a changed secret":    "Bearer " + key[:len(key)-1] + flipped(key[len(key)-1]),
		"half a pair":         "Bearer " + key[:strings.IndexByte(key, ':')],
		"legacy, wrong":       "Bearer " + s.Keys["legacy"].Key[:len(s.Keys["legacy"].Key)-1] + flipped(s.Keys["legacy"].Key[len(s.Keys["legacy"].Key)-1]),
		"something else":      "Bearer sk_live_123",
		"a key and a comment": "Bearer " + key + " please",
	} {
		refusal(t, name, s.Get(t, "", "/v1/meetings", "Authorization", header), http.StatusUnauthorized, "invalid_api_key")
	}
	refusal(t, "nothing", s.Get(t, "", "/v1/meetings"), http.StatusUnauthorized, "missing_api_key")
	refusal(t, "in the URL", s.Get(t, "", "/v1/meetings?api_key="+key), http.StatusUnauthorized, "missing_api_key")
}

// flipped is another character.
func flipped(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestRecordingsAreSound(t *testing.T) {
	s := start(t, demo.Options{})
	data := meetings.Generate()
	var path string
	for _, rec := range data.Recordings {
		if slices.Contains(expected(data, reach["org_limited"]), rec.Meeting) {
			path = "/v1/meetings/" + rec.Meeting + "/recording"
		}
	}
	r := s.Get(t, "org_limited", path)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "audio/wav" || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") ||
		string(r.Body[:4]) != "RIFF" || string(r.Body[8:12]) != "WAVE" || len(r.Body) < 6000 {
		t.Errorf("%d %v, %d bytes", r.StatusCode, r.Header, len(r.Body))
	}
	part := s.Get(t, "org_limited", path, "Range", "bytes=0-3")
	if part.StatusCode != http.StatusPartialContent || string(part.Body) != "RIFF" {
		t.Errorf("a range: %d %q", part.StatusCode, part.Body)
	}
	refusal(t, "the sound without a key", s.Get(t, "", path), http.StatusUnauthorized, "missing_api_key")
}

// openapi.json names the routes that there are, with the levels that they require.
func TestOpenAPIIsTheRegistry(t *testing.T) {
	var document struct {
		Servers []struct{ URL string }
		Paths   map[string]map[string]struct {
			Access    []string `json:"x-access"`
			Responses map[string]any
		}
	}
	if err := json.Unmarshal(openAPI, &document); err != nil {
		t.Fatal(err)
	}
	described := make(map[string][]string)
	for path, methods := range document.Paths {
		for method, operation := range methods {
			described[strings.ToUpper(method)+" "+document.Servers[0].URL+path] = operation.Access
			for _, status := range []string{"200", "401", "402", "403", "429", "503"} {
				if operation.Responses[status] == nil {
					t.Errorf("%s: no response %s", path, status)
				}
			}
		}
	}
	routes := scope.NewRoutes(scope.Plain{}, nil, nil)
	declare(routes, &api{})
	(&demo.Site{}).Pages(routes, openAPI)
	for _, route := range routes.All() {
		levels, found := described[route.Pattern]
		delete(described, route.Pattern)
		var want []string
		for _, level := range route.Requires.Access {
			want = append(want, string(level))
		}
		switch api := strings.HasPrefix(route.Path, "/v1/"); {
		case api && route.Public:
			t.Errorf("%s is open to everybody", route.Pattern)
		case api != found || !slices.Equal(levels, want):
			t.Errorf("%s: described with %q, declared with %q", route.Pattern, levels, want)
		case !api && !route.Public:
			t.Errorf("%s wants a key", route.Pattern)
		}
	}
	for pattern := range described {
		t.Errorf("%s is described and not declared", pattern)
	}
	served := start(t, demo.Options{}).Get(t, "", "/openapi.json")
	if string(served.Body) != string(openAPI) {
		t.Error("another document is served")
	}
}

// A database that is filled stays as it is: another start, or another instance
// at the same time, knows the same keys.
func TestKeysOutliveTheServer(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		file := filepath.Join(t.TempDir(), "credentials.json")
		first := start(t, demo.Options{DB: db, Credentials: file})
		second := start(t, demo.Options{DB: db, Credentials: file})
		stranger := start(t, demo.Options{DB: db})
		for name, key := range first.Keys {
			if second.Keys[name].Key != key.Key || second.Keys[name].ID != key.ID {
				t.Errorf("%s: the second instance's file has another key", name)
			}
			if stranger.Keys[name].Key != "" || stranger.Keys[name].ID != key.ID {
				t.Errorf("%s: a third one, with a file of its own, claims to know a secret", name)
			}
		}
		for _, s := range []*server{first, second} {
			if r := s.Get(t, "legacy", "/v1/whoami"); r.StatusCode != http.StatusOK {
				t.Errorf("%d %s", r.StatusCode, r.Body)
			}
		}
		renewed := start(t, demo.Options{DB: db, Reseed: true})
		for name, key := range first.Keys {
			if renewed.Keys[name].Key == key.Key || renewed.Keys[name].ID == key.ID {
				t.Errorf("%s is as before", name)
			}
		}
		r := renewed.Get(t, "", "/v1/whoami", "Authorization", "Bearer "+first.Keys["org_full"].Key)
		refusal(t, "an old key after -reseed", r, http.StatusUnauthorized, "invalid_api_key")
		if r := renewed.Get(t, "org_full", "/v1/whoami"); r.StatusCode != http.StatusOK {
			t.Errorf("a fresh key: %d %s", r.StatusCode, r.Body)
		}
		got, _ := renewed.list(t, "org_full", "")
		if !slices.Equal(got, expected(meetings.Generate(), acme)) {
			t.Errorf("after -reseed there are %d other meetings", len(got))
		}
	})
}

// Eight instances that start at the same time on an empty database fill it once.
func TestOneInstanceFillsTheDatabase(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		servers := make(chan *server)
		const instances = 8
		for range instances {
			file := filepath.Join(t.TempDir(), "credentials.json")
			go func() {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				ended := make(chan error, 1)
				go func() {
					ended <- demo.Run(ctx, avoma, demo.Options{DB: db, Credentials: file, InsecureCheapHashes: true})
				}()
				servers <- read(file, ended)
				stop()
				<-ended
			}()
		}
		ids, secrets := make(map[string]bool), 0
		for range instances {
			s := <-servers
			if s == nil {
				t.Error("an instance didn't start")
				continue
			}
			ids[s.Keys["org_full"].ID] = true
			if s.Keys["org_full"].Key != "" {
				secrets++
			}
		}
		if len(ids) != 1 || secrets != 1 {
			t.Errorf("%d different keys, %d instances that made one", len(ids), secrets)
		}
	})
}

// read waits for the file; nil if the server ended before.
func read(name string, ended <-chan error) *server {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			slog.Error("an instance ended before it was ready", "error", err)
			return nil
		case <-tick.C:
		}
		if content, err := os.ReadFile(name); err == nil {
			var s server
			if json.Unmarshal(content, &s) != nil {
				return nil
			}
			return &s
		}
	}
}
