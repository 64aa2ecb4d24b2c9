package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

// THREATS 18: consent.

func TestThreat18ConfidentialAppsWithoutPKCE(t *testing.T) {
	w := newWorld(t)
	old := w.register(noPKCE)
	bare := []string{"code_challenge", "", "code_challenge_method", ""}
	if back := w.authorize("ben", old.asking(append(bare, "state", "")...)).back(t); back.Get("error") != "invalid_request" {
		t.Errorf("without state: back with %v", back)
	}
	if back := w.authorize("ben", w.register().asking(bare...)).back(t); back.Get("error") != "invalid_request" {
		t.Errorf("an app that wasn't registered for it: back with %v", back)
	}
	got := into[tokens](t, w.exchange(old, w.consent("ben", old.asking(bare...)), "code_verifier", "").want(t, 200))
	w.refresh(old, got.Refresh).want(t, 200)
	w.exchange(old, w.consent("ben", old.asking(bare...)), "code_verifier", "", "redirect_uri", "").wantError(t, 400, "invalid_request")
	// If it sends a challenge all the same, it counts.
	w.exchange(old, w.consent("ben", old.asking()), "code_verifier", "").wantError(t, 400, "invalid_grant")
	w.exchange(old, w.consent("ben", old.asking())).want(t, 200)
}

func TestThreat18ClientCredentialsAreOffByDefault(t *testing.T) {
	w := newWorld(t)
	ask := func(a registered, scope string) reply {
		return w.call(a, "/oauth/token", with(url.Values{"grant_type": {"client_credentials"}}, "scope", scope))
	}
	ask(w.register(), "meetings:read").wantError(t, 400, "unauthorized_client")
	ask(w.register(public), "meetings:read").wantError(t, 400, "unauthorized_client")
	app := w.register(machine)
	ask(app, "").wantError(t, 400, "invalid_scope")
	ask(app, "action_items:write").wantError(t, 400, "invalid_scope")
	ask(registered{App: app.App}, "meetings:read").wantError(t, 401, "invalid_client")
	got := into[tokens](t, ask(app, "meetings:read").want(t, 200))
	if k := w.introspect(app, got.Access); got.Refresh != "" || k.Org != "org" || k.AuthTime != 0 {
		t.Errorf("%+v %+v", got, k)
	}
}

func TestThreat18OmittedScopeIsNeverAll(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	for _, scope := range []string{"", "nonsense", "meetings:read  meetings:write", "*", "meetings:*", "action_items:write"} {
		if back := w.authorize("ben", app.asking("scope", scope)).back(t); back.Get("error") != "invalid_scope" {
			t.Errorf("scope %q: back with %v", scope, back)
		}
	}
}

func TestThreat18UnverifiedAppsAreSaidToBe(t *testing.T) {
	w := newWorld(t, func(c *authserver.Config) {
		c.Clients.Registration = &authserver.Registration{Scopes: []string{"meetings:read"}}
	})
	dynamic := w.registerItself(`{"client_name":"Mavio Support","redirect_uris":["https://evil.example/x"]}`)
	w.authorize("ben", dynamic.asking()).want(t, 200, "Nobody has checked who makes this app", "evil.example")
	app := w.register()
	w.authorize("ben", app.asking()).want(t, 200, "Your organisation registered this app")
	w.authorize("mallory", app.asking()).want(t, 200, "It is not one of yours", "Analytical Engines")
}

// THREATS 27: codes and tokens.

func TestThreat27BindingIsCheckedBeforeAnythingIsConsumed(t *testing.T) {
	w := newWorld(t)
	app, thief := w.register(), w.register(public)
	code := w.consent("ben", app.asking())
	w.exchange(thief, code).wantError(t, 400, "invalid_grant")
	w.exchange(registered{App: app.App}, code).wantError(t, 401, "invalid_client")
	got := into[tokens](t, w.exchange(app, code).want(t, 200))
	// Not even a code that is known to be used revokes anything for somebody else.
	w.exchange(thief, code).wantError(t, 400, "invalid_grant")
	next := into[tokens](t, w.refresh(app, got.Refresh).want(t, 200))
	w.pass(time.Minute)
	w.refresh(thief, got.Refresh).wantError(t, 400, "invalid_grant") // rotated, and not theirs
	w.wantActive(app, next.Access, true)
}

func TestThreat27SignedTokensEndWithTheirGrant(t *testing.T) {
	w := newWorld(t, signing(newKey(t, "ES256")))
	app := w.register()
	got := w.letIn("ben", app)
	api := w.api(w.issuer)
	if status, _ := w.whoami(api, got.Access); status != 200 {
		t.Fatalf("the API answers %d", status)
	}
	w.call(app, "/oauth/revoke", url.Values{"token": {got.Refresh}}).want(t, 200)
	if status, _ := w.whoami(api, got.Access); status != 401 {
		t.Errorf("after the grant was revoked the API answers %d", status)
	}
	w.wantActive(app, got.Access, false)
}

