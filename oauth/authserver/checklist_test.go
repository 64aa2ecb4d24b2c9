package authserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

// What RFC 9700 and OAuth 2.1 want of a server, item by item, as attacks on a live
// one.

func TestRFC9700CodeFlowOnly(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	for _, kind := range []string{"token", "id_token", "code token", "none", "CODE"} {
		back := w.authorize("ben", app.asking("response_type", kind)).back(t)
		if back.Get("error") != "unsupported_response_type" || back.Has("access_token") {
			t.Errorf("response_type=%s: back with %v", kind, back)
		}
	}
	for _, kind := range []string{"password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "AUTHORIZATION_CODE"} {
		w.call(app, "/oauth/token", url.Values{"grant_type": {kind}, "username": {"ben"}, "password": {"x"}}).
			wantError(t, 400, "unsupported_grant_type")
	}
	for mode, ok := range map[string]bool{"query": true, "fragment": false, "form_post": false, "query.jwt": false} {
		if r := w.authorize("ben", app.asking("response_mode", mode)); (r.StatusCode == http.StatusOK) != ok {
			t.Errorf("response_mode=%s: %d", mode, r.StatusCode)
		}
	}
}

func TestRFC9700S256IsMandatory(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []func(*storage.App){func(*storage.App) {}, public} {
		app := w.register(kind)
		for name, change := range map[string][]string{
			"no challenge":        {"code_challenge", "", "code_challenge_method", ""},
			"method alone":        {"code_challenge", ""},
			"plain":               {"code_challenge", verifier, "code_challenge_method", "plain"},
			"plain by omission":   {"code_challenge_method", ""},
			"another case":        {"code_challenge_method", "s256"},
			"challenge too short": {"code_challenge", challenge(verifier)[1:]},
			"not canonical":       {"code_challenge", strings.Repeat("A", 42) + "B"},
			"padded":              {"code_challenge", challenge(verifier) + "="},
		} {
			if back := w.authorize("ben", app.asking(change...)).back(t); back.Get("error") != "invalid_request" {
				t.Errorf("%s: back with %v", name, back)
			}
		}
		for name, v := range map[string]string{
			"wrong": wrongProof, "none": "", "short": verifier[:42], "long": strings.Repeat("a", 129), "the challenge itself": challenge(verifier), "odd": verifier + " ",
		} {
			code := w.consent("ben", app.asking())
			w.exchange(app, code, "code_verifier", v).wantError(t, 400, "invalid_grant")
			w.exchange(app, code).wantError(t, 400, "invalid_grant") // burnt: a second guess is no use
			_ = name
		}
	}
	// PKCE downgrade (RFC 9700 4.8.2): a verifier for a code without a challenge.
	old := w.register(noPKCE)
	code := w.consent("ben", old.asking("code_challenge", "", "code_challenge_method", ""))
	w.exchange(old, code).wantError(t, 400, "invalid_grant")
}

