package authserver_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

// site serves documents that apps describe themselves by.
type site struct {
	*httptest.Server
	fetched atomic.Int32
	answer  atomic.Pointer[http.HandlerFunc]
}

func newSite(t *testing.T) *site {
	s := &site{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetched.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) says(kind, body string) {
	f := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		fmt.Fprint(w, body)
	})
	s.answer.Store(&f)
}

// trusting fetches from loopback, where the tests are.
func (s *site) trusting(c *authserver.Config) {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c.Clients.Documents = &authserver.Documents{
		Scopes: []string{"meetings:read", "transcripts:read"}, InsecureLoopback: true, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
}

func TestClientIDMetadataDocuments(t *testing.T) {
	site := newSite(t)
	w := newWorld(t, site.trusting)
	id := site.URL + "/client.json"
	back := site.URL + "/back"
	site.says("application/json", fmt.Sprintf(`{"client_id":%q,"client_name":"Editor","redirect_uris":[%q,"http://127.0.0.1/cb"],"token_endpoint_auth_method":"none","scope":"meetings:read"}`, id, back))
	app := registered{App: storage.App{ClientID: id, RedirectURIs: []string{back}}}
	w.authorize("ben", app.asking()).want(t, 200, "Editor", "Nobody has checked", strings.TrimPrefix(site.URL, "https://"))
	if _, err := w.store.App(t.Context(), id); err == nil {
		t.Error("an app that nobody let in is stored")
	}
	got := w.letIn("ben", app)
	w.letIn("ben", app, "redirect_uri", back)
	if n := site.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	next := into[tokens](t, w.refresh(app, got.Refresh).want(t, 200))
	stored, err := w.store.App(t.Context(), id)
	if err != nil || stored.Source != storage.AppDocument || stored.Organisation != "" || !stored.Public || len(stored.Secrets) != 0 {
		t.Errorf("stored %+v %v", stored, err)
	}
	if back := w.authorize("ben", app.asking("scope", "transcripts:read")).back(t); back.Get("error") != "invalid_scope" {
		t.Errorf("beyond the document's scopes: back with %v", back)
	}
	w.get("ben", w.get("ben", w.push(app, app.asking())).Header.Get("Location")).want(t, 200, "Editor")
	// A day later it says something else.
	w.pass(2 * time.Hour)
	site.says("application/json", fmt.Sprintf(`{"client_id":%q,"client_name":"Editor 2","redirect_uris":[%q]}`, id, back))
	w.letIn("ben", app, "scope", "transcripts:read")
	if stored, err := w.store.App(t.Context(), id); err != nil || stored.Name != "Editor 2" {
		t.Errorf("stored %+v %v", stored, err)
	}
	// Administrators can keep it out.
	if err := w.server.BlockApp(t.Context(), people["ada"], id, ""); err != nil {
		t.Fatal(err)
	}
	w.authorize("ben", app.asking()).want(t, 403, "keeps this app out")
	w.refresh(app, next.Refresh).wantError(t, 400, "invalid_grant")
	if m := into[map[string]any](t, w.get("", "/.well-known/oauth-authorization-server")); m["client_id_metadata_document_supported"] != true {
		t.Error("it isn't advertised")
	}
}

// THREATS 17: strangers choose what is fetched.
func TestThreat17DocumentsAreFetchedSafely(t *testing.T) {
	site := newSite(t)
	w := newWorld(t, site.trusting)
	id := site.URL + "/client.json"
	good := fmt.Sprintf(`{"client_id":%q,"client_name":"Editor","redirect_uris":[%q]}`, id, site.URL+"/back")
	app := registered{App: storage.App{ClientID: id, RedirectURIs: []string{site.URL + "/back"}}}
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"not found":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, strings.Replace(good, "{", "{"+strings.Repeat(" ", 17<<10), 1))
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
	} {
		w.pass(time.Minute)
		site.answer.Store(&answer)
		before := site.fetched.Load()
		w.authorize("ben", app.asking()).want(t, 400, "can't be fetched")
		w.authorize("ben", app.asking()).want(t, 400, "can't be fetched")
		if n := site.fetched.Load() - before; n != 1 {
			t.Errorf("%s: fetched %d times", name, n)
		}
	}
	for name, body := range map[string]string{
		"another client_id":   strings.Replace(good, "client.json", "other.json", 1),
		"another case":        strings.Replace(good, "client_id", "CLIENT_ID", 1),
		"a secret":            strings.Replace(good, "{", `{"token_endpoint_auth_method":"client_secret_basic",`, 1),
		"another host's URI":  strings.Replace(good, site.URL+"/back", "https://evil.example/back", 1),
		"no redirect URI":     fmt.Sprintf(`{"client_id":%q,"client_name":"Editor"}`, id),
		"a name twice":        strings.Replace(good, "{", `{"client_name":"Mavio",`, 1),
		"an unreadable one":   good[:20],
		"a misleading name":   strings.Replace(good, "Editor", `Mavio\u202e`, 1),
		"a scope of no one's": strings.Replace(good, "{", `{"scope":"meetings:write",`, 1),
	} {
		w.pass(time.Minute)
		site.says("application/json", body)
		if r := w.authorize("ben", app.asking()); r.StatusCode != 400 {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
	}
	before := site.fetched.Load()
	for _, bad := range []string{
		site.URL, site.URL + "/", strings.Replace(id, "https:", "http:", 1), id + "#x", strings.Replace(id, "https://", "https://user@", 1),
		site.URL + "/a/../client.json", strings.Replace(id, "https", "HTTPS", 1), id + strings.Repeat("x", 500),
	} {
		w.get("ben", "/oauth/authorize?"+app.asking("client_id", bad).Encode()).want(t, 400)
	}
	if site.fetched.Load() != before {
		t.Error("what can't be a document's URL is fetched")
	}

	for range 20 - 13 { // what one address may have fetched in a minute, less what it had
		w.pass(time.Minute)
		w.authorize("ben", app.asking())
	}
	w.pass(time.Minute)
	if r := w.authorize("ben", app.asking()); r.StatusCode != 429 && r.Header.Get("Location") == "" {
		t.Errorf("one address has any number fetched: %d", r.StatusCode)
	}
	before = site.fetched.Load()

	// The same without leave to fetch from loopback.
	site.says("application/json", good)
	strict := newWorld(t, site.trusting, func(c *authserver.Config) { c.Clients.Documents.InsecureLoopback = false })
	for _, inside := range []string{id, "https://localhost/client.json", "https://169.254.169.254/latest/meta-data", "https://10.0.0.1/x", "https://[::1]/x", "https://0.0.0.0/x"} {
		strict.get("ben", "/oauth/authorize?"+app.asking("client_id", inside).Encode()).want(t, 400, "can't be fetched")
	}
	if site.fetched.Load() != before {
		t.Error("a loopback address is fetched from")
	}
	listed := newWorld(t, site.trusting, func(c *authserver.Config) { c.Clients.Documents.Hosts = []string{"editor.example"} })
	listed.authorize("ben", app.asking()).want(t, 400, "host")
	off := newWorld(t)
	off.authorize("ben", app.asking()).want(t, 400, "No app")
}
