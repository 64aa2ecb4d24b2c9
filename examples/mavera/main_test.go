package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
	"github.com/strikeplate/strikeplate/scope"
)

// start runs a mavera whose every answer is held to its OpenAPI document.
func start(t *testing.T, o demo.Options) *demotest.Server {
	t.Helper()
	s := demotest.Start(t, mavera, o)
	document := demotest.Parse(t, openAPI)
	s.Check = document.Fits
	return s
}

// told is the body of a refusal.
type told struct {
	Error struct {
		Message, Type, Code string
		Param               *string
	}
}

// refusal checks all that a refusal says; "" is JSON's null for param.
func refusal(t *testing.T, what string, r demotest.Response, status int, kind, code, param string) {
	t.Helper()
	body := demotest.Decode[told](t, r).Error
	got := ""
	if body.Param != nil {
		got = *body.Param
	}
	if r.StatusCode != status || body.Type != kind || body.Code != code || got != param || body.Message == "" {
		t.Errorf("%s: %d %s, want %d %s %s %q", what, r.StatusCode, r.Body, status, kind, code, param)
	}
}

const (
	hello   = `{"model": "mavera-echo", "messages": [{"role": "user", "content": "Hello there"}]}`
	chats   = "/api/v1/chat/completions"
	answers = "/api/v1/responses"
)

var routes = []struct{ method, path, body string }{
	{"GET", "/api/v1/models", ""},
	{"GET", "/api/v1/models/mavera-echo", ""},
	{"POST", chats, hello},
	{"POST", answers, `{"model": "mavera-echo", "input": "Hello there"}`},
	{"GET", "/api/v1/whoami", ""},
}

// What each key is answered, on every route, and what the page documents of it.
func TestWhatKeysAreAnswered(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		for _, route := range routes {
			for _, key := range []string{"valid", "issued", "other"} {
				if r := s.Ask(t, key, route.method, route.path, route.body); r.StatusCode != http.StatusOK {
					t.Errorf("003-5, 003-30b: %s %s: %d %s", key, route.path, r.StatusCode, r.Body)
				}
			}
			for id, test := range map[string]struct {
				key, header string
				status      int
				kind, code  string
			}{
				"003-91":  {"", "", 401, "authentication_error", "missing_api_key"},
				"003-92":  {"", "Bearer mvra_live_" + strings.Repeat("x", 32), 401, "authentication_error", "invalid_api_key"},
				"003-93":  {"revoked", "", 401, "authentication_error", "revoked_api_key"},
				"003-94":  {"expired", "", 401, "authentication_error", "expired_api_key"},
				"003-108": {"lapsed", "", 402, "billing_error", "subscription_required"},
			} {
				var headers []string
				if test.header != "" {
					headers = []string{"Authorization", test.header}
				}
				refusal(t, id+" "+route.path, s.Ask(t, test.key, route.method, route.path, route.body, headers...), test.status, test.kind, test.code, "")
			}
		}
	})
}

// The body is the one that the page shows, to the byte.
func Test003_96_ErrorBody(t *testing.T) {
	s := start(t, demo.Options{})
	const want = `{"error":{"message":"Invalid API key. Ensure your key starts with 'mvra_live_' and has not been revoked.",` +
		`"type":"authentication_error","code":"invalid_api_key","param":null}}` + "\n"
	key := s.Keys["valid"].Key
	for what, header := range map[string]string{
		"another product's":   "Bearer sk-proj-4711",
		"half":                "Bearer " + key[:30],
		"a changed character": "Bearer " + key[:20] + flipped(key[20]) + key[21:],
		"too long":            "Bearer mvra_live_" + strings.Repeat("a", 500),
		"another scheme":      "Basic " + key,
		"no scheme":           key,
		"empty":               "",
		"two":                 "Bearer " + key + " " + key,
		"a test key":          "Bearer mvra_test_" + strings.Repeat("a", 32),
	} {
		if r := s.Get(t, "", "/api/v1/models", "Authorization", header); string(r.Body) != want || r.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", what, r.StatusCode, r.Body)
		}
	}
	refusal(t, "in the URL", s.Get(t, "", "/api/v1/models?api_key="+key), 401, "authentication_error", "missing_api_key", "")
}

