package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/oauth/authserver"
)

type pushed struct {
	URI     string `json:"request_uri"`
	Expires int    `json:"expires_in"`
}

func (w *world) push(a registered, v url.Values) string {
	w.Helper()
	got := into[pushed](w, w.call(a, "/oauth/par", v).want(w, http.StatusCreated))
	if got.Expires != 60 || !strings.HasPrefix(got.URI, "urn:ietf:params:oauth:request_uri:") {
		w.Errorf("pushed: %+v", got)
	}
	return "/oauth/authorize?" + url.Values{"client_id": {a.ClientID}, "request_uri": {got.URI}}.Encode()
}

func TestPushedRequests(t *testing.T) {
	for name, kind := range map[string]registered{"confidential": {}, "public": {}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			app := w.register()
			if _ = kind; name == "public" {
				app = w.register(public)
			}
			link := w.push(app, app.asking())
			next := w.get("", link).want(t, http.StatusSeeOther).Header.Get("Location")
			if strings.Contains(next, "meetings") || strings.Contains(next, "crm.example") {
				t.Errorf("what was pushed shows: %s", next)
			}
			w.get("", link).want(t, 400, "used already") // it counts once
			back := w.get("", next).next(t)              // to sign in, and back, however often
			w.get("ben", back).want(t, 200)
			page := w.get("ben", next).want(t, 200, "CRM Sync")
			code := w.decide("ben", page, "allow").back(t).Get("code")
			w.exchange(app, code).want(t, 200)
		})
	}
}

func TestPushedRequestsAreChecked(t *testing.T) {
	w := newWorld(t, func(c *authserver.Config) { c.SignIn.Page = nil })
	app, other := w.register(), w.register()
	for name, c := range map[string]struct {
		change []string
		want   string
	}{
		"redirect": {[]string{"redirect_uri", "https://evil.example/"}, "invalid_request"}, "type": {[]string{"response_type", "token"}, "unsupported_response_type"},
		"scope": {[]string{"scope", "x:y"}, "invalid_scope"}, "challenge": {[]string{"code_challenge", ""}, "invalid_request"},
		"a reference": {[]string{"request_uri", "urn:x"}, "invalid_request"}, "an object": {[]string{"request", "eyJ"}, "request_not_supported"},
		"another's id": {[]string{"client_id", other.ClientID}, "invalid_request"}, "long": {[]string{"x", strings.Repeat("x", 9000)}, "invalid_request"},
	} {
		if r := w.call(app, "/oauth/par", app.asking(c.change...)); r.StatusCode != 400 || !strings.Contains(r.body, `"`+c.want+`"`) {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
	link := w.push(app, app.asking())
	w.get("ben", strings.Replace(link, app.ClientID, other.ClientID, 1)).want(t, 400, "another app")
	link = w.push(app, app.asking())
	w.pass(time.Minute)
	w.get("ben", link).want(t, 400, "too old")
	w.get("ben", w.get("ben", w.push(app, app.asking("prompt", "login"))).Header.Get("Location")).want(t, 401, "Sign in")
}

// What an app pushed can't be changed on the way, by the person either.
func TestTicketsAreSealed(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	next := w.get("", w.push(app, app.asking())).Header.Get("Location")
	page := w.authorize("ben", app.asking()).want(t, 200)
	consent := requestField.FindStringSubmatch(page.body)[1]
	w.get("ben", "/oauth/authorize?resume="+consent).want(t, 400) // a consent's ticket is no resumption's
	u, err := url.Parse(next)
	if err != nil {
		t.Fatal(err)
	}
	w.post("ben", "/oauth/consent", url.Values{"request": {u.Query().Get("resume")}, "decision": {"allow"}}).want(t, 403)
	other := newWorld(t)
	other.get("ben", next).want(t, 400) // another server's
}
