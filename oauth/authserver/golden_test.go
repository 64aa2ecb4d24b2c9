package authserver_test

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

// golden compares with testdata/name.golden; UPDATE_GOLDEN=1 writes it anew.
func golden(t *testing.T, name string, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))), got); diff != "" {
		t.Error(diff)
	}
}

// varying is what differs from run to run.
var varying = regexp.MustCompile(`app_[A-Z2-7]{26}|name="request" value="[^"]+"|next=[^"]+|style\.[0-9a-f]{16}|<code>[A-Z2-7]{26}</code>`)

func steady(w *world, text string) string {
	text = strings.ReplaceAll(text, w.live.URL, "https://mavio.example")
	text = strings.ReplaceAll(text, url.QueryEscape(w.live.URL), url.QueryEscape("https://mavio.example"))
	return varying.ReplaceAllStringFunc(text, func(s string) string {
		if i := strings.IndexAny(s, "_=.>"); i >= 0 {
			return s[:i+1] + "…"
		}
		return "…"
	})
}

func TestMetadataGolden(t *testing.T) {
	plain := newWorld(t)
	r := plain.get("", "/.well-known/oauth-authorization-server").want(t, 200)
	golden(t, "metadata", steady(plain, r.body))
	all := newWorld(t, signing(newKey(t, "ES256")), func(c *authserver.Config) {
		c.Issuer += "/tenants/one"
		c.Tokens.DPoP = &oauth.DPoPConfig{}
		c.Tokens.Certificates = oauth.Certificates{TLS: true}
		c.Audiences = authserver.Audiences{Service: "https://api.mavio.example", More: []string{"https://files.mavio.example"}}
		c.Clients.Documents = &authserver.Documents{Scopes: []string{"meetings:read"}}
		c.Clients.Registration = &authserver.Registration{Scopes: []string{"meetings:read"}}
	})
	r = all.get("", "/.well-known/oauth-authorization-server/tenants/one").want(t, 200)
	golden(t, "metadata-all", steady(all, r.body))
}

// An issuer with a path serves below it, and its metadata is where RFC 8414 3.1 says.
func TestIssuerWithPath(t *testing.T) {
	w := newWorld(t, func(c *authserver.Config) { c.Issuer += "/tenants/one" })
	app := w.register()
	w.get("ben", "/oauth/authorize?"+app.asking().Encode()).want(t, 404)
	w.get("", "/tenants/one/.well-known/oauth-authorization-server").want(t, 404)
	page := w.get("ben", "/tenants/one/oauth/authorize?"+app.asking().Encode()).want(t, 200, "/tenants/one/oauth/consent")
	style := regexp.MustCompile(`href="([^"]+\.css)"`).FindStringSubmatch(page.body)[1]
	if r := w.get("", style).want(t, 200); r.Header.Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("the style sheet with %v", r.Header)
	}
	w.get("", strings.Replace(style, "style.", "other.", 1)).want(t, 404)
	if next := w.get("", "/tenants/one/oauth/authorize?"+app.asking().Encode()).next(t); !strings.HasPrefix(next, "/tenants/one/oauth/authorize?") {
		t.Errorf("back to %s", next)
	}
}

func TestPagesGolden(t *testing.T) {
	w := newWorld(t)
	w.now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	app := w.register(func(a *storage.App) { a.Name = `<b>CRM</b> & "Sync"` })
	native := w.register(public, func(a *storage.App) {
		a.Name, a.Homepage, a.RedirectURIs = "Command line", "", []string{"http://127.0.0.1/cb"}
	})
	for name, c := range map[string]struct {
		status int
		r      reply
	}{
		"consent":         {200, w.authorize("ben", app.asking("scope", "meetings:read meetings:write transcripts:read"))},
		"consent-foreign": {200, w.authorize("mallory", app.asking())},
		"consent-native":  {200, w.authorize("cleo", native.asking("redirect_uri", "http://127.0.0.1:51234/cb", "scope", "meetings:read meetings:write"))},
		"refused":         {402, w.authorize("lena", app.asking())},
		"problem":         {400, w.authorize("ben", app.asking("redirect_uri", "https://evil.example/"))},
	} {
		golden(t, name, steady(w, c.r.want(t, c.status).body))
	}
	if got := w.authorize("cleo", native.asking("redirect_uri", "http://127.0.0.1:51234/cb")).Header.Get("Content-Security-Policy"); !strings.Contains(got, "form-action 'self' https: http://127.0.0.1:* http://localhost:*;") {
		t.Errorf("a native app's answer is blocked by %s", got)
	}
}