func flipped(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// Each response tells its limit and names the request, whatever became of it.
func TestEveryResponseHasItsFields(t *testing.T) {
	s := start(t, demo.Options{})
	for _, test := range []struct {
		key, path string
		status    int
		limit     string
	}{
		{"valid", "/api/v1/models", 200, "120"},
		{"valid", "/api/v1/models/none", 404, "120"},
		{"valid", "/api/v1/none", 404, "120"},
		{"valid", chats, 405, "120"},
		{"revoked", "/api/v1/models", 401, "600"},
		{"expired", "/api/v1/models", 401, "600"},
		{"lapsed", "/api/v1/models", 402, "120"},
		{"", "/api/v1/models", 401, "600"},
		{"", "/api/v1/none", 401, "600"},
		{"", "/", 200, "600"},
		{"", "/healthz", 200, "600"},
		{"", "/openapi.json", 200, "600"},
		{"", "/sign-in", 200, "600"},
		{"", "/settings/developer", 303, "600"},
	} {
		r := s.Get(t, test.key, test.path)
		if r.StatusCode != test.status || r.Header.Get("X-RateLimit-Limit") != test.limit {
			t.Errorf("%s %s: %d with a limit of %q, want %d and %s", test.key, test.path, r.StatusCode, r.Header.Get("X-RateLimit-Limit"), test.status, test.limit)
		}
		for _, field := range []string{"X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"} {
			if r.Header.Get(field) == "" {
				t.Errorf("%s %s: no %s", test.key, test.path, field)
			}
		}
	}
}

func TestOpenAPIIsTheRegistry(t *testing.T) {
	all := scope.NewRoutes(scope.Plain{}, nil, nil)
	if err := declare(all, &api{}); err != nil {
		t.Fatal(err)
	}
	(&demo.Site{}).Pages(all, openAPI)
	demotest.Parse(t, openAPI).Routes(t, all)
}

// Keys of the shape that was issued before work until a date.
func Test003_30_IssuedKeys(t *testing.T) {
	s := start(t, demo.Options{})
	key := s.Keys["issued"].Key
	if len(key) < 32 || !strings.HasPrefix(key, "mvra_live_") {
		t.Errorf("003-30: %d characters", len(key))
	}
	who := demotest.Decode[map[string]any](t, s.Get(t, "issued", "/api/v1/whoami"))
	if who["organisation"] != "org_acme" || who["access"] != "org-full" || who["credential"] != s.Keys["issued"].ID {
		t.Errorf("003-30b: %v", who)
	}
	refusal(t, "003-30b a changed one", s.Get(t, "", "/api/v1/models", "Authorization", "Bearer "+key[:30]+flipped(key[30])+key[31:]),
		401, "authentication_error", "invalid_api_key", "")
	s.Control(t, "/demo/clock", `{"advance": "`+time.Until(issuedUntil).String()+`"}`)
	refusal(t, "003-30b after the date", s.Get(t, "issued", "/api/v1/models"), 401, "authentication_error", "invalid_api_key", "")
	if r := s.Get(t, "valid", "/api/v1/models"); r.StatusCode != http.StatusOK {
		t.Errorf("003-30b: a minted key, after the date: %d %s", r.StatusCode, r.Body)
	}
}

type keyInfo struct {
	ID, Name, Access, Created, Last4, Status string
	LastUsed                                 *string `json:"last_used"`
}

const developer = "/settings/developer/api"

func TestDeveloperPage(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		admin := s.As(t, "admin")
		made := admin.Send(t, http.MethodPost, developer+"/keys", `{"name": "Production Server"}`)
		created := demotest.Decode[struct {
			Key    keyInfo
			Secret string
		}](t, made)
		if made.StatusCode != http.StatusCreated || !strings.HasPrefix(created.Secret, "mvra_live_") || len(created.Secret) < 32 || created.Key.Access != "org-full" {
			t.Fatalf("003-18, 003-29, 003-30: %d %s", made.StatusCode, made.Body)
		}
		bearer := []string{"Authorization", "Bearer " + created.Secret}
		if r := s.Get(t, "", "/api/v1/models", bearer...); r.StatusCode != http.StatusOK {
			t.Errorf("003-5b: %d %s", r.StatusCode, r.Body)
		}
		listed := string(admin.Get(t, "", developer+"/keys").Body)
		if !strings.Contains(listed, created.Secret[len(created.Secret)-4:]) || !strings.Contains(listed, "Production Server") || strings.Contains(listed, created.Secret) {
			t.Errorf("003-23, 003-74…77: %s", listed)
		}
		if r := admin.Send(t, http.MethodPost, developer+"/keys/"+created.Key.ID+"/revoke", "{}"); r.StatusCode != http.StatusOK {
			t.Errorf("003-81: %d %s", r.StatusCode, r.Body)
		}
		refusal(t, "003-86", s.Get(t, "", "/api/v1/models", bearer...), 401, "authentication_error", "revoked_api_key", "")
		if r := admin.Send(t, http.MethodPost, developer+"/keys/"+created.Key.ID+"/regenerate", "{}"); r.StatusCode != http.StatusConflict {
			t.Errorf("003-86a: a revoked key is regenerated: %d %s", r.StatusCode, r.Body)
		}
		if page := string(admin.Get(t, "", "/settings/developer").Body); !strings.Contains(page, "Demo valid") {
			t.Errorf("003-74: %s", page)
		}
		if r := s.As(t, "member").Get(t, "", "/settings/developer"); r.StatusCode != http.StatusForbidden {
			t.Errorf("a member sees the page: %d", r.StatusCode)
		}
	})
}

