package conformance_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// What several pages say in other words, and all servers do alike.

// eventually asks until the answer is yes: usage is counted off the request's path.
func (p *probe) eventually(what string, ask func() bool) {
	p.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ask() {
			return
		}
	}
	p.Errorf("after 20 s it is still not so: %s", what)
}

// usage is what a key's usage page tells.
type usage struct {
	Counted  bool
	LastUsed string `json:"last_used"`
	Origin   string `json:"browser_origin"`
	Total    struct {
		Requests, Errors int
		Rate             float64 `json:"error_rate"`
	}
	Series    []struct{ Requests, Errors int }
	Endpoints []struct {
		Pattern string
		Counts  struct{ Requests, Errors int }
	}
	Addresses []struct {
		Address  string
		Requests int
	}
	Refusals []struct {
		Code   string
		Proven bool
		Count  int
	}
}

func (v *visitor) usage(id, of string) usage {
	v.p.Helper()
	return read[usage](v.api(http.MethodGet, "/keys/"+id+"/usage?range=24h&of="+of, nil).want(http.StatusOK))
}

// nothingWithoutKey: every operation of the API's document wants a key.
func nothingWithoutKey(p *probe) {
	document := read[struct {
		Servers []struct{ URL string }
		Paths   map[string]map[string]any
	}](p.send(plain(), http.MethodGet, "/openapi.json", ""))
	for path, operations := range document.Paths {
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			a := p.send(plain(), strings.ToUpper(method), document.Servers[0].URL+strings.NewReplacer("{", "", "}", "").Replace(path), "")
			a.refused(http.StatusUnauthorized, "missing_api_key")
		}
	}
}

// bearerAlone: the key is taken from Authorization: Bearer, and from nowhere else.
func bearerAlone(p *probe) {
	text := p.secret(p.of.key)
	p.with(text).want(http.StatusOK)
	p.call(http.MethodGet, "", p.of.list, nil, "Authorization", "bearer "+text).want(http.StatusOK) // RFC 9110 11.1: schemes have no case
	for _, place := range [][]string{{"X-Api-Key", text}, {"Cookie", "api_key=" + text}} {
		p.call(http.MethodGet, "", p.of.list, nil, place...).refused(http.StatusUnauthorized, "missing_api_key")
	}
	p.call(http.MethodGet, "", p.of.list+"?api_key="+text+"&access_token="+text, nil).refused(http.StatusUnauthorized, "missing_api_key")
	for _, value := range []string{text, "Token " + text, "Bearer", "Bearer " + text + "x", "Bearer " + text[:len(text)-1], "Bearer " + text + " " + text} {
		a := p.call(http.MethodGet, "", p.of.list, nil, "Authorization", value).want(http.StatusUnauthorized)
		if code := p.of.code(a); code != "invalid_api_key" && code != "invalid_token" { // where there are tokens, too
			p.Errorf("%.12q…: code %q", value, code)
		}
	}
}

// named: keys have a descriptive name, which is required, and shown.
func named(p *probe) {
	admin := p.admin()
	admin.page("keys/new").one("input", "name", "name", "required", "")
	for _, name := range []string{"", "  ", strings.Repeat("x", 101), "a\nb"} {
		body := maps.Clone(p.of.creation)
		body["name"] = name
		admin.api(http.MethodPost, "/keys", body).want(http.StatusBadRequest)
	}
	k := admin.create(map[string]any{"name": "Slack integration, “production”"})
	if row := admin.page("").row(k.ID); !strings.Contains(row, "Slack integration, “production”") {
		p.Errorf("the list says %q", row)
	}
}

// shownOnce: the page after creation shows the key, and nothing does later.
func shownOnce(p *probe) {
	admin := p.admin()
	shown, text := admin.byHand("Shown once")
	shown.says("It is shown this once, and can't be shown again after you leave this page.")
	if shown.header.Get("Cache-Control") != "no-store" {
		p.Errorf("the page may be stored: %q", shown.header.Get("Cache-Control"))
	}
	p.with(text).want(http.StatusOK)
	var id string
	for _, k := range admin.keys("") {
		if k.Name == "Shown once" {
			id = k.ID
		}
	}
	for _, path := range []string{"", "keys/" + id, "keys/" + id + "/edit", "keys/" + id + "/usage", "audit", "api/keys/" + id, "api/audit?limit=1000"} {
		if strings.Contains(string(admin.page(path).body), text) {
			p.Errorf("%s shows it again", path)
		}
	}
	admin.api(http.MethodPost, "/keys/"+id+"/reveal", nil).want(http.StatusConflict, http.StatusForbidden) // not kept, or never to be copied
}