func TestRFC9700CodesEndSoonAndAreBurntByFailure(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	code := w.consent("ben", app.asking())
	w.pass(time.Minute)
	w.exchange(app, code).wantError(t, 400, "invalid_grant")

	for name, change := range map[string][]string{
		"verifier": {"code_verifier", wrongProof}, "no verifier": {"code_verifier", ""}, "redirect": {"redirect_uri", callback + "/"},
		"no redirect": {"redirect_uri", ""}, "resource": {"resource", "https://elsewhere.example"},
	} {
		code := w.consent("ben", app.asking())
		if r := w.exchange(app, code, change...); r.StatusCode != 400 {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
		w.exchange(app, code).wantError(t, 400, "invalid_grant")
	}
	grants, _, err := w.server.ListGrants(t.Context(), people["ben"], storage.GrantQuery{Query: storage.Query{Status: storage.Active}, Subject: "user_ben"})
	if len(grants) != 0 || err != nil {
		t.Errorf("grants of burnt codes are left: %v %v", grants, err)
	}
}

func TestRFC9700ReusedCodeRevokesTheGrant(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	code := w.consent("ben", app.asking())
	got := into[tokens](t, w.exchange(app, code).want(t, 200))
	w.wantActive(app, got.Access, true)
	w.exchange(app, code).wantError(t, 400, "invalid_grant")
	w.wantActive(app, got.Access, false)
	w.refresh(app, got.Refresh).wantError(t, 400, "invalid_grant")
	if !strings.Contains(w.logs.String(), "used twice") || !slices.Contains(w.audit("org"), "grant.reused") {
		t.Error("nobody is told")
	}
}

func TestRFC9700RedirectURIsAreCompared(t *testing.T) {
	w := newWorld(t)
	app := w.register(func(a *storage.App) {
		a.RedirectURIs = []string{"https://crm.example/back?a=b", "http://127.0.0.1/native", "http://[::1]:7000/native", "http://localhost:8080/native"}
	})
	for uri, ok := range map[string]bool{
		"https://crm.example/back?a=b": true, "http://127.0.0.1/native": true, "http://127.0.0.1:51234/native": true,
		"http://[::1]:9/native": true, "http://[::1]/native": true, "http://localhost/native": true,
		"https://crm.example/back": false, "https://crm.example/back?a=b&c=d": false, "https://crm.example/back?a=B": false,
		"https://CRM.example/back?a=b": false, "https://crm.example/back/?a=b": false, "https://crm.example/x/../back?a=b": false,
		"https://crm.example/%62ack?a=b": false, "https://crm.example:443/back?a=b": false, "http://crm.example/back?a=b": false,
		"https://crm.example.evil.example/back?a=b": false, "https://crm.example@evil.example/back?a=b": false, "https://evil.example/back?a=b": false,
		"https://crm.example/back?a=b#x": false, "//crm.example/back?a=b": false, "javascript:alert(1)": false,
		"http://127.0.0.1:51234/native/": false, "http://127.0.0.1:51234/native?x": false, "https://127.0.0.1:51234/native": false,
		"http://127.0.0.2/native": false, "http://127.0.0.1:/native": false, "http://127.0.0.1:80@evil.example/native": false,
		"http://127.0.0.1.evil.example/native": false, "http://127.0.0.1:1:2/native": false, "http://127.0.0.1:99999x/native": false, "http://[::1/native": false,
	} {
		r := w.authorize("ben", app.asking("redirect_uri", uri))
		if ok && r.StatusCode != 200 || !ok && (r.StatusCode != 400 || r.Header.Get("Location") != "") {
			t.Errorf("%s: %d to %q", uri, r.StatusCode, r.Header.Get("Location"))
		}
	}
	back := w.decide("ben", w.authorize("ben", app.asking()), "allow")
	if got := back.Header.Get("Location"); !strings.HasPrefix(got, "https://crm.example/back?a=b&code=mvo_ac_") {
		t.Errorf("back to %s", got)
	}
}

func TestRFC9700NoRedirectBeforeClientAndURIAreKnown(t *testing.T) {
	w := newWorld(t)
	app, many := w.register(), w.register(func(a *storage.App) { a.RedirectURIs = []string{callback, callback + "2"} })
	revoked := w.register()
	if err := w.server.RevokeApp(t.Context(), people["ada"], revoked.ClientID, ""); err != nil {
		t.Fatal(err)
	}
	for name, query := range map[string]string{
		"no client":         app.asking("client_id", "").Encode(),
		"unknown client":    app.asking("client_id", "app_X").Encode(),
		"revoked client":    revoked.asking().Encode(),
		"client twice":      app.asking().Encode() + "&client_id=" + app.ClientID,
		"redirect twice":    many.asking().Encode() + "&redirect_uri=" + url.QueryEscape(callback),
		"which redirect":    many.asking("redirect_uri", "").Encode(),
		"unregistered":      app.asking("redirect_uri", "https://evil.example/", "response_type", "token").Encode(),
		"not readable":      app.asking().Encode() + "&x=%zz",
		"a semicolon":       app.asking().Encode() + ";x=y",
		"a NUL":             app.asking().Encode() + "&x=%00",
		"too long":          app.asking("state", strings.Repeat("x", 9000)).Encode(),
		"too many":          app.asking().Encode() + strings.Repeat("&x", 64),
		"a forged pushing":  app.asking("request_uri", "urn:ietf:params:oauth:request_uri:"+strings.Repeat("A", 43)).Encode(),
		"a forged resuming": "resume=" + base64.RawURLEncoding.EncodeToString(random(200)),
	} {
		r := w.get("ben", "/oauth/authorize?"+query).want(t, 400)
		if r.Header.Get("Location") != "" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %v", name, r.Header)
		}
	}
	// And from then on mistakes are told to the app.
	for name, c := range map[string]struct{ add, want string }{
		"scope twice": {"&scope=meetings:write", "invalid_request"},
		"state twice": {"&state=abc", "invalid_request"},
		"any twice":   {"&x=1&x=2", "invalid_request"},
		"an object":   {"&request=eyJ", "request_not_supported"},
		"a reference": {"&request_uri=https://evil.example/", "request_uri_not_supported"},
	} {
		if back := w.get("ben", "/oauth/authorize?"+app.asking().Encode()+c.add).back(t); back.Get("error") != c.want || back.Get("iss") != w.issuer {
			t.Errorf("%s: back with %v", name, back)
		}
	}
}

