package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// hostile is text that breaks out wherever it isn't escaped.
const hostile = `</title></svg></script><script>alert(1)</script><img src=x onerror=alert(2)>"'` + "`" + ` style="x" {{.}} javascript:alert(3)`

// Every response, of pages, forms, files, the API and refusals, carries the same
// policy, may not be framed, and is stored nowhere; the two files are.
func TestHeadersOnEveryResponse(t *testing.T) {
	w := newWorld(t)
	k := w.create("ada", creation("CRM")).Key
	style := between(w.get("ada", "/").body, `href="`+base+`/assets/`, `"`)
	for _, r := range []struct{ visitor, method, path string }{
		{"ada", "GET", "/"}, {"ada", "GET", ""}, {"ada", "GET", "/keys/new"}, {"ada", "GET", "/keys/" + k.ID}, {"ada", "GET", "/keys/" + k.ID + "/usage"},
		{"ada", "GET", "/audit"}, {"ada", "GET", "/audit/export"}, {"ada", "GET", "/apps"}, {"ada", "GET", "/nowhere"}, {"", "GET", "/"}, {"ben", "GET", "/"},
		{"ada", "POST", "/keys"}, {"ada", "POST", "/keys/" + k.ID + "/rename"}, {"mallory", "POST", "/keys/" + k.ID + "/revoke"},
		{"ada", "GET", "/api/keys"}, {"ada", "GET", "/api/openapi.json"}, {"", "GET", "/api/keys"}, {"ada", "POST", "/api/keys"}, {"ada", "DELETE", "/api/keys"},
		{"", "GET", "/assets/" + style}, {"", "GET", "/assets/none.css"},
	} {
		h := w.send(r.visitor, w.request(r.method, base+r.path, "")).Header
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s %s: policy %q is without %s", r.method, r.path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s %s: policy %q", r.method, r.path, policy)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s %s: headers %v", r.method, r.path, h)
		}
		want := "no-store"
		if r.path == "/assets/"+style {
			want = "public, max-age=31536000, immutable"
		}
		if got := h.Get("Cache-Control"); got != want {
			t.Errorf("%s %s: Cache-Control %q, want %q", r.method, r.path, got, want)
		}
		if h.Get("Access-Control-Allow-Origin") != "" { // 001-29b
			t.Errorf("%s %s: open to other origins", r.method, r.path)
		}
	}
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}

// hostileWorld has hostile text wherever others put text in: names, reasons,
// metadata, routes, codes, origins, ids of members.
func hostileWorld(t *testing.T) (*world, manage.Key) {
	t.Helper()
	w := newWorld(t, func(s *setting) { s.console.Members = hostileMembers{} })
	name := hostile[:100]
	c := creation(name)
	c.Metadata = map[string]string{hostile: hostile}
	k := w.create("ada", c).Key
	w.use(k, hostile, "https://"+hostile[:100], "192.0.2.1", "2001:db8::1")
	old := w.create("ada", creation(name)).Key
	if _, err := w.keys.Revoke(t.Context(), people["ada"], old.ID, hostile); err != nil {
		t.Fatal(err)
	}
	if _, err := w.keys.Rotate(t.Context(), people["ada"], k.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	return w, k
}

type hostileMembers struct{}

func (hostileMembers) Members(context.Context, string, int) ([]storage.User, error) {
	return []storage.User{{ID: hostile, Name: hostile, Active: true, Role: "admin"}, {ID: "user_ada", Name: hostile, Active: true, Role: "admin"}}, nil
}

// Pages with hostile text have no script, style, image or handler but their own,
// and charts are drawn without styles: nothing of the text became markup.
func TestThreat16HostileTextStaysText(t *testing.T) {
	w, k := hostileWorld(t)
	path := "/keys/" + k.ID
	pages := map[string]reply{}
	for _, p := range []string{"/", "/?status=all", "/keys/new", path, path + "/edit", path + "/rotate", path + "/regenerate", path + "/revoke", path + "/usage", path + "/usage?of=lineage", "/revoke", "/audit", "/apps", "/apps/new", "/apps/app_1", "/apps/app_1/edit", "/apps/app_1/secret", "/apps/app_1/revoke", "/apps/app_1/block", "/connections"} {
		pages[p] = w.get("ada", p).want(t, 200)
	}
	pages["refused form"] = w.post("ada", path+"/rename", url.Values{"name": {hostile + strings.Repeat("x", 100)}}).want(t, 400)
	form := createForm(hostile + strings.Repeat("x", 100))
	form.Set("allow", hostile)
	form.Set("date", hostile)
	form.Set("once", hostile)
	pages["refused creation"] = w.post("ada", "/keys", form).want(t, 400)
	pages["refused"] = w.get("ben", "/").want(t, 403)
	pages["unconfirmed"] = w.post("ada", path+"/revoke", url.Values{"confirm": {hostile}, "reason": {hostile}}).want(t, 400)
	seen := 0
	for name, p := range pages {
		seen += strings.Count(p.body, "alert(1)")
		for _, fault := range foreignMarkup(p.document(t)) {
			t.Errorf("%s: %s", name, fault)
		}
	}
	if seen < 20 {
		t.Errorf("the hostile text is on the pages %d times only: the test sees too little", seen)
	}
}

// foreignMarkup lists what isn't the pages' own.
func foreignMarkup(doc *html.Node) (faults []string) {
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		a := attributes(n)
		switch {
		case n.Data == "script" && (!strings.HasPrefix(a["src"], base+"/assets/") || n.FirstChild != nil), n.Data == "style", n.Data == "img", n.Data == "iframe", n.Data == "object":
			faults = append(faults, fmt.Sprintf("element %s %v", n.Data, a))
		}
		for name, value := range a {
			switch {
			case strings.HasPrefix(name, "on"), name == "style", name == "srcdoc":
				faults = append(faults, fmt.Sprintf("attribute %s=%q of %s", name, value, n.Data))
			case (name == "href" || name == "src" || name == "action") && !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "#"):
				faults = append(faults, fmt.Sprintf("%s leads to %q", name, value))
			}
		}
	}
	return faults
}