func TestThreat27IntrospectionIsForTheAudience(t *testing.T) {
	const files = "https://files.mavio.example"
	var resourceServer, stranger registered
	w := newWorld(t, func(c *authserver.Config) {
		c.Audiences.More = []string{files}
		c.Audiences.Introspectors = map[string][]string{}
		c.Audiences.Introspector = func(r *http.Request) ([]string, error) {
			if r.Header.Get("X-Test-Server") == "files" {
				return []string{files}, nil
			}
			return nil, nil
		}
	})
	app := w.register()
	stranger = w.register()
	own := w.letIn("ben", app)
	theirs := into[tokens](t, w.exchange(app, w.consent("ben", app.asking("resource", files))).want(t, 200))
	for _, token := range []string{own.Access, own.Refresh, theirs.Access, "", "mvo_at_" + strings.Repeat("A", 43), "nonsense"} {
		if r := w.call(stranger, "/oauth/introspect", url.Values{"token": {token}}); token != "" && strings.TrimSpace(r.body) != `{"active":false}` {
			t.Errorf("a stranger is told %s", r.body)
		}
	}
	ask := func(token string) known {
		return into[known](t, w.call(registered{}, "/oauth/introspect", url.Values{"token": {token}}, "X-Test-Server", "files").want(t, 200))
	}
	if got := ask(theirs.Access); !got.Active || got.Subject != "user_ben" || got.Client != app.ClientID || got.Issuer != w.issuer {
		t.Errorf("its resource server is told %+v", got)
	}
	if ask(own.Access).Active || ask(theirs.Refresh).Active {
		t.Error("a resource server is told of what isn't for it")
	}
	if !w.introspect(app, own.Refresh).Active {
		t.Error("the app isn't told of its own refresh token")
	}
	_ = resourceServer
}

func TestIntrospectorsThatAreApps(t *testing.T) {
	introspectors := map[string][]string{}
	w := newWorld(t, func(c *authserver.Config) { c.Audiences.Introspectors = introspectors })
	app, gateway := w.register(), w.register()
	introspectors[gateway.ClientID] = []string{w.issuer}
	got := w.letIn("ben", app)
	if !w.introspect(gateway, got.Access).Active || w.introspect(gateway, got.Refresh).Active {
		t.Error("the gateway is not told what it should be")
	}
}

// Secrets are 256 bits, so guessing is hopeless; this bounds the work.
func TestWrongSecretsAreSlowedDownPerClientAndAddress(t *testing.T) {
	w := newWorld(t)
	app, other := w.register(), w.register()
	wrong := registered{app.App, "mvo_cs_wrong"}
	for range 10 {
		w.call(wrong, "/oauth/introspect", url.Values{"token": {"x"}}).wantError(t, 401, "invalid_client")
	}
	r := w.call(wrong, "/oauth/introspect", url.Values{"token": {"x"}}).wantError(t, 429, "slow_down")
	if r.Header.Get("Retry-After") == "" {
		t.Error("it isn't said for how long")
	}
	w.call(other, "/oauth/introspect", url.Values{"token": {"x"}}).want(t, 200) // from the same address
}

func TestCrossOriginCalls(t *testing.T) {
	w := newWorld(t)
	app := w.register(public, func(a *storage.App) { a.Origins = []string{"https://spa.example"} })
	preflight := func(origin, method string) reply {
		r := w.request(http.MethodOptions, "/oauth/token", "")
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", method)
		return w.send("", r).want(t, 204)
	}
	if got := preflight("https://spa.example", "POST").Header; got.Get("Access-Control-Allow-Origin") != "https://spa.example" || got.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %v", got)
	}
	for _, bad := range [][]string{{"null", "POST"}, {"http://spa.example", "POST"}, {"https://spa.example", "DELETE"}, {"*", "POST"}} {
		if got := preflight(bad[0], bad[1]).Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%v is allowed %q", bad, got)
		}
	}
	code := w.consent("ben", app.asking())
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	r := w.call(app, "/oauth/token", form, "Origin", "https://evil.example").wantError(t, 400, "unauthorized_client")
	if r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another site may read the refusal")
	}
	r = w.call(app, "/oauth/token", form, "Origin", "https://spa.example").want(t, 200) // nothing was consumed
	if r.Header.Get("Access-Control-Allow-Origin") != "https://spa.example" || r.Header.Get("Vary") != "Origin" {
		t.Errorf("with %v", r.Header)
	}
	confidential := w.register()
	if r := w.call(confidential, "/oauth/revoke", url.Values{"token": {"x"}}, "Origin", "https://spa.example").want(t, 200); r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a page may use a confidential app's secret")
	}
	if got := w.get("", "/.well-known/oauth-authorization-server").Header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("metadata is for %q", got)
	}
}
