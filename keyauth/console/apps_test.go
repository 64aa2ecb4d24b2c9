package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/storage"
)

// What an authorization server satisfies without importing this package.
var _ console.Apps = (*apps)(nil)

func (s *apps) untouched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.apps {
		if a.Version != 1 {
			return false
		}
	}
	for _, g := range s.grants {
		if !g.Revoked.IsZero() {
			return false
		}
	}
	return len(s.blocks) == 0 && len(s.apps) == 2
}

const crm = "/apps/https:%2F%2Fcrm.example%2Fclient%2F1"

func registration(name string) url.Values {
	return url.Values{"once": {name}, "name": {name}, "kind": {"confidential"}, "redirect_uris": {"https://a.example/back\nhttps://b.example/back"}, "scope": {"meetings:read"}}
}

func TestAppsPages(t *testing.T) {
	w := newWorld(t)
	w.get("ada", "/apps").want(t, 200, "CRM &lt;b&gt;", "Reports &lt;b&gt;", "Ada Lovelace", base+crm+"/block").wantNone(t, "<b>")
	w.get("ada", "/apps/app_1").want(t, 200, "https://reports.example/back", "••••WXYZ", "Nobody of your organisation.")
	w.get("ada", crm).want(t, 200, "Ben Okafor", "Another organisation").wantNone(t, crm+"/edit", crm+"/revoke")
	w.get("mallory", "/apps").want(t, 200, "No app is registered.", "No member has let an app in.")
	for _, path := range []string{crm + "/revoke", crm + "/edit", crm + "/secret", "/apps/none"} {
		w.get("ada", path).want(t, 404)
	}
	for _, path := range []string{"/apps/app_1", "/apps/app_1/edit", "/apps/app_1/revoke", crm} {
		w.get("mallory", path).want(t, 404)
	}
	for _, path := range []string{"/apps", "/apps/new"} {
		w.get("ben", path).want(t, 403)
	}
}

func TestRegisteringApps(t *testing.T) {
	w := newWorld(t)
	form := inputs(w.get("ada", "/apps/new").want(t, 200, "Do without PKCE", "It fails OWASP ASVS 10.4.6.").document(t))
	if form.Get("once") == "" || len(form["scope"]) != 0 || form.Get("kind") != "confidential" || form.Get("no_pkce") != "" {
		t.Errorf("the empty form has %v", form)
	}
	made := w.post("ada", "/apps", registration("Sheets")).want(t, 200, "Copy the secret now.", "MAVIO_CLIENT_SECRET=your_secret_here")
	fields := inputs(made.document(t))[""] // read-only fields have no name: nothing sends them
	at := slices.IndexFunc(fields, func(text string) bool { return strings.HasPrefix(text, "cs_") })
	if at < 0 {
		t.Fatalf("no secret is among %v", fields)
	}
	again := w.post("ada", "/apps", registration("Sheets")).want(t, 303)
	w.send("ada", w.request("GET", again.Header.Get("Location"), "")).want(t, 200, "The form was sent before", "Sheets", "https://b.example/back").wantNone(t, fields[at])
	if apps := w.appsOf(t, "active"); len(apps) != 2 {
		t.Errorf("%d apps, and one form was sent twice", len(apps))
	}

	public := registration("Phone")
	public.Set("kind", "public")
	w.post("ada", "/apps", public).want(t, 200, "A public app has no secret").wantNone(t, "cs_", "CLIENT_SECRET")

	bad := registration("Bad")
	bad.Set("redirect_uris", "http://a.example/back")
	w.post("ada", "/apps", bad).want(t, 400, `<a href="#redirect_uris">Redirect URIs</a>: Use https`, `value="Bad"`, "http://a.example/back")
	for _, preset := range []struct {
		name string
		want int
	}{{"all", 3}, {"read", 2}, {"none", 0}} {
		form := registration("Presets")
		form.Set("preset", preset.name)
		if got := len(inputs(w.post("ada", "/apps", form).want(t, 200).document(t))["scope"]); got != preset.want {
			t.Errorf("%s chooses %d scopes, want %d", preset.name, got, preset.want)
		}
	}
	w.post("ben", "/apps", registration("Ben's")).want(t, 403)
}