// replayed: the same creation and rotation again answer without the secret.
func replayed(p *probe) {
	admin := p.admin()
	body := maps.Clone(p.of.creation)
	body["name"] = "Replayed"
	headers := []string{"Idempotency-Key", "conformance-" + p.Name()}
	first := admin.kept(admin.api(http.MethodPost, "/keys", body, headers...).want(http.StatusCreated))
	again := admin.api(http.MethodPost, "/keys", body, headers...).want(http.StatusOK).has("code", "secret_already_shown").has("key.id", first.ID)
	if again.at("secret") != "" || strings.Contains(string(again.body), first.secret) {
		p.Error("the replay tells the secret")
	}
	body["name"] = "Another body"
	admin.api(http.MethodPost, "/keys", body, headers...).refusedBy(http.StatusUnprocessableEntity, "idempotency_key_reused")
	headers[1] += " rotate"
	next := admin.kept(admin.api(http.MethodPost, "/keys/"+first.ID+"/rotate", `{"overlap_seconds": 60}`, headers...).want(http.StatusCreated))
	admin.api(http.MethodPost, "/keys/"+first.ID+"/rotate", `{"overlap_seconds": 60}`, headers...).want(http.StatusOK).has("code", "secret_already_shown").has("key.id", next.ID).has("secret", "")
}

// inEnvironment: the page's lines read the key from an environment variable, and
// none holds it.
func inEnvironment(p *probe) {
	shown, text := p.admin().byHand("For the environment")
	env, _ := attribute(shown.one("input", "id", "env"), "value")
	if env != p.of.variable+"=your_key_here" {
		p.Errorf("for .env it offers %q", env)
	}
	curl, _ := attribute(shown.one("input", "id", "curl"), "value")
	if !strings.HasPrefix(curl, "curl ") || !strings.Contains(curl, "Authorization: Bearer $"+p.of.variable) {
		p.Errorf("to try it offers %q", curl)
	}
	if n := strings.Count(string(shown.body), text); n != 1 {
		p.Errorf("the page has the key %d times", n)
	}
	shown.says("never in source code, in a web page or an app")
}

// inWebPages: no page of another site can call the API, and a key that a page sent
// is shown to be there.
func inWebPages(p *probe) {
	admin := p.admin()
	k := admin.create(nil)
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		a := p.call(method, k.secret, p.of.list, nil, "Origin", "https://shop.example", "Access-Control-Request-Method", "GET")
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				p.Errorf("%s: %s: %s", a.what, name, a.header.Get(name))
			}
		}
	}
	p.eventually("the usage page names the web page's origin", func() bool { return admin.usage(k.ID, "key").Origin == "https://shop.example" })
	admin.page("keys/"+k.ID+"/usage").says("This key is in a web page.", "https://shop.example")
	for name, demo := range p.Keys {
		if strings.Contains(p.says(), demo.Key) {
			p.Errorf("the server prints key %s", name)
		}
	}
	if strings.Contains(p.says(), k.secret) {
		p.Error("the server prints a key")
	}
}

// listed: the list shows name, last 4, creation date and last use, and says what
// else should be in a row.
func listed(p *probe, also ...string) {
	admin := p.admin()
	expires := time.Now().Add(40 * 24 * time.Hour).UTC().Truncate(time.Second)
	k := admin.create(map[string]any{"name": "CRM Sync", "expires": expires.Format(time.RFC3339)})
	row := func() string { return admin.page("").row(k.ID) }
	for _, text := range append([]string{"CRM Sync", "••••" + k.secret[len(k.secret)-4:], time.Now().UTC().Format("2 Jan 2006"), expires.Format("2 Jan 2006"), "Never", "Active"}, also...) {
		if !strings.Contains(row(), text) {
			p.Errorf("the row doesn't say %q: %s", text, row())
		}
	}
	if strings.Contains(string(admin.page("").body), k.secret) {
		p.Error("the list has the whole key")
	}
	p.with(k.secret).want(http.StatusOK)
	p.eventually("the list says when the key was last used", func() bool { return !strings.Contains(row(), "Never") && admin.key(k.ID).LastUsed != "" })
}

// revokedByHand: found in the list, clicked, confirmed; at once, and for ever.
func revokedByHand(p *probe) {
	admin := p.admin()
	k, other := admin.create(map[string]any{"name": "To be revoked"}), admin.create(nil)
	p.with(k.secret).want(http.StatusOK)
	admin.page("").one("a", "href", p.of.console+"/keys/"+k.ID+"/revoke")
	asks := admin.page("keys/" + k.ID + "/revoke").want(http.StatusOK).says("This can't be undone.")
	admin.submit(asks, "/revoke", url.Values{"confirm": {"no"}}).want(http.StatusBadRequest)
	p.with(k.secret).want(http.StatusOK)
	admin.submit(asks, "/revoke", url.Values{"confirm": {k.Last4}}).want(http.StatusSeeOther)
	p.with(k.secret).refused(http.StatusUnauthorized, "revoked_api_key")
	p.whoami(k.secret).refused(http.StatusUnauthorized, "revoked_api_key")
	p.with(other.secret).want(http.StatusOK)
	irreversible(p, admin, k)
}