func TestRFC9700RedirectsAre303(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	page := w.authorize("ben", app.asking()).want(t, 200)
	for name, r := range map[string]reply{
		"allow": w.decide("ben", page, "allow"), "deny": w.decide("ben", page, "deny"), "error": w.authorize("ben", app.asking("scope", "")),
		"sign-in": w.authorize("", app.asking()), "posted": w.post("ben", "/oauth/authorize", app.asking()), "remembered": w.authorize("ben", app.asking()),
	} {
		if r.StatusCode != http.StatusSeeOther || r.Header.Get("Referrer-Policy") != "no-referrer" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d with %v", name, r.StatusCode, r.Header)
		}
	}
}

func TestRFC9700MixUpIsPreventedByIss(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	for name, back := range map[string]url.Values{
		"success": w.decide("ben", w.authorize("ben", app.asking()), "allow").back(t),
		"denial":  w.decide("ben", w.authorize("ben", app.asking("prompt", "consent")), "deny").back(t),
		"error":   w.authorize("ben", app.asking("scope", "unknown:scope")).back(t),
	} {
		if got := back["iss"]; len(got) != 1 || got[0] != w.issuer {
			t.Errorf("%s: iss is %v", name, got)
		}
	}
	if m := into[map[string]any](t, w.get("", "/.well-known/oauth-authorization-server")); m["authorization_response_iss_parameter_supported"] != true || m["issuer"] != w.issuer {
		t.Errorf("metadata: %v", m)
	}
}

