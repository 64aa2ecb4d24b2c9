package conformance_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// basics are what every server promises to scripts, quickstart too.
var basics = []check{
	{"ready,documented", func(p *probe) {
		p.send(plain(), http.MethodGet, "/healthz", "").want(http.StatusOK)
		a := p.send(plain(), http.MethodGet, "/openapi.json", "").want(http.StatusOK)
		document := read[struct {
			OpenAPI string
			Paths   map[string]any
		}](a)
		if !strings.HasPrefix(document.OpenAPI, "3.") || len(document.Paths) < 2 {
			p.Errorf("openapi.json: version %q, %d paths", document.OpenAPI, len(document.Paths))
		}
		front := p.visit("").page("/").want(http.StatusOK)
		if !strings.Contains(string(front.body), "curl") || !strings.Contains(string(front.body), p.of.base) {
			p.Error("the front page doesn't say what to try")
		}
		for name, k := range p.Keys {
			if k.Key == "" || k.ID == "" || k.About == "" {
				p.Errorf("key %s is told incompletely", name)
			}
			if strings.Contains(string(front.body), k.Key) {
				p.Errorf("the front page shows key %s", name)
			}
		}
	}},
	{"whoami", func(p *probe) {
		a := p.whoami(p.secret(p.of.key)).want(http.StatusOK).has("credential", p.Keys[p.of.key].ID)
		for _, member := range []string{"organisation", "environment"} {
			if a.at(member) == "" {
				p.Errorf("whoami tells no %s: %s", member, a.body)
			}
		}
		p.whoami("").refused(http.StatusUnauthorized, "missing_api_key")
	}},
	{"limits,request ids", func(p *probe) {
		answers := []answer{
			p.send(plain(), http.MethodGet, "/", ""),
			p.send(plain(), http.MethodGet, "/healthz", ""),
			p.send(plain(), http.MethodGet, "/openapi.json", ""),
			p.send(plain(), http.MethodGet, "/sign-in", ""),
			p.send(plain(), http.MethodGet, "/nowhere", ""),
			p.whoami(p.secret(p.of.key)),
			p.whoami("nonsense"),
			p.whoami(""),
			p.with(p.secret(p.of.key)),
			p.call(http.MethodGet, p.secret(p.of.key), "/nowhere", nil),
			p.call(http.MethodDelete, p.secret(p.of.key), "/whoami", nil),
		}
		if p.of.console != "" {
			answers = append(answers, p.send(plain(), http.MethodGet, p.of.console, ""), p.admin().api(http.MethodGet, "/keys", nil))
		}
		for _, a := range answers {
			for _, field := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
				a.number(field)
			}
			if a.header.Get("X-Request-Id") == "" {
				p.Errorf("%s: %d without a request id", a.what, a.status)
			}
		}
	}},
	{"lists", func(p *probe) {
		body := p.with(p.secret(p.of.key)).want(http.StatusOK).body
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body, &members); err != nil || !strings.HasPrefix(string(members["data"]), "[") {
			p.Errorf("a list is no data: %.300s", body)
		}
	}},
	{"THREATS 15: the file of credentials", func(p *probe) {
		info, err := os.Stat(p.file)
		if err != nil {
			p.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			p.Errorf("its mode is %v", info.Mode())
		}
		there, err := os.ReadDir(filepath.Dir(p.file))
		if err != nil {
			p.Fatal(err)
		}
		if len(there) != 1 { // what it was written to first is gone
			p.Errorf("beside it are %v", there)
		}
	}},
	{"starts in under 2 s,fresh credentials", func(p *probe) {
		began := time.Now()
		other := p.fresh(p.T)
		took := time.Since(began)
		for name, k := range p.Keys {
			if other.Keys[name].Key == k.Key {
				p.Errorf("%s is the same for two databases", name)
			}
		}
		// Of a machine that is busy with other things, its own time counts.
		state := other.stop()
		used := state.UserTime() + state.SystemTime()
		p.Logf("ready after %v, of which %v are its own", took, used)
		if took > 2*time.Second && used > 2*time.Second {
			p.Errorf("ready after %v, of which %v are its own", took, used)
		}
	}},
}

// contract is what servers with demo data promise beside that.
var contract = []check{
	{"THREATS 15: controls answer this machine's programs", controlsAreGuarded},
	{"THREATS 15: nobody else reaches it", func(p *probe) {
		for _, flags := range [][]string{{"-addr", "0.0.0.0:0"}, {"-addr", ":0"}, {"-addr", "127.0.0.1:0", "-trusted-proxies", "everybody"}, {"-addr", "127.0.0.1:0", "argument"}} {
			file := filepath.Join(p.TempDir(), "none.json")
			cmd := exec.CommandContext(p.Context(), program(p.T, p.of.name), append(flags[:2:2], append([]string{"-credentials", file}, flags[2:]...)...)...)
			out, err := cmd.CombinedOutput()
			if _, there := os.Stat(file); err == nil || there == nil {
				p.Errorf("%q starts: %s", flags, out)
			}
		}
	}},
}

// controlsAreGuarded: what each control does for a program on this machine, it
// refuses to everybody else.
func controlsAreGuarded(p *probe) {
	organisation := slices.Sorted(func(yield func(string) bool) {
		for _, o := range p.Organisations {
			if !yield(o.ID) {
				return
			}
		}
	})[0]
	for path, body := range map[string]string{
		"/demo/login":                         `{"user": "` + p.of.admin + `"}`,
		"/demo/clock":                         `{"advance": "1ms"}`,
		"/demo/organisations/" + organisation: `{}`,
		"/demo/users/" + p.Users["admin"].ID:  `{"active": true}`,
	} {
		for _, headers := range [][]string{
			{"Host", "evil.example"},
			{"Host", "127.0.0.1.evil.example"},
			{"Origin", "http://evil.example"},
			{"Origin", "null"},
			{"Sec-Fetch-Site", "cross-site"},
		} {
			a := p.send(plain(), http.MethodPost, path, body, append([]string{"Content-Type", "application/json"}, headers...)...)
			if a.status != http.StatusForbidden || len(a.header["Set-Cookie"]) > 0 {
				p.Errorf("%s with %q: %d", path, headers, a.status)
			}
		}
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
			p.send(plain(), http.MethodPost, path, body, "Content-Type", kind).want(http.StatusUnsupportedMediaType)
		}
		if path != "/demo/login" { // a person may sign in through a proxy, if the server says so
			p.send(plain(), http.MethodPost, path, body, "Content-Type", "application/json", "X-Forwarded-For", "127.0.0.1").want(http.StatusForbidden)
		}
		p.send(plain(), http.MethodGet, path, "").want(http.StatusMethodNotAllowed, http.StatusNotFound, http.StatusUnauthorized)
		p.send(plain(), http.MethodPost, path, body, "Content-Type", "application/json").want(http.StatusOK)
	}
}