// irreversible: nothing brings a revoked key back.
func irreversible(p *probe, admin *visitor, k key) {
	p.Helper()
	admin.regenerate(k.ID).refusedBy(http.StatusConflict, "revoked_api_key")
	admin.rotate(k.ID, 60).refusedBy(http.StatusConflict, "revoked_api_key")
	admin.change(k.ID, map[string]any{"expires": time.Now().Add(time.Hour).Format(time.RFC3339)}).refusedBy(http.StatusConflict, "revoked_api_key")
	admin.revoke(k.ID).want(http.StatusOK)
	if now := admin.key(k.ID); now.Status != "revoked" {
		p.Errorf("it is %s", now.Status)
	}
	p.with(k.secret).refused(http.StatusUnauthorized, "revoked_api_key")
}

// rotated: a successor of the same kind, both work, the old one is revoked.
func rotated(p *probe) {
	admin := p.admin()
	k := admin.create(map[string]any{"name": "Nightly export"})
	p.with(k.secret).want(http.StatusOK)
	admin.page("keys/" + k.ID + "/rotate").says("Both keys work for the overlap")
	next := admin.kept(admin.rotate(k.ID, 3600).want(http.StatusCreated))
	if next.ID == k.ID || next.Name != k.Name || !slices.Equal(next.Scopes, k.Scopes) || next.Access != k.Access || next.Environment != k.Environment || next.Lineage != k.Lineage {
		p.Errorf("the successor is %+v, of %+v", next, k)
	}
	p.with(k.secret).want(http.StatusOK)
	p.with(next.secret).want(http.StatusOK)
	p.eventually("each key has its own last use", func() bool { return admin.key(k.ID).LastUsed != "" && admin.key(next.ID).LastUsed != "" })
	admin.page("keys/" + k.ID).says("Rotated from and to")
	admin.revoke(k.ID).want(http.StatusOK)
	p.with(k.secret).refused(http.StatusUnauthorized, "revoked_api_key")
	p.with(next.secret).want(http.StatusOK)
}

// overdue: a key whose secret is older than 90 days is flagged, where it can be
// rotated; after its overlap the old key has expired.
func overdue(p *probe) {
	p = p.alone()
	k := p.admin().create(map[string]any{"no_expiry": true})
	if k.RotateRecommended {
		p.Error("a new key is flagged")
	}
	p.clock("2184h") // 91 days; the sign-in has ended
	admin := p.admin()
	if now := admin.key(k.ID); !now.RotateRecommended {
		p.Errorf("after 91 days: %+v", now)
	}
	if row := admin.page("").row(k.ID); !strings.Contains(row, "Rotate it: its secret is old") {
		p.Errorf("the list says %q", row)
	}
	next := admin.kept(admin.rotate(k.ID, 3600).want(http.StatusCreated))
	p.with(k.secret).want(http.StatusOK)
	p.clock("61m")
	p.with(k.secret).refused(http.StatusUnauthorized, "expired_api_key")
	p.with(next.secret).want(http.StatusOK)
}

// suspected: a key that may have leaked is replaced at once.
func suspected(p *probe) {
	admin := p.admin()
	k := admin.create(nil)
	p.with(k.secret).want(http.StatusOK)
	next := admin.kept(admin.rotate(k.ID, 0).want(http.StatusCreated))
	p.with(k.secret).want(http.StatusUnauthorized)
	p.with(next.secret).want(http.StatusOK)
	a := admin.regenerate(next.ID).want(http.StatusOK)
	p.with(next.secret).refused(http.StatusUnauthorized, "invalid_api_key")
	p.with(a.at("secret")).want(http.StatusOK)
}

// monitored: what a key does is shown, so that a spike or a strange endpoint is.
func monitored(p *probe) {
	admin := p.admin()
	k := admin.create(nil)
	for range 3 {
		p.with(k.secret).want(http.StatusOK)
	}
	p.call(http.MethodGet, k.secret, "/nowhere", nil).want(http.StatusNotFound)
	p.eventually("four requests are counted", func() bool { return admin.usage(k.ID, "key").Total.Requests == 4 })
	u := admin.usage(k.ID, "key")
	if u.Total.Errors != 1 || u.Total.Rate != 0.25 || len(u.Addresses) != 1 || u.Addresses[0].Address != "127.0.0.1" {
		p.Errorf("told is %+v", u)
	}
	admin.page("keys/"+k.ID+"/usage").says("Requests over time", "25.0%", "127.0.0.1", "A spike, or requests to unusual endpoints or from strange addresses, may mean that the key leaked.")
}
