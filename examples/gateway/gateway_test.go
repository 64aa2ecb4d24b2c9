package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// gateway is one that runs in this process, in front of a service that doesn't.
type gateway struct {
	BaseURL string `json:"base_url"`
	Keys    map[string]struct{ Key, ID string }
	addr    string
	stop    func()
}

func start(t *testing.T, o options) *gateway {
	t.Helper()
	o.addr, o.credentials = "127.0.0.1:0", filepath.Join(t.TempDir(), "credentials.json")
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- run(ctx, o, func(string) { close(ready) }) }()
	stopped := false
	g := &gateway{stop: func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}}
	t.Cleanup(g.stop)
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	content, err := os.ReadFile(o.credentials)
	if err == nil {
		err = json.Unmarshal(content, g)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.addr = strings.TrimPrefix(g.BaseURL, "http://")
	return g
}

// program finds one, or skips the test.
func program(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		if os.Getenv("STRIKEPLATE_REQUIRE_SERVICES") == "1" {
			t.Fatalf("%v: install it with apt-get install %s", err, install)
		}
		t.Skipf("%s is missing: apt-get install %s", name, install)
	}
	return path
}

// background runs a program until the test ends.
func background(t *testing.T, command *exec.Cmd) {
	t.Helper()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

// service starts the service that knows nothing of keys: testdata/upstream.mjs.
func service(t *testing.T) (addr string) {
	t.Helper()
	command := exec.Command(program(t, "node", "nodejs"), "testdata/upstream.mjs")
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	background(t, command)
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + strings.TrimSpace(port)
}

// sent is what the service was sent.
type sent struct {
	Method, URL string
	Fields      []string // names and values
}

// of returns the values of the fields that a CGI program would take for name.
func (s sent) of(name string) []string {
	var all []string
	for i := 0; i+1 < len(s.Fields); i += 2 {
		if normal(s.Fields[i]) == normal(name) {
			all = append(all, s.Fields[i+1])
		}
	}
	return all
}

// raw sends lines as they are: no client that is well-behaved sends such requests.
func raw(t *testing.T, addr string, lines ...string) (*http.Response, string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if !slices.Contains(lines, "") {
		lines = append(lines, "", "")
	}
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", lines[0], err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// get is a request with a key, and more fields.
func (g *gateway) get(key, method, target string, fields ...string) []string {
	lines := []string{method + " " + target + " HTTP/1.1", "Host: api.example", "Connection: close"}
	if key != "" {
		lines = append(lines, "Authorization: Bearer "+g.Keys[key].Key)
	}
	return append(lines, fields...)
}

// hostile are fields by which a client makes up who it is, or what it asks for.
var hostile = []string{
	"X-Auth-Organisation: org_evil", "x-auth-organisation: org_evil", "X_Auth_Organisation: org_evil", "X-Auth_Organisation: org_evil", "X-AUTH-SUBJECT: root",
	"x_auth_subject: root", "X.Auth.Subject: root", "X-Auth-Scopes: admin:everything", "X-Auth-Plan: ", "X-Auth-Nobody: asked", "X~Auth~Kind: god",
	"Connection: X-Auth-Organisation, X-Auth-Subject, X-Auth-Scopes, X-Request-Id, Authorization",
	"X-Forwarded-For: 10.0.0.1", "X_Forwarded_For: 10.0.0.1", "X-Real-Ip: 10.0.0.1", "Forwarded: for=10.0.0.1", "X-Request-Id: mine",
	"X-HTTP-Method-Override: DELETE", "X-Http-Method: DELETE", "X-Original-URL: /admin", "X-Rewrite-Url: /admin",
	"Proxy-Authorization: Bearer evil", "X-Api-Key: evil",
}

// truthful checks that the service was told who called, once, and nothing else.
func (g *gateway) truthful(t *testing.T, how, body, key string) {
	t.Helper()
	var s sent
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%s: %v: %s", how, err, body)
	}
	want := map[string]string{
		"X-Auth-Kind": "key", "X-Auth-Credential": g.Keys[key].ID, "X-Auth-Organisation": "org_acme", "X-Auth-Subject": "", "X-Auth-Access": "org-full",
		"X-Auth-Environment": "live", "X-Auth-Scopes": "meetings:read", "X-Auth-Plan": "team", "X-Auth-Client-Id": "",
	}
	for name, value := range want {
		got := s.of(name)
		if key == "" {
			value = ""
		}
		// nginx sends no field where it would be empty.
		if len(got) > 1 || len(got) == 1 && got[0] != value || len(got) == 0 && (value != "" || how == "direct") {
			t.Errorf("%s: %s is %q, want %q: %q", how, name, got, value, s.Fields)
		}
	}
	for _, secret := range []string{"Authorization", "Proxy-Authorization", "X-Api-Key", "X-Http-Method-Override", "X-Http-Method", "X-Original-Url", "X-Rewrite-Url", "X-Auth-Nobody", "X-Real-Ip", "Forwarded"} {
		if got := s.of(secret); len(got) > 0 {
			t.Errorf("%s: the service gets %s: %q", how, secret, got)
		}
	}
	if got := s.of("X-Forwarded-For"); len(got) != 1 || got[0] != "127.0.0.1" {
		t.Errorf("%s: X-Forwarded-For: %q", how, got)
	}
	if got := s.of("X-Request-Id"); len(got) != 1 || got[0] == "mine" {
		t.Errorf("%s: X-Request-Id: %q", how, got)
	}
	if strings.Contains(body, "org_evil") || strings.Contains(body, "root") || key != "" && strings.Contains(body, g.Keys[key].Key) {
		t.Errorf("%s: %s", how, body)
	}
}

func TestThreat14IdentityCantBeForged(t *testing.T) {
	g := start(t, options{upstream: "http://" + service(t)})
	res, body := raw(t, g.addr, g.get("reader", "GET", "/v1/me", hostile...)...)
	if res.StatusCode != http.StatusOK || len(res.Header["X-Ratelimit-Limit"]) != 1 || res.Header.Get("X-Ratelimit-Limit") != "300" || len(res.Header["X-Request-Id"]) != 1 {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	g.truthful(t, "direct", body, "reader")
	_, body = raw(t, g.addr, g.get("", "GET", "/status", hostile...)...)
	g.truthful(t, "direct", body, "")
	// In trailers, which come when the header was read already.
	res, body = raw(t, g.addr, append(g.get("writer", "POST", "/v1/meetings", "Transfer-Encoding: chunked", "Trailer: X-Auth-Organisation, X-Evil"),
		"", "2", "{}", "0", "X-Auth-Organisation: org_evil", "X-Evil: org_evil", "", "")...)
	if res.StatusCode != http.StatusOK || strings.Contains(body, "org_evil") {
		t.Errorf("in trailers: %d %s", res.StatusCode, body)
	}
}

// ambiguous are targets of which a service could make something else than the
// gateway does.
var ambiguous = []string{
	"/v1/meetings/x%2f..%2fmtg_1", "/v1/meetings/x%2F..", "/v1/meetings/..%5cadmin", "/v1/meetings/x%5C", `/v1/meetings/x\y`, "/v1/meetings/../../admin", "/v1/./meetings",
	"/v1/meetings/..", "/v1/meetings/.", "/v1/meetings/%2e%2e/admin", "/v1/meetings/%2E", "/v1/meetings;x=1", "/v1/meetings/a;b/c", "/v1/meetings/%3bx", "//v1/meetings",
	"/v1//meetings", "/v1/meetings//", "/v1/meetings/%252e%252e/admin", "/v1/meetings/%25", "/v1/meetings/%", "/v1/meetings/%2", "/v1/meetings/%zz", "/v1/meetings/%00",
	"/v1/meetings/%0d%0aX:y", "/v1/meetings/%7f", "/v1/meetings/%c0%ae%c0%ae", "/v1/meetings/%ff", "/v1/meetings/%23", "/v1/meetings/%3fx", "/v1/meetings/a#b",
}

var unusual = []string{"*", "http://evil.example/v1/me", "v1/me", "/V1/me", "/v1/me/", "/v1/me%20", "/admin", "/"}

var plain = []string{"/v1/meetings", "/v1/meetings?a=../..&b=%2f", "/v1/meetings/mtg_1", "/v1/meetings/a%20b", "/v1/meetings/%C3%A9", "/v1/meetings/a.b", "/v1/meetings/...", "/v1/meetings/~a-b_c"}

func TestThreat14PathsAreReadInOneWay(t *testing.T) {
	g := start(t, options{upstream: "http://" + service(t)})
	for _, target := range ambiguous {
		if res, body := raw(t, g.addr, g.get("writer", "GET", target)...); res.StatusCode != http.StatusBadRequest || strings.Contains(body, `"fields"`) {
			t.Errorf("%s: %d %s", target, res.StatusCode, body)
		}
	}
	for _, target := range unusual {
		if res, body := raw(t, g.addr, g.get("writer", "GET", target)...); res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusNotFound || strings.Contains(body, `"fields"`) {
			t.Errorf("%s: %d %s", target, res.StatusCode, body)
		}
	}
	for _, target := range plain {
		var s sent
		res, body := raw(t, g.addr, g.get("reader", "GET", target)...)
		if err := json.Unmarshal([]byte(body), &s); err != nil || res.StatusCode != http.StatusOK || s.URL != target {
			t.Errorf("%s: %d %s", target, res.StatusCode, body)
		}
	}
	for _, method := range []string{"DELETE", "POST", "BREW", "get"} { // the service would take any
		if res, body := raw(t, g.addr, g.get("reader", method, "/v1/meetings/mtg_1")...); res.StatusCode/100 != 4 || strings.Contains(body, `"fields"`) {
			t.Errorf("%s: %d %s", method, res.StatusCode, body)
		}
	}
}

func TestForwardAuth(t *testing.T) {
	stranger := start(t, options{})
	res, body := raw(t, stranger.addr, stranger.get("reader", "GET", "/-/auth", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /v1/me")...)
	if res.StatusCode != http.StatusForbidden || !strings.Contains(body, "unnamed_proxy") || res.Header.Get("X-Auth-Organisation") != "" {
		t.Errorf("an unnamed proxy: %d %s", res.StatusCode, body)
	}
	g := start(t, options{proxies: "127.0.0.0/8"})
	for _, test := range []struct {
		key, target string
		fields      []string
		status      int
		code        string
	}{
		{"reader", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /v1/meetings/mtg_1?a=b"}, 200, ""},
		{"", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /status"}, 200, ""},
		{"", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /v1/me"}, 401, "missing_api_key"},
		{"", "/-/auth", []string{"X-Forwarded-Method: OPTIONS", "X-Forwarded-Uri: /v1/me", "Origin: https://evil.example", "Access-Control-Request-Method: GET"}, 401, "missing_api_key"},
		{"lapsed", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /v1/me"}, 402, "subscription_required"},
		{"reader", "/-/auth", []string{"X-Forwarded-Method: DELETE", "X-Forwarded-Uri: /v1/meetings/mtg_1"}, 403, "insufficient_scope"},
		{"reader", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /admin"}, 404, "not_found"},
		{"reader", "/-/auth", []string{"X-Forwarded-Method: PUT", "X-Forwarded-Uri: /v1/meetings/mtg_1"}, 405, "method_not_allowed"},
		{"reader", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /v1/meetings/%2e%2e"}, 400, "ambiguous_path"},
		{"reader", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: http://evil.example/v1/me"}, 400, "ambiguous_path"},
		{"reader", "/-/auth", []string{"X-Forwarded-Method: GET"}, 400, "not_told"},
		{"reader", "/-/auth", []string{"X-Forwarded-Uri: /v1/me"}, 400, "not_told"},
		{"reader", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /v1/me", "X-Forwarded-Uri: /v1/meetings"}, 400, "not_told"},
		{"reader", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /v1/me", "X_Auth_Subject: root"}, 400, "field_not_allowed"},
		{"reader", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /v1/me", "X-Auth-Subject: root"}, 400, "field_not_allowed"},
		{"reader", "/-/auth", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /v1/me", "X-HTTP-Method-Override: DELETE"}, 400, "field_not_allowed"},
		{"reader", "/-/none", nil, 404, "not_found"},
		{"reader", "/-/authority", nil, 404, "not_found"},
		{"reader", "/-/envoy", nil, 404, "not_found"},
		{"reader", "/-/envoy/v1/me", nil, 200, ""},
		{"reader", "/-/envoy/v1/me", []string{"X-Forwarded-Uri: /status"}, 200, ""}, // Envoy's own line counts
		{"", "/-/envoy/v1/me", []string{"X-Forwarded-Uri: /status", "X-Forwarded-Method: GET"}, 401, "missing_api_key"},
		{"reader", "/-/envoy//v1/me", nil, 400, "ambiguous_path"},
		{"reader", "/-/envoy/../auth", nil, 400, "ambiguous_path"},
	} {
		res, body := raw(t, g.addr, g.get(test.key, "GET", test.target, test.fields...)...)
		if res.StatusCode != test.status || test.code != "" && !strings.Contains(body, `"code":"`+test.code+`"`) {
			t.Errorf("%s %q: %d %s, want %d %s", test.target, test.fields, res.StatusCode, body, test.status, test.code)
		}
		organisation := ""
		if test.status == http.StatusOK && test.key != "" {
			organisation = "org_acme"
		}
		if res.Header.Get("X-Auth-Organisation") != organisation || test.status == http.StatusOK && len(res.Header["X-Auth-Organisation"]) != 1 {
			t.Errorf("%s %q: %v", test.target, test.fields, res.Header)
		}
	}
}

// A service that isn't there is no refusal of the key's.
func TestServiceIsDown(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := nobody.Addr().String()
	_ = nobody.Close()
	g := start(t, options{upstream: "http://" + addr})
	res, body := raw(t, g.addr, g.get("reader", "GET", "/v1/me")...)
	if res.StatusCode != http.StatusBadGateway || !strings.Contains(body, `"code":"bad_gateway"`) || strings.Contains(body, addr) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestRoutesFile(t *testing.T) {
	all, err := parseRoutes(exampleRoutes)
	if err != nil || len(all) != 8 {
		t.Fatalf("%v %v", all, err)
	}
	for text, want := range map[string]string{
		"":                               "no route",
		"# nothing":                      "no route",
		"GET /a":                         "line 1: wants",
		"GET /a any more":                "line 1: wants",
		"\nget /a any":                   "line 2: \"get\" is no method",
		"GET a any":                      "is no path",
		"GET /a//b any":                  "is no path",
		"GET /a;b any":                   "is no path",
		"GET /%61 any":                   "is no path",
		"GET /-/auth public":             "is the gateway's own",
		"GET /a nothing":                 "nothing",
		"GET /a meetings:*":              "meetings:*",
		"GET /a a:b,":                    "",
		"GET /a a:b|":                    "",
		"GET /a any\nGET /a public":      "GET /a",
		"GET /{x}/b any\nGET /a/{y} any": "GET /a/{y}",
		"GET /{x}/{x} any":               "duplicate",
		"GET /{x...}/b any":              "GET /{x...}/b",
	} {
		if _, err := parseRoutes(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzRoutesFile(f *testing.F) {
	f.Add(exampleRoutes)
	f.Add("GET /{x}/b any\nGET /a/{y} public # all\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseRoutes(text)
		if err != nil {
			return
		}
		for _, r := range all {
			if err := r.need.Check(nil); r.public == (err == nil) {
				t.Errorf("%q is open by mistake, or not: %v", r.pattern, err)
			}
		}
	})
}

// What is let through is one path for whoever decodes it, cleans it, or does
// neither.
func FuzzTarget(f *testing.F) {
	for _, target := range slices.Concat(ambiguous, unusual, plain) {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := parseTarget(target)
		if err != nil {
			return
		}
		if !strings.HasPrefix(u.Path, "/") || strings.ContainsAny(u.Path, `;\%`+"\x00") || strings.Contains(u.Path+"/", "//") && u.Path != "/" && !strings.HasSuffix(u.Path, "/") {
			t.Errorf("%q is read as %q", target, u.Path)
		}
		if cleaned := filepath.ToSlash(filepath.Clean(u.Path)); cleaned != u.Path && cleaned+"/" != u.Path {
			t.Errorf("%q is read as %q, or as %q", target, u.Path, cleaned)
		}
		if path, _, _ := strings.Cut(target, "?"); strings.Count(path, "/") != strings.Count(u.Path, "/") {
			t.Errorf("%q has other elements when decoded: %q", target, u.Path)
		}
	})
}

// status is one of a response, for messages.
func status(res *http.Response) string {
	return strconv.Itoa(res.StatusCode) + " " + fmt.Sprint(res.Header)
}