func TestRFC9700ClientsAuthenticateEverywhere(t *testing.T) {
	w := newWorld(t)
	app, phone := w.register(), w.register(public)
	got := w.letIn("ben", app)
	code := w.consent("ben", app.asking())
	impostors := map[string]registered{
		"wrong secret": {app.App, "mvo_cs_" + strings.Repeat("A", 43)}, "no secret": {App: app.App},
		"a public app's secret": {phone.App, "x"}, "unknown": {storage.App{ClientID: "app_X"}, app.secret}, "another's id": {phone.App, app.secret},
	}
	for name, who := range impostors {
		who.RedirectURIs = app.RedirectURIs
		for path, form := range map[string]url.Values{
			"/oauth/token":  {"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}},
			"/oauth/token?": {"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}},
			"/oauth/revoke": {"token": {got.Refresh}}, "/oauth/introspect": {"token": {got.Access}}, "/oauth/par": app.asking("client_id", ""),
		} {
			if r := w.call(who, strings.TrimSuffix(path, "?"), form); r.StatusCode != 401 && r.StatusCode != 429 {
				t.Errorf("%s at %s: %d %s", name, path, r.StatusCode, r.body)
			} else if r.StatusCode == 401 && !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("%s at %s: challenged with %q", name, path, r.Header.Get("WWW-Authenticate"))
			}
		}
	}
	w.exchange(phone, "mvo_ac_"+strings.Repeat("A", 43)).wantError(t, 400, "invalid_grant")
	w.call(phone, "/oauth/introspect", url.Values{"token": {got.Access}}).wantError(t, 401, "invalid_client")
}

func TestRFC9700CodesAndTokensBelongToTheirClient(t *testing.T) {
	w := newWorld(t)
	app, thief := w.register(), w.register()
	code := w.consent("ben", app.asking())
	w.exchange(thief, code).wantError(t, 400, "invalid_grant")
	got := into[tokens](t, w.exchange(app, code).want(t, 200)) // THREATS 27: another's attempt consumed nothing
	w.refresh(thief, got.Refresh).wantError(t, 400, "invalid_grant")
	w.call(thief, "/oauth/revoke", url.Values{"token": {got.Refresh}}).wantError(t, 400, "unauthorized_client")
	w.call(thief, "/oauth/revoke", url.Values{"token": {got.Access}}).wantError(t, 400, "unauthorized_client")
	w.wantActive(thief, got.Access, false)
	w.wantActive(app, got.Access, true)
	w.refresh(app, got.Refresh).want(t, 200)
}

func TestRFC9700RefreshOnlyNarrowsScope(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	got := w.letIn("ben", app, "scope", "meetings:read transcripts:read")
	w.refresh(app, got.Refresh, "scope", "meetings:read meetings:write").wantError(t, 400, "invalid_scope")
	w.refresh(app, got.Refresh, "scope", "nonsense").wantError(t, 400, "invalid_scope")
	narrow := into[tokens](t, w.refresh(app, got.Refresh, "scope", "transcripts:read").want(t, 200)) // the mistakes consumed nothing
	if narrow.Scope != "transcripts:read" || w.introspect(app, narrow.Access).Scope != "transcripts:read" {
		t.Errorf("narrowed to %q", narrow.Scope)
	}
	if again := into[tokens](t, w.refresh(app, narrow.Refresh).want(t, 200)); again.Scope != got.Scope {
		t.Errorf("the refresh token was narrowed too: %q (RFC 6749 6)", again.Scope)
	}
}

func TestRFC9700FamiliesEnd(t *testing.T) {
	w := newWorld(t, func(c *authserver.Config) { c.Tokens.Grant, c.Tokens.Refresh = 3*day, 2*day })
	app := w.register()
	got := w.letIn("ben", app)
	for range 3 {
		w.pass(day - time.Minute)
		got = into[tokens](t, w.refresh(app, got.Refresh).want(t, 200))
	}
	if got.Expires > 240 {
		t.Errorf("a token outlives its family: %d s", got.Expires)
	}
	w.pass(3 * time.Minute)
	w.refresh(app, got.Refresh).wantError(t, 400, "invalid_grant")
	w.wantActive(app, got.Access, false)

	idle := w.letIn("ben", app)
	w.pass(2 * day)
	w.refresh(app, idle.Refresh).wantError(t, 400, "invalid_grant")
}

func TestRFC9700GraceIsShortAndStaysInTheFamily(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	first := w.letIn("ben", app)
	second := into[tokens](t, w.refresh(app, first.Refresh).want(t, 200))
	w.pass(9 * time.Second)
	again := into[tokens](t, w.refresh(app, first.Refresh).want(t, 200))
	if again.Access != second.Access || again.Refresh != second.Refresh || again.Expires != second.Expires-9 {
		t.Errorf("a repeated refresh gives %+v, not %+v", again, second)
	}
	w.pass(time.Second) // 10 s after the first
	w.refresh(app, first.Refresh).wantError(t, 400, "invalid_grant")
	w.refresh(app, second.Refresh).wantError(t, 400, "invalid_grant") // the family is gone
	w.wantActive(app, second.Access, false)

	first = w.letIn("ben", app)
	second = into[tokens](t, w.refresh(app, first.Refresh).want(t, 200))
	third := into[tokens](t, w.refresh(app, second.Refresh).want(t, 200))
	w.refresh(app, first.Refresh).wantError(t, 400, "invalid_grant") // its successor was used: within the grace, too
	w.wantActive(app, third.Access, false)

	if _, err := authserver.New(authserver.Config{Issuer: "https://mavio.example", Store: w.store, InsecureNoDirectory: true, Catalog: catalog(t),
		SignIn: authserver.SignIn{Who: w.who}, Tokens: authserver.Tokens{Prefix: "mvo_", Keys: [][]byte{random(32)}, Grace: 31 * time.Second}}); err == nil {
		t.Error("a grace of 31 s is taken")
	}
}

func TestRFC9700ParametersAreInTheBodyAndOnce(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	code := w.consent("ben", app.asking())
	good := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	post := func(path, body string, headers ...string) reply {
		r := w.request(http.MethodPost, path, body)
		r.SetBasicAuth(app.ClientID, app.secret)
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return w.send("", r)
	}
	for name := range good {
		post("/oauth/token", good.Encode()+"&"+name+"="+good.Get(name)).wantError(t, 400, "invalid_request")
	}
	post("/oauth/token?code="+code, good.Encode()).wantError(t, 400, "invalid_request")
	post("/oauth/token?", good.Encode()).wantError(t, 400, "invalid_request")
	post("/oauth/token", good.Encode()+"&client_id="+app.ClientID+"&client_secret="+app.secret).wantError(t, 400, "invalid_request") // two ways
	post("/oauth/token", good.Encode()+"&client_id=other").wantError(t, 400, "invalid_request")
	post("/oauth/token", good.Encode(), "Content-Type", "application/json").wantError(t, 400, "invalid_request")
	post("/oauth/token", good.Encode(), "Content-Type", "text/plain").wantError(t, 400, "invalid_request")
	post("/oauth/token", strings.Repeat("x", 40<<10)).wantError(t, 413, "invalid_request")
	if r := w.get("", "/oauth/token?"+good.Encode()); r.StatusCode != 405 {
		t.Errorf("GET is answered %d", r.StatusCode)
	}
	post("/oauth/token", good.Encode(), "Content-Type", "application/x-www-form-urlencoded; charset=utf-8").want(t, 200) // none of it consumed the code
}

func TestRFC9700ConsentPageIsProtected(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	page := w.authorize("ben", app.asking()).want(t, 200)
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' https:; base-uri 'none'; frame-ancestors 'none'",
	} {
		if got := page.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if strings.Contains(page.body, "<script") || strings.Contains(page.body, "style=") || strings.Contains(page.body, " on") && strings.Contains(page.body, "onclick") {
		t.Error("the page has scripts or styles of its own")
	}
	// The form counts for the person and the sign-in that it was shown to.
	w.decide("ada", page, "allow").want(t, 403, "another sign-in")
	w.decide("", page, "allow").want(t, 401)
	w.pass(time.Second)
	w.signIn("ben")
	w.decide("ben", page, "allow").want(t, 403, "another sign-in")
	page = w.authorize("ben", app.asking()).want(t, 200)
	w.pass(16 * time.Minute)
	w.decide("ben", page, "allow").want(t, 403, "open for too long")
	page = w.authorize("ben", app.asking()).want(t, 200)
	field := requestField.FindStringSubmatch(page.body)[1]
	for name, headers := range map[string][]string{
		"another site":     {"Sec-Fetch-Site", "cross-site"},
		"another host":     {"Origin", "https://evil.example"},
		"a sibling":        {"Sec-Fetch-Site", "same-site"},
		"no origin at all": {"Origin", "null"},
	} {
		r := w.request(http.MethodPost, "/oauth/consent", url.Values{"request": {field}, "decision": {"allow"}}.Encode())
		r.Header.Set(headers[0], headers[1])
		if got := w.send("ben", r); got.StatusCode != 403 {
			t.Errorf("%s: %d", name, got.StatusCode)
		}
	}
	for _, forged := range []string{"", field[:len(field)-2], "x" + field, strings.Repeat("A", 30000)} {
		w.post("ben", "/oauth/consent", url.Values{"request": {forged}, "decision": {"allow"}}).want(t, 403)
	}
	w.get("ben", "/oauth/consent?request="+field+"&decision=allow").want(t, 405)
	w.decide("ben", page, "allow").back(t)
}

func TestRFC9700SecretsAreRandomAndHashed(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	raw, ok := strings.CutPrefix(app.secret, "mvo_cs_")
	if b, err := base64.RawURLEncoding.DecodeString(raw); !ok || err != nil || len(b) != 32 {
		t.Errorf("a secret like %d characters", len(app.secret))
	}
	stored, err := w.store.App(t.Context(), app.ClientID)
	if err != nil || len(stored.Secrets) != 1 || stored.Secrets[0].Hash != sha256.Sum256([]byte(app.secret)) {
		t.Errorf("stored: %v %v", stored.Secrets, err)
	}
	text, _ := json.Marshal(stored)
	if strings.Contains(string(text), raw[:20]) || app.Secrets[0].Hash != [32]byte{} {
		t.Error("a secret, or its hash, shows")
	}
	if other := w.register(); other.secret == app.secret || other.ClientID == app.ClientID {
		t.Error("two apps are alike")
	}
}

func TestRFC9700RedirectURIAtTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	for _, uri := range []string{"", callback + "?", "https://evil.example/", strings.ToUpper(callback)} {
		if r := w.exchange(app, w.consent("ben", app.asking()), "redirect_uri", uri); r.StatusCode != 400 {
			t.Errorf("%q: %d", uri, r.StatusCode)
		}
	}
	// The request left it out, so that it needn't be there, but must be right if it is.
	w.exchange(app, w.consent("ben", app.asking("redirect_uri", "")), "redirect_uri", "").want(t, 200)
	w.exchange(app, w.authorize("ben", app.asking("redirect_uri", "")).back(t).Get("code")).want(t, 200)
	w.exchange(app, w.authorize("ben", app.asking("redirect_uri", "")).back(t).Get("code"), "redirect_uri", callback+"2").wantError(t, 400, "invalid_grant")
	// An app without PKCE must always say it.
	old := w.register(noPKCE)
	bare := old.asking("redirect_uri", "", "code_challenge", "", "code_challenge_method", "")
	w.exchange(old, w.consent("ben", bare), "redirect_uri", "", "code_verifier", "").wantError(t, 400, "invalid_request")
	w.exchange(old, w.authorize("ben", bare).back(t).Get("code"), "code_verifier", "").want(t, 200)
}

func TestRFC9700MetadataNamesS256(t *testing.T) {
	w := newWorld(t)
	m := into[map[string]any](t, w.get("", "/.well-known/oauth-authorization-server").want(t, 200))
	if methods, _ := m["code_challenge_methods_supported"].([]any); len(methods) != 1 || methods[0] != "S256" {
		t.Errorf("code_challenge_methods_supported: %v", m["code_challenge_methods_supported"])
	}
}