func TestChangingApps(t *testing.T) {
	w := newWorld(t)
	form := inputs(w.get("ada", "/apps/app_1/edit").want(t, 200, "https://reports.example/back").document(t))
	if form.Get("name") != "Reports <b>" || form.Get("version") != "1" || len(form["scope"]) != 2 {
		t.Errorf("the form has %v", form)
	}
	form.Set("name", "Reports")
	form.Set("redirect_uris", "https://reports.example/new")
	form.Del("preset")
	w.post("ada", "/apps/app_1/edit", form).want(t, 303)
	w.get("ada", "/apps/app_1").want(t, 200, "https://reports.example/new").wantNone(t, "Reports &lt;b")

	form.Set("name", "Mine")
	again := inputs(w.post("alan", "/apps/app_1/edit", form).want(t, 409, "Somebody else changed").document(t))
	if again.Get("name") != "Mine" || again.Get("version") != "2" {
		t.Errorf("after a conflict the form has %v", again)
	}

	secret := inputs(w.get("ada", "/apps/app_1/secret").want(t, 200, "••••WXYZ").document(t))
	if secret.Get("newest") != "WXYZ" || secret.Get("overlap") != "24h0m0s" {
		t.Errorf("the form for a secret has %v", secret)
	}
	w.post("ada", "/apps/app_1/secret", secret).want(t, 200, "Copy the secret now.", "cs_")
	w.post("ada", "/apps/app_1/secret", secret).want(t, 303) // sent again: the new one stays
	if a := w.appsOf(t, "active")[0]; len(a.Secrets) != 2 || a.Secrets[0].Expires == nil || a.Secrets[1].Expires != nil {
		t.Errorf("its secrets are %+v", a.Secrets)
	}
}

func TestRevokingAndBlockingApps(t *testing.T) {
	w := newWorld(t)
	w.get("ada", "/apps/app_1/revoke").want(t, 200, "can't be undone")
	w.post("ada", "/apps/app_1/revoke", url.Values{"confirm": {"yes"}}).want(t, 400, "Type revoke")
	w.post("ada", "/apps/app_1/revoke", url.Values{"confirm": {"revoke"}, "reason": {"unused"}}).want(t, 303)
	w.get("ada", "/apps/app_1").want(t, 200, "Revoked", "unused").wantNone(t, "/apps/app_1/edit")
	w.get("ada", "/apps?status=revoked").want(t, 200, "app_1")
	w.get("ada", "/apps").want(t, 200, "No app is registered.")

	w.get("ada", crm+"/block").want(t, 200, "nobody can let it in")
	w.post("ada", crm+"/block", url.Values{"reason": {"it sold data"}}).want(t, 303)
	w.get("ada", "/apps").want(t, 200, "No member has let an app in.", "it sold data", "blocked by Ada Lovelace", crm+"/unblock")
	w.get("ada", crm).want(t, 200, "Your organisation keeps this app out.")
	w.post("ada", crm+"/unblock", nil).want(t, 303)
	w.get("ada", "/apps?done=app-unblocked").want(t, 200, "no longer blocked").wantNone(t, crm+"/unblock")
	w.post("ada", crm+"/unblock", nil).want(t, 404)
}

// Everybody sees the apps that they let in themselves, and nobody else's.
func TestConnections(t *testing.T) {
	w := newWorld(t)
	path := "/connections/https:%2F%2Fcrm.example%2Fclient%2F1/revoke"
	w.get("ben", "/connections").want(t, 200, "CRM &lt;b&gt;", "meetings:read", base+path)
	w.get("alan", "/connections").want(t, 200, "You have let no app in.")
	w.get("ben", "/").want(t, 403, "See your apps", base+"/connections")
	w.get("ben", path).want(t, 200, "can no longer act for you")
	w.post("alan", path, nil).want(t, 404)
	w.post("ben", path, nil).want(t, 303)
	w.get("ben", "/connections?done=disconnected").want(t, 200, "You have let no app in.", "The app is disconnected.")
	w.get("ada", "/connections").want(t, 200, "CRM &lt;b&gt;") // hers stays
	w.post("ben", path, nil).want(t, 404)
}

// apiApp is what the tests read of an app.
type apiApp struct {
	ClientID string `json:"client_id"`
	Name     string
	Secrets  []struct {
		Last4   string
		Expires *string
	}
	RedirectURIs []string `json:"redirect_uris"`
	Version      int
}

func (w *world) appsOf(t *testing.T, status string) []apiApp {
	t.Helper()
	var body struct{ Data []apiApp }
	if err := json.Unmarshal([]byte(w.call("ada", "GET", "/apps?status="+status, "").want(t, 200).body), &body); err != nil {
		t.Fatal(err)
	}
	return body.Data
}