// The API's documentation loads nothing from elsewhere: huma's pages are off.
func TestThreat16NoDocumentationPages(t *testing.T) {
	w := newWorld(t)
	for _, p := range []string{"/api/docs", "/docs", "/api/schemas/Key", "/api/schemas/Key.json", "/api/openapi.yaml", "/api/openapi-3.0.json", "/api/"} {
		if res := w.get("ada", p); res.StatusCode != 404 {
			t.Errorf("%s is answered %d: %.200s", p, res.StatusCode, res.body)
		}
	}
	res := w.get("ada", "/api/openapi.json").want(t, 200)
	res.wantNone(t, "http://", "https://unpkg", "ErrorModel", "$schema")
	var doc struct {
		OpenAPI string
		Servers []struct{ URL string }
		Paths   map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal([]byte(res.body), &doc); err != nil {
		t.Fatal(err)
	}
	operations := 0
	for _, methods := range doc.Paths {
		operations += len(methods)
	}
	if doc.OpenAPI != "3.1.0" || operations != 24 || doc.Servers[0].URL != base+"/api" {
		t.Errorf("OpenAPI %s with %d operations at %v", doc.OpenAPI, operations, doc.Servers)
	}
}

// Ids of another organisation are 404 on every page, form and operation, as ids
// are that nobody has.
func TestOtherOrganisationsDontExist(t *testing.T) {
	w := newWorld(t)
	made := w.create("ada", creation("CRM"))
	tail := []string{"", "/edit", "/rotate", "/regenerate", "/revoke", "/usage"}
	for _, id := range []string{made.Key.ID, "key_none"} {
		for _, p := range tail {
			w.get("mallory", "/keys/"+id+p).want(t, 404, "There is no such key").wantNone(t, "CRM")
		}
		for _, p := range []string{"/rename", "/edit", "/rotate", "/regenerate", "/revoke", "/reveal"} {
			form := url.Values{"name": {"mine"}, "version": {"1"}, "overlap": {"0s"}, "secret_version": {"1"}, "confirm": {made.Key.Last4}, "once": {"x"}}
			w.post("mallory", "/keys/"+id+p, form).want(t, 404).wantNone(t, "CRM")
		}
		for _, c := range []struct{ method, path, body string }{
			{"GET", "", ""}, {"GET", "/usage", ""}, {"PATCH", "", `{"name": "mine"}`}, {"POST", "/rotate", `{"overlap_seconds": 0}`},
			{"POST", "/regenerate", `{}`}, {"POST", "/revoke", `{}`}, {"POST", "/reveal", `{}`},
		} {
			w.call("mallory", c.method, "/keys/"+id+c.path, c.body, "If-Match", `"v1"`).wantCode(t, 404, manage.CodeNotFound)
		}
	}
	w.get("mallory", "/").want(t, 200, "no API keys yet").wantNone(t, "CRM")
	w.get("mallory", "/audit").want(t, 200).wantNone(t, "CRM")
	k := w.gotten(made.Key.ID)
	if k.Version != 1 || k.Status != storage.Active {
		t.Errorf("the key is %+v", k)
	}
}

func (w *world) gotten(id string) manage.Key {
	w.Helper()
	return made(w.keys.Get(w.Context(), people["ada"], id))(w)
}

// 002-90a, 002-90b: who is no administrator sees nothing of the page, whatever is
// asked for, and is told whom to ask. What they send has no effect.
func TestMembersAreTurnedAway(t *testing.T) {
	w := newWorld(t)
	made := w.create("ada", creation("CRM"))
	p := "/keys/" + made.Key.ID
	for _, path := range []string{"/", "/keys/new", p, p + "/edit", p + "/rotate", p + "/regenerate", p + "/revoke", p + "/usage", "/revoke", "/audit", "/audit/export", "/apps", "/apps/new"} {
		w.get("ben", path).want(t, 403, "You can&#39;t manage this", "Ada Lovelace, Alan Turing").wantNone(t, "CRM")
	}
	form := createForm("mine")
	for name, value := range map[string]string{"version": "1", "overlap": "0s", "secret_version": "1", "confirm": made.Key.Last4, "which": "all"} {
		form.Set(name, value)
	}
	for _, path := range []string{"/keys", p + "/rename", p + "/edit", p + "/rotate", p + "/regenerate", p + "/revoke", p + "/reveal", "/revoke", "/apps", "/apps/app_1/unblock"} {
		w.post("ben", path, form).want(t, 403)
	}
	if k := w.gotten(made.Key.ID); k.Version != 1 || w.count("ada") != 1 || !w.apps.untouched() {
		t.Errorf("a member changed something: %+v", k)
	}
}

// Forms that another site has a browser send are refused, before anybody is asked.
func TestFormsFromOtherSites(t *testing.T) {
	w := newWorld(t)
	made := w.create("ada", creation("CRM"))
	p := "/keys/" + made.Key.ID
	for _, path := range []string{"/keys", p + "/rename", p + "/edit", p + "/rotate", p + "/regenerate", p + "/revoke", p + "/reveal", "/revoke", "/apps", "/apps/app_1/edit", "/apps/app_1/secret", "/apps/app_1/revoke", "/apps/app_1/block", "/apps/app_1/unblock", "/connections/app_1/revoke"} {
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
			r := w.request(http.MethodPost, base+path, createForm("mine").Encode())
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set(name, value)
			w.send("ada", r).want(t, 403, "another site")
		}
	}
	r := w.request(http.MethodPost, base+p+"/rename", url.Values{"name": {"CRM Sync"}}.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	w.send("ada", r).want(t, 303)
	if k := w.gotten(made.Key.ID); k.Version != 2 || k.Name != "CRM Sync" {
		t.Errorf("the key is %+v", k)
	}
}

// Who isn't signed in gets a page that says so, or is sent where the embedder
// says; forms and the API are told 401.
func TestSignedOut(t *testing.T) {
	w := newWorld(t)
	w.get("", "/").want(t, 401, "You are signed out", `href="/sign-in"`).wantNone(t, "Audit log")
	w.get("nobody", "/keys/new").want(t, 401)
	where := ""
	sent := newWorld(t, func(s *setting) {
		s.console.SignedIn = func(*http.Request) (storage.Actor, error) { return storage.Actor{}, &console.Elsewhere{URL: where} }
	})
	for where = range map[string]bool{"/sign-in?back=1": true, "https://id.example/": true} {
		if res := sent.get("", "/").want(t, 303); res.Header.Get("Location") != where {
			t.Errorf("sent to %q", res.Header.Get("Location"))
		}
		sent.post("", "/keys", createForm("x")).want(t, 401)
		r := sent.request(http.MethodGet, base+"/api/keys", "")
		sent.send("", r).wantCode(t, 401, "signed_out")
	}
	where = "javascript:alert(1)"
	sent.get("", "/").want(t, 401)
	refused := newWorld(t, func(s *setting) {
		s.console.SignedIn = func(*http.Request) (storage.Actor, error) {
			return storage.Actor{}, &strikeplate.Error{Status: 403, Code: "two_factor_required", Message: "Set up a second factor first."}
		}
	})
	refused.get("", "/").want(t, 403, "Set up a second factor first.", "two_factor_required")
}

// The address in the log, and on the form, is the Edge's: behind proxies that it
// names it is the one that they tell.
func TestClientAddress(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.edge.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	r := w.request(http.MethodGet, base+"/keys/new", "")
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	w.send("ada", r).want(t, 200, "Your address is <code data-address>203.0.113.9</code>")
	r = w.request(http.MethodPost, base+"/keys", createForm("CRM").Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	w.send("ada", r).want(t, 200)
	w.get("ada", "/audit").want(t, 200, "<code>203.0.113.9</code>")
}

// Secrets are in bodies of answers to POST only: not in URLs, headers, lists or
// the log.
func TestSecretsAreNowhereElse(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.manage.Reveal.Seal = newSeal(t) })
	res := w.post("ada", "/keys", createForm("CRM"))
	secret := secretOn(t, res)
	if strings.Contains(fmt.Sprint(res.Header), secret) {
		t.Error("the secret is in a header")
	}
	id := made(w.keys.List(t.Context(), people["ada"], manage.Filter{}))(t).Keys[0].ID
	p := "/keys/" + id
	for _, path := range []string{"/", p, p + "/edit", p + "/rotate", p + "/revoke", p + "/usage", "/audit", "/audit/export", "/api/keys", "/api" + p, "/api/audit"} {
		w.get("ada", path).want(t, 200).wantNone(t, secret, secret[len(secret)-20:])
	}
	if n := strings.Count(res.body, secret); n != 1 { // 000-37: no snippet holds it
		t.Errorf("the secret is on its page %d times", n)
	}
}

// secretOn is the secret that a page shows.
func secretOn(t testing.TB, r reply) string {
	t.Helper()
	r.want(t, 200)
	secret := between(r.body, `id="secret" value="`, `"`)
	if secret == "" {
		t.Fatalf("no secret on the page: %s", r.body)
	}
	return html.UnescapeString(secret)
}