// A subscription that lapses leaves keys as they are, and renewing it restores them.
func Test003_107_Subscription(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		admin := s.As(t, "admin")
		create := func() demotest.Response {
			return admin.Send(t, http.MethodPost, developer+"/keys", `{"name": "Another"}`)
		}
		s.Control(t, "/demo/organisations/org_acme", `{"subscription": "lapsed"}`)
		refusal(t, "003-107, 003-108", s.Get(t, "valid", "/api/v1/models"), 402, "billing_error", "subscription_required", "")
		if r := create(); r.StatusCode != http.StatusPaymentRequired {
			t.Errorf("003-109: %d %s", r.StatusCode, r.Body)
		}
		s.Control(t, "/demo/organisations/org_acme", `{"subscription": "active"}`)
		if r := s.Get(t, "valid", "/api/v1/models"); r.StatusCode != http.StatusOK {
			t.Errorf("003-110: %d %s", r.StatusCode, r.Body)
		}
		if r := create(); r.StatusCode != http.StatusCreated {
			t.Errorf("003-110: %d %s", r.StatusCode, r.Body)
		}
		refusal(t, "the demo's lapsed key", s.Get(t, "lapsed", "/api/v1/models"), 402, "billing_error", "subscription_required", "")
		s.Control(t, "/demo/organisations/org_elm", `{"subscription": "active"}`)
		if r := s.Get(t, "lapsed", "/api/v1/models"); r.StatusCode != http.StatusOK {
			t.Errorf("003-110: %d %s", r.StatusCode, r.Body)
		}
	})
}

// An organisation has 120 requests in a minute, over all of its keys, and no other
// organisation notices.
func TestRateLimit(t *testing.T) {
	s := start(t, demo.Options{})
	keys := []string{"valid", "issued"}
	for i := range 120 {
		if r := s.Get(t, keys[i%2], "/api/v1/models"); r.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %d %s", i+1, r.StatusCode, r.Body)
		}
	}
	for _, route := range routes {
		r := s.Ask(t, "valid", route.method, route.path, route.body)
		refusal(t, "request 121", r, 429, "rate_limit_error", "rate_limit_exceeded", "")
		if r.Header.Get("X-RateLimit-Limit") != "120" || r.Header.Get("X-RateLimit-Remaining") != "0" || r.Header.Get("Retry-After") == "" {
			t.Errorf("request 121: %v", r.Header)
		}
	}
	if r := s.Get(t, "other", "/api/v1/models"); r.StatusCode != http.StatusOK || r.Header.Get("X-RateLimit-Remaining") != "119" {
		t.Errorf("another organisation: %d %v", r.StatusCode, r.Header)
	}
}