func TestAPIApps(t *testing.T) {
	w := newWorld(t)
	w.call("ada", "GET", "/apps", "").want(t, 200, `"client_id":"app_1"`, `"next":null`, `"own":true`)
	w.call("ada", "GET", crm, "").want(t, 200, `"own":false`, `"public":true`)
	body := `{"name": "Sheets", "redirect_uris": ["https://a.example/back"], "scopes": ["meetings:read"]}`
	made := w.call("ada", "POST", "/apps", body, "Idempotency-Key", "one").want(t, 201, `"client_secret":"cs_`)
	w.call("ada", "POST", "/apps", body, "Idempotency-Key", "one").want(t, 200, `"code":"secret_already_shown"`).wantNone(t, "client_secret")
	w.call("ada", "POST", "/apps", strings.Replace(body, "Sheets", "Other", 1), "Idempotency-Key", "one").wantCode(t, 422, "idempotency_key_reused")
	w.call("ada", "POST", "/apps", `{"name": "Phone", "public": true, "scopes": ["meetings:read"]}`).want(t, 201).wantNone(t, "client_secret")

	path := strings.TrimPrefix(made.Header.Get("Location"), base+"/api")
	tag := made.Header.Get("ETag")
	w.call("ada", "PATCH", path, `{"name": "Tables"}`).wantCode(t, 428, "precondition_required")
	w.call("ada", "PATCH", path, `{"name": "Tables"}`, "If-Match", `"v9"`).wantCode(t, 412, "precondition_failed")
	w.call("ada", "PATCH", path, `{"name": "Tables"}`, "If-Match", tag).want(t, 200, `"name":"Tables"`, "https://a.example/back")
	w.call("ada", "PATCH", path, `{"name": ""}`, "If-Match", "*").wantCode(t, 400, "invalid_request")
	w.call("ada", "POST", path+"/secret", `{"overlap_seconds": 60}`, "If-Match", tag).wantCode(t, 412, "precondition_failed")
	w.call("ada", "POST", path+"/secret", `{"overlap_seconds": 60}`).want(t, 200, `"client_secret":"cs_`)
	w.call("ada", "POST", path+"/revoke", `{"reason": "x"}`).want(t, 200)
	w.call("mallory", "POST", "/apps/app_1/revoke", `{}`).wantCode(t, 404, "app_not_found")
	w.call("ben", "POST", "/apps", body).wantCode(t, 403, "forbidden")

	none := newWorld(t, func(s *setting) { s.console.Apps = nil })
	none.send("ada", none.request(http.MethodGet, base+"/api/apps", "")).wantCode(t, 404, "not_found")
	none.get("ada", "/").want(t, 200).wantNone(t, "OAuth apps", "Your apps")
	none.get("ada", "/connections").want(t, 404)
}

func TestAPIGrants(t *testing.T) {
	w := newWorld(t)
	w.call("ada", "GET", "/grants", "").want(t, 200, `"user":"user_ada"`, `"user":"user_ben"`)
	w.call("ben", "GET", "/grants?user=me", "").want(t, 200, `"user":"user_ben"`).wantNone(t, "user_ada")
	w.call("ben", "GET", "/grants?user=user_ada", "").wantCode(t, 403, "forbidden")
	w.call("ben", "GET", "/grants", "").wantCode(t, 403, "forbidden")
	client := `"client_id": "https://crm.example/client/1"`
	w.call("ben", "POST", "/grants/revoke", `{"user": "user_ada", `+client+`}`).wantCode(t, 403, "forbidden")
	w.call("ben", "POST", "/grants/revoke", `{"user": "", `+client+`}`).wantCode(t, 400, "invalid_request")
	w.call("ben", "POST", "/grants/revoke", `{"user": "me", `+client+`}`).want(t, 200, `"revoked":1`)
	w.call("ada", "POST", crm+"/block", `{"reason": "why"}`).want(t, 200)
	w.call("ada", "GET", "/blocks", "").want(t, 200, `"because":"why"`)
	w.call("ada", "GET", "/grants", "").want(t, 200, `"data":[]`)
	w.call("ada", "GET", "/grants?status=revoked", "").want(t, 200, `"revoked_because":"why"`)
	w.call("ada", "POST", crm+"/unblock", ``).want(t, 200)
	w.call("ben", "GET", "/blocks", "").wantCode(t, 403, "forbidden")
}

// Many apps are read page by page, and the page of the grants of many is bounded.
func TestManyApps(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		w.apps.apps = append(w.apps.apps, storage.App{ClientID: fmt.Sprint("app_x", i), Organisation: "org", Name: fmt.Sprint("App ", i), Scopes: []string{"meetings:read"}, Created: noon, Version: 1})
	}
	first := w.get("ada", "/apps").want(t, 200, "App 59", "Older apps").wantNone(t, "app_1<")
	at := strings.Index(first.body, "cursor=")
	w.get("ada", "/apps?"+first.body[at:at+strings.IndexAny(first.body[at:], `&"`)]).want(t, 200, "app_1", "First page").wantNone(t, "App 59")
}
