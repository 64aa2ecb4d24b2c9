package conformance_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// app is an OAuth app at work: a client of the demo's, and the user's browser.
type app struct {
	p *probe
	client
	user     *visitor
	verifier string // PKCE's; empty: it does without
}

// app is the demo's client of that name, for the user "member". Public ones use
// PKCE.
func (p *probe) app(name string) *app {
	p.Helper()
	c, there := p.OAuth[name]
	if !there || len(c.RedirectURIs) == 0 {
		p.Fatalf("there is no OAuth client %q with a redirect URI", name)
	}
	a := &app{p: p, client: c, user: p.visit("member")}
	if c.Secret == "" {
		a.verifier = rand.Text() + rand.Text()
	}
	return a
}

// request is what the app sends the browser to the server with.
func (a *app) request(change url.Values) url.Values {
	q := url.Values{"response_type": {"code"}, "client_id": {a.ID}, "redirect_uri": {a.RedirectURIs[0]}, "scope": {"meetings:read"}, "state": {"state-" + a.p.Name()[:8]}}
	if a.verifier != "" {
		sum := sha256.Sum256([]byte(a.verifier))
		q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
		q.Set("code_challenge_method", "S256")
	}
	maps.Copy(q, change)
	maps.DeleteFunc(q, func(_ string, values []string) bool { return len(values) == 0 })
	return q
}

// authorize has the browser follow the app's request, and the user allow it. It
// returns what comes back to the redirect URI.
func (a *app) authorize(change url.Values) url.Values {
	a.p.Helper()
	g := a.ask(change)
	if g.status == http.StatusOK {
		g = a.user.submit(g, "/oauth/consent", url.Values{"decision": {"allow"}})
	}
	return a.back(g.answer)
}

func (a *app) ask(change url.Values) page {
	a.p.Helper()
	return parsed(a.p.send(a.user.c, http.MethodGet, "/oauth/authorize?"+a.request(change).Encode(), ""))
}

// back reads a redirection to the app.
func (a *app) back(res answer) url.Values {
	a.p.Helper()
	to, err := url.Parse(res.header.Get("Location"))
	if err != nil || res.status/100 != 3 || !strings.HasPrefix(to.String(), a.RedirectURIs[0]) {
		a.p.Fatalf("%s: %d to %q, want the app: %.800s", res.what, res.status, res.header.Get("Location"), res.body)
	}
	return to.Query()
}

// token calls the token endpoint as the app.
func (a *app) token(form url.Values) answer {
	a.p.Helper()
	headers := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if a.Secret != "" {
		basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(a.ID) + ":" + url.QueryEscape(a.Secret)))
		headers = append(headers, "Authorization", "Basic "+basic)
	} else {
		form.Set("client_id", a.ID)
	}
	return a.p.send(plain(), http.MethodPost, "/oauth/token", form.Encode(), headers...)
}

func (a *app) exchange(code string) answer {
	a.p.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.RedirectURIs[0]}}
	if a.verifier != "" {
		form.Set("code_verifier", a.verifier)
	}
	return a.token(form)
}

// tokens is the whole way from the request to the tokens.
func (a *app) tokens(scopes string) answer {
	a.p.Helper()
	code := a.authorize(url.Values{"scope": {scopes}}).Get("code")
	return a.exchange(code).want(http.StatusOK)
}

