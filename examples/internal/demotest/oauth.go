package demotest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Tokens are what the token endpoint answers with.
type Tokens struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
	Scope     string `json:"scope"`
}

// Flow is one app's authorization by whoever is signed in.
type Flow struct {
	Server   *Server // the browser
	App      OAuthClient
	Redirect string
	Verifier string // of PKCE; empty: the app does without
}

// NewFlow is a flow of the app of that name, with PKCE if it has no secret.
func (s *Server) NewFlow(t *testing.T, name string) *Flow {
	t.Helper()
	app, ok := s.OAuth[name]
	if !ok {
		t.Fatalf("no demo app %q", name)
	}
	f := &Flow{Server: s, App: app, Redirect: app.RedirectURIs[0]}
	if app.Secret == "" {
		f.Verifier = rand.Text() + rand.Text()
	}
	return f
}

// Query is the authorization request for some scopes.
func (f *Flow) Query(scope string) url.Values {
	q := url.Values{"response_type": {"code"}, "client_id": {f.App.ID}, "redirect_uri": {f.Redirect}, "scope": {scope}, "state": {rand.Text()}}
	if f.Verifier != "" {
		sum := sha256.Sum256([]byte(f.Verifier))
		q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
		q.Set("code_challenge_method", "S256")
	}
	return q
}

var consent = regexp.MustCompile(`action="([^"]+)"[^$]*?name="request" value="([^"]+)"`)

// Authorize goes to the authorization page and, if it is asked, decides: "allow"
// or "deny". It returns where the browser is sent.
func (f *Flow) Authorize(t *testing.T, q url.Values, decision string) *url.URL {
	t.Helper()
	r := f.Server.Get(t, "", "/oauth/authorize?"+q.Encode())
	if found := consent.FindSubmatch(r.Body); r.StatusCode == http.StatusOK && found != nil {
		r = f.Server.Form(t, string(found[1]), url.Values{"request": {string(found[2])}, "decision": {decision}})
	}
	if r.StatusCode != http.StatusSeeOther {
		t.Fatalf("authorize: %d %s", r.StatusCode, r.Body)
	}
	to, err := r.Location()
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// Form sends a form.
func (s *Server) Form(t *testing.T, path string, form url.Values, headers ...string) Response {
	t.Helper()
	return s.Send(t, http.MethodPost, path, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

// Token asks an OAuth endpoint as the app.
func (f *Flow) Token(t *testing.T, path string, form url.Values) Response {
	t.Helper()
	if f.App.Secret == "" {
		form.Set("client_id", f.App.ID)
		return f.Server.Form(t, path, form)
	}
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(f.App.ID) + ":" + url.QueryEscape(f.App.Secret)))
	return f.Server.Form(t, path, form, "Authorization", "Basic "+basic)
}

// Exchange exchanges a code.
func (f *Flow) Exchange(t *testing.T, code string) Response {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {f.Redirect}}
	if f.Verifier != "" {
		form.Set("code_verifier", f.Verifier)
	}
	return f.Token(t, "/oauth/token", form)
}

// Grant goes all the way.
func (f *Flow) Grant(t *testing.T, scopes ...string) Tokens {
	t.Helper()
	q := f.Query(strings.Join(scopes, " "))
	back := f.Authorize(t, q, "allow")
	if back.Query().Get("state") != q.Get("state") || !strings.HasPrefix(back.String(), f.Redirect) {
		t.Fatalf("back at %s", back)
	}
	r := f.Exchange(t, back.Query().Get("code"))
	if r.StatusCode != http.StatusOK {
		t.Fatalf("exchange: %d %s", r.StatusCode, r.Body)
	}
	return Decode[Tokens](t, r)
}