// long is a request that is streamed for 20 s if nobody ends it.
func long(path string) string {
	text, _ := json.Marshal(strings.Repeat("word ", 2000))
	if path == answers {
		return `{"model": "mavera-echo", "stream": true, "input": ` + string(text) + `}`
	}
	return `{"model": "mavera-echo", "stream": true, "messages": [{"role": "user", "content": ` + string(text) + `}]}`
}

// open begins a stream and returns it when its first event is there.
func open(t *testing.T, s *demotest.Server, key, path string) (lines *bufio.Scanner, leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.BaseURL+path, strings.NewReader(long(path)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+s.Keys[key].Key)
	res, err := s.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	lines = bufio.NewScanner(res.Body)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" || !lines.Scan() {
		t.Fatalf("%s: %d %v", path, res.StatusCode, res.Header)
	}
	leave = func() {
		cancel()
		_ = res.Body.Close()
	}
	t.Cleanup(leave)
	return lines, leave
}

// An endpoint serves an organisation so many times at once. A client that leaves
// makes room.
func TestConcurrency(t *testing.T) {
	s := start(t, demo.Options{})
	crowd(t, s, chats, hello, 5)
	crowd(t, s, answers, `{"model": "mavera-echo", "input": "Hello there"}`, 3)
}

func crowd(t *testing.T, s *demotest.Server, path, short string, most int) {
	t.Helper()
	var leave func()
	for range most {
		_, leave = open(t, s, "valid", path)
	}
	r := s.Ask(t, "valid", http.MethodPost, path, short)
	refusal(t, path, r, 429, "rate_limit_error", "too_many_concurrent", "")
	if r.Header.Get("Retry-After") == "" || r.Header.Get("X-RateLimit-Limit") != "120" {
		t.Errorf("%s: %v", path, r.Header)
	}
	if r := s.Ask(t, "other", http.MethodPost, path, short); r.StatusCode != http.StatusOK {
		t.Errorf("%s, another organisation: %d %s", path, r.StatusCode, r.Body)
	}
	leave()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(250 * time.Millisecond) // more would spend the 120 a minute
	defer tick.Stop()
	for s.Ask(t, "valid", http.MethodPost, path, short).StatusCode != http.StatusOK {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: nobody is let in after one has left", path)
		}
	}
}

// A stream ends when its key does, with an error in the form in which clients look
// for it.
func Test001_86_StreamsEndWithTheirKey(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		admin := s.As(t, "admin")
		ends := make(map[string]*bufio.Scanner)
		for _, path := range []string{chats, answers} {
			ends[path], _ = open(t, s, "valid", path)
		}
		other, _ := open(t, s, "issued", chats)
		begun := time.Now()
		if r := admin.Send(t, http.MethodPost, developer+"/keys/"+s.Keys["valid"].ID+"/revoke", "{}"); r.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", r.StatusCode, r.Body)
		}
		for path, lines := range ends {
			last := ""
			for lines.Scan() {
				if lines.Text() != "" {
					last = lines.Text()
				}
			}
			if lines.Err() != nil || time.Since(begun) > 5*time.Second {
				t.Errorf("%s: %v after %v", path, lines.Err(), time.Since(begun))
			}
			var event struct {
				told
				Type, Code string
			}
			if err := json.Unmarshal([]byte(strings.TrimPrefix(last, "data: ")), &event); err != nil || event.Error.Code != "revoked_api_key" ||
				event.Error.Type != "authentication_error" || path == answers && (event.Type != "error" || event.Code != "revoked_api_key") {
				t.Errorf("%s ends with %s", path, last)
			}
		}
		for range 3 {
			if !other.Scan() {
				t.Errorf("another key's stream ends: %v", other.Err())
			}
		}
	})
}

// What attackers try at the server's edges.
func TestAttacks(t *testing.T) {
	demotest.Attack(t, start(t, demo.Options{}), demotest.Target{Console: "/settings/developer", API: "/api/v1", Key: "valid"})
}