var mavioOAuth = []check{
	{"000-25", func(p *probe) { // apps act for users: user-full, live, the organisation's plan
		t := p.app("confidential").tokens("meetings:read")
		bo := p.Users["member"].ID
		who := p.whoami(t.at("access_token")).want(http.StatusOK).has("subject", bo).has("access", "user-full").has("environment", "live").
			has("organisation", p.Users["member"].Organisation).has("scopes", `["meetings:read"]`)
		if who.at("plan") == "" {
			p.Errorf("it has no plan: %s", who.body)
		}
		for _, m := range list[meeting](p, t.at("access_token"), "/meetings") {
			if m.Private && !concerns(bo)(m) {
				p.Errorf("it sees %s, which Bo doesn't", m.ID)
			}
		}
		p.call(http.MethodGet, t.at("access_token"), "/webhooks", nil).refused(http.StatusForbidden, "insufficient_scope")
		returns := p.leaves("member")
		p.eventually("an inactive user's token is refused", func() bool { return p.with(t.at("access_token")).status == http.StatusUnauthorized })
		returns()
		p.organisation("main", `{"subscription": "lapsed"}`, `{"subscription": "active"}`)
		p.eventually("a lapsed organisation's token is answered 402", func() bool { return p.with(t.at("access_token")).status == http.StatusPaymentRequired })
	}},
	{"000-26", func(p *probe) { // registering an app
		admin := p.admin()
		admin.page("/settings/oauth-apps").want(http.StatusOK)
		form := admin.page("/settings/api/apps/new")
		shown := admin.submit(form, "/apps", url.Values{"name": {"CRM connector"}, "kind": {"confidential"}, "redirect_uris": {"https://crm.example/callback"}, "scope": {"meetings:read"}}).want(http.StatusOK)
		id, _ := attribute(shown.one("input", "id", "client-id"), "value")
		secret, _ := attribute(shown.one("input", "id", "secret"), "value")
		if id == "" || secret == "" {
			p.Errorf("it got the id %q and a secret of %d characters", id, len(secret))
		}
		p.visit("member").page("/settings/api/apps/new").want(http.StatusForbidden)
		for _, wrong := range []string{"http://crm.example/callback", "https://crm.example/callback#part", "javascript:alert(1)"} {
			admin.submit(form, "/apps", url.Values{"name": {"Wrong"}, "kind": {"confidential"}, "redirect_uris": {wrong}, "scope": {"meetings:read"}}).want(http.StatusBadRequest, http.StatusUnprocessableEntity)
		}
	}},
	{"000-28,000-29a,000-29b", func(p *probe) { // who isn't known is redirected nowhere
		a := p.app("confidential")
		for _, wrong := range []url.Values{
			{"client_id": {"nobody"}}, {"client_id": nil}, {"redirect_uri": {"https://evil.example/"}}, {"redirect_uri": {a.RedirectURIs[0] + "/more"}},
			{"redirect_uri": {a.RedirectURIs[0] + "?x=1"}}, {"redirect_uri": {strings.ToUpper(a.RedirectURIs[0])}},
		} {
			if g := a.ask(wrong); g.status/100 != 4 || g.header.Get("Location") != "" {
				p.Errorf("%v: %d to %q", wrong, g.status, g.header.Get("Location"))
			}
		}
		if back := a.authorize(nil); back.Get("code") == "" {
			p.Errorf("the right one comes back with %v", back)
		}
	}},
	{"000-31a", func(p *probe) {
		a := p.app("confidential")
		for _, kind := range []string{"token", "id_token", "code token", "none"} {
			if back := a.back(a.ask(url.Values{"response_type": {kind}}).answer); back.Get("error") != "unsupported_response_type" || back.Get("code") != "" {
				p.Errorf("%s: %v", kind, back)
			}
		}
	}},
	{"000-31b", func(p *probe) {
		a := p.app("confidential")
		for _, scopes := range [][]string{nil, {""}, {"meetings:everything"}, {"all"}} {
			if back := a.back(a.ask(url.Values{"scope": scopes}).answer); back.Get("error") != "invalid_scope" {
				p.Errorf("%q: %v", scopes, back)
			}
		}
		t := a.tokens("transcripts:read meetings:read")
		if got := strings.Fields(t.at("scope")); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"meetings:read", "transcripts:read"}) {
			p.Errorf("granted is %q", got)
		}
	}},
	{"000-32a,000-32b,000-41a", func(p *probe) { // state comes back as it was sent
		a := p.app("confidential")
		state := rand.Text() + "-._~ &=+%"
		if back := a.authorize(url.Values{"state": {state}}); back.Get("state") != state {
			p.Errorf("%q comes back as %q", state, back.Get("state"))
		}
		// This one may omit PKCE, so state, and the redirect URI at the token endpoint, are required.
		if back := a.back(a.ask(url.Values{"state": nil}).answer); back.Get("error") != "invalid_request" {
			p.Errorf("without state: %v", back)
		}
		code := a.authorize(nil).Get("code")
		a.token(url.Values{"grant_type": {"authorization_code"}, "code": {code}}).want(http.StatusBadRequest).has("error", "invalid_request")
		// A public one can't omit PKCE.
		public := p.app("public")
		if back := public.back(public.ask(url.Values{"code_challenge": nil, "code_challenge_method": nil}).answer); back.Get("error") != "invalid_request" {
			p.Errorf("public, without a challenge: %v", back)
		}
		if denied := a.user.submit(a.ask(url.Values{"scope": {"summaries:write"}, "prompt": {"consent"}}), "/oauth/consent", url.Values{"decision": {"deny"}}); a.back(denied.answer).Get("error") != "access_denied" {
			p.Errorf("denied: %s", denied.header.Get("Location"))
		}
	}},
	{"000-34a,000-34b", func(p *probe) {
		for _, name := range []string{"confidential", "public"} {
			a := p.app(name)
			code := a.authorize(nil).Get("code")
			other := p.app(map[string]string{"confidential": "public", "public": "confidential"}[name])
			other.exchange(code).want(http.StatusBadRequest) // and it is not used up by that
			t := a.exchange(code).want(http.StatusOK).has("token_type", "Bearer")
			p.with(t.at("access_token")).want(http.StatusOK)
			a.exchange(code).want(http.StatusBadRequest).has("error", "invalid_grant")
			p.eventually("a code that is used twice ends its tokens", func() bool { return p.with(t.at("access_token")).status == http.StatusUnauthorized })
		}
	}},
	{"000-36a,000-36b", func(p *probe) {
		p = p.alone()
		a := p.app("confidential")
		t := a.tokens("meetings:read").has("expires_in", "3600")
		p.with(t.at("access_token")).want(http.StatusOK)
		p.clock("61m")
		p.with(t.at("access_token")).want(http.StatusUnauthorized)
		next := a.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.at("refresh_token")}}).want(http.StatusOK)
		p.with(next.at("access_token")).want(http.StatusOK)
		if next.at("refresh_token") == t.at("refresh_token") || next.at("access_token") == t.at("access_token") {
			p.Error("the tokens are the same")
		}
		a.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"nonsense"}}).want(http.StatusBadRequest).has("error", "invalid_grant")
	}},
	{"000-25", func(p *probe) { // what programs find out by themselves, and how a token is ended
		document := p.send(plain(), http.MethodGet, "/.well-known/oauth-authorization-server", "").want(http.StatusOK)
		for member, path := range map[string]string{"authorization_endpoint": "/oauth/authorize", "token_endpoint": "/oauth/token", "revocation_endpoint": "/oauth/revoke", "introspection_endpoint": "/oauth/introspect"} {
			document.has(member, p.BaseURL+path)
		}
		a := p.app("confidential")
		t := a.tokens("meetings:read")
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(a.ID+":"+a.Secret))
		about := url.Values{"token": {t.at("access_token")}}.Encode()
		ask := func(path string) answer {
			return p.send(plain(), http.MethodPost, path, about, "Content-Type", "application/x-www-form-urlencoded", "Authorization", basic)
		}
		ask("/oauth/introspect").want(http.StatusOK).has("active", "true").has("client_id", a.ID)
		ask("/oauth/revoke").want(http.StatusOK)
		p.eventually("a revoked token is refused", func() bool { return p.with(t.at("access_token")).status == http.StatusUnauthorized })
		ask("/oauth/introspect").want(http.StatusOK).has("active", "false")
	}},
}
