package authserver_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

// api is a service that accepts the server's tokens, as package oauth checks them.
func (w *world) api(resource string) string {
	w.Helper()
	r := made(oauth.NewResource(oauth.ResourceConfig{
		Identifier: resource, InsecureHTTP: true, Catalog: catalog(w), Directory: w.store.(storage.Directory), Now: w.clock,
	}))(w)
	opaque := made(oauth.NewOpaque(oauth.OpaqueConfig{Resource: r, Grants: w.store, Prefix: "mvo_", Machines: strikeplate.OrganisationFull}))(w)
	authenticators := []strikeplate.Authenticator{opaque}
	if w.signing {
		authenticators = append(authenticators, made(oauth.NewJWT(oauth.JWTConfig{
			Resource: r, Issuers: []oauth.Issuer{{URL: w.issuer, InsecureHTTP: true, Grants: w.store, Trust: oauth.Trust{InsecureAnyOrganisation: true, Machines: strikeplate.OrganisationFull}}},
		}))(w))
	}
	handler := strikeplate.Require(authenticators[0], authenticators[1:]...)(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p, _ := strikeplate.FromContext(r.Context())
		_ = json.NewEncoder(rw).Encode(p)
	}))
	s := httptest.NewServer(handler)
	w.Cleanup(func() {
		s.Close()
		_ = r.Close(context.Background())
	})
	return s.URL
}

func (w *world) whoami(api, token string) (int, strikeplate.Principal) {
	w.Helper()
	r := w.request(http.MethodGet, api, "")
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	var p strikeplate.Principal
	if res.StatusCode == 200 {
		if err := json.Unmarshal(text, &p); err != nil {
			w.Fatal(err)
		}
	}
	return res.StatusCode, p
}

// 000-25: what a token of the own server is at the API.
func TestTokensAtTheAPI(t *testing.T) {
	for name, change := range map[string]func(*authserver.Config){
		"opaque": func(*authserver.Config) {}, "at+jwt": signing(newKey(t, "ES256")),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change)
			api := w.api(w.issuer)
			app := w.register(machine)
			got := w.letIn("ben", app, "scope", "meetings:read transcripts:read")
			status, p := w.whoami(api, got.Access)
			want := strikeplate.Principal{
				Kind: strikeplate.KindToken, Environment: strikeplate.Live, Access: strikeplate.UserFull, Expires: p.Expires, Credential: p.Credential,
				Lineage: p.Lineage, ClientID: app.ClientID, Organisation: "org", Subject: "user_ben", Plan: "team", Scopes: []string{"meetings:read", "transcripts:read"},
			}
			if diff := cmp.Diff(want, p); diff != "" || status != 200 || !strings.HasPrefix(p.Lineage, "grant_") {
				t.Fatalf("%d %s", status, diff)
			}
			next := into[tokens](t, w.refresh(app, got.Refresh).want(t, 200))
			if status, again := w.whoami(api, next.Access); status != 200 || again.Lineage != p.Lineage || again.Credential == p.Credential {
				t.Errorf("refreshed: %d %+v", status, again)
			}
			repeated := into[tokens](t, w.refresh(app, got.Refresh).want(t, 200))
			if status, _ := w.whoami(api, repeated.Access); status != 200 || repeated.Refresh != next.Refresh {
				t.Errorf("repeated: %d", status)
			}

			w.call(app, "/oauth/revoke", url.Values{"token": {next.Access}}).want(t, 200)
			if status, _ := w.whoami(api, next.Access); status != 401 {
				t.Errorf("a revoked access token: %d", status)
			}
			if status, _ := w.whoami(api, got.Access); status != 200 {
				t.Errorf("the one before it: %d", status)
			}
			// A narrower registration narrows what was granted before.
			update := app.App
			update.Scopes = []string{"transcripts:read"}
			if _, err := w.server.UpdateApp(t.Context(), people["ada"], update); err != nil {
				t.Fatal(err)
			}
			if status, p := w.whoami(api, got.Access); status != 200 || !slices.Equal(p.Scopes, update.Scopes) {
				t.Errorf("narrowed: %d %v", status, p.Scopes)
			}
			own := into[tokens](t, w.call(app, "/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"transcripts:read"}}).want(t, 200))
			if status, p := w.whoami(api, own.Access); status != 200 || p.Subject != "" || p.Access != strikeplate.OrganisationFull || p.Organisation != "org" {
				t.Errorf("for itself: %d %+v", status, p)
			}
			if n, err := w.server.RevokeGrants(t.Context(), people["ben"], "user_ben", app.ClientID, ""); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if status, _ := w.whoami(api, got.Access); status != 401 {
				t.Errorf("after the user revoked: %d", status)
			}
			w.refresh(app, next.Refresh).wantError(t, 400, "invalid_grant")
			if status, _ := w.whoami(api, own.Access); status != 200 {
				t.Errorf("for itself, after the user revoked: %d", status)
			}
		})
	}
}

func TestDeactivatingAUserEndsTheirTokens(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	got := w.letIn("ben", app)
	ben := directory[1]
	put := func(active bool) {
		t.Helper()
		ben.Active = active
		if err := w.store.(storage.EditableDirectory).PutUser(t.Context(), ben); err != nil {
			t.Fatal(err)
		}
	}
	put(false)
	if status, _ := w.whoami(w.api(w.issuer), got.Access); status != 401 {
		t.Errorf("the API answers %d", status)
	}
	w.wantActive(app, got.Access, false)
	w.refresh(app, got.Refresh).wantError(t, 400, "invalid_grant")
	w.authorize("ben", app.asking()).want(t, 403, "deactivated")
	put(true)
	w.refresh(app, got.Refresh).want(t, 200) // as with keys: nothing was revoked
}

func newKey(t testing.TB, algorithm string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signing(key crypto.Signer) func(*authserver.Config) {
	return func(c *authserver.Config) {
		c.Tokens.Signing = &authserver.Signing{Keys: []authserver.SigningKey{{ID: "first", Key: key}}}
	}
}

// claimsOf reads a JWT without checking it.
func claimsOf(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %s", token)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// RFC 9068, as each kind of key signs it.
func TestSignedTokens(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			w := newWorld(t, signing(newKey(t, algorithm)))
			app := w.register()
			got := w.letIn("ben", app)
			header, claims := claimsOf(t, got.Access)
			if diff := cmp.Diff(map[string]any{"alg": algorithm, "typ": "at+jwt", "kid": "first"}, header); diff != "" {
				t.Error(diff)
			}
			now := float64(w.clock().Unix())
			want := map[string]any{
				"iss": w.issuer, "sub": "user_ben", "aud": []any{w.issuer}, "client_id": app.ClientID, "scope": "meetings:read", "org_id": "org",
				"iat": now, "exp": now + 3600, "auth_time": now, "jti": claims["jti"],
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Error(diff)
			}
			if status, _ := w.whoami(w.api(w.issuer), got.Access); status != 200 {
				t.Errorf("the API answers %d", status)
			}
			known := w.introspect(app, got.Access)
			if !known.Active || known.ID != claims["jti"] {
				t.Errorf("introspected: %+v", known)
			}
			parts := strings.Split(got.Access, ".")
			w.wantActive(app, parts[0]+"."+parts[1]+"."+base64.RawURLEncoding.EncodeToString(random(64)), false)
			w.wantActive(app, "mvo_at_"+claims["jti"].(string), false) // the name of a token is no token
			w.call(app, "/oauth/revoke", url.Values{"token": {got.Access}}).want(t, 200)
			w.wantActive(app, got.Access, false)
		})
	}
}

func TestSigningKeysRotateWithOverlap(t *testing.T) {
	old, next := newKey(t, "ES256"), newKey(t, "EdDSA")
	w := newWorld(t, signing(old))
	app := w.register()
	kid := func(token string) string {
		header, _ := claimsOf(t, token)
		id, _ := header["kid"].(string)
		return id
	}
	published := func() (ids []string) {
		set := into[struct{ Keys []map[string]any }](t, w.get("", "/oauth/jwks.json").want(t, 200))
		for _, k := range set.Keys {
			if _, private := k["d"]; private {
				t.Error("a private key is published")
			}
			ids = append(ids, k["kid"].(string))
		}
		return ids
	}
	before := w.letIn("ben", app)
	now := w.clock()
	if err := w.server.SetSigningKeys(
		authserver.SigningKey{ID: "first", Key: old, Until: now.Add(2 * time.Hour)},
		authserver.SigningKey{ID: "second", Key: next, From: now.Add(10 * time.Minute)},
	); err != nil {
		t.Fatal(err)
	}
	if got := kid(into[tokens](t, w.refresh(app, before.Refresh).want(t, 200)).Access); got != "first" || len(published()) != 2 {
		t.Errorf("signed by %s, published %v", got, published())
	}
	w.pass(11 * time.Minute)
	after := w.letIn("ben", app)
	if kid(after.Access) != "second" || len(published()) != 2 {
		t.Errorf("signed by %s, published %v", kid(after.Access), published())
	}
	w.wantActive(app, before.Access, true)
	w.pass(2 * time.Hour)
	if got := published(); !slices.Equal(got, []string{"second"}) {
		t.Errorf("published %v", got)
	}
	for name, keys := range map[string][]authserver.SigningKey{
		"none": nil, "twice": {{ID: "a", Key: old}, {ID: "a", Key: next}}, "unnamed": {{Key: old}}, "missing": {{ID: "a"}},
		"later": {{ID: "a", Key: old, From: w.clock().Add(time.Hour)}}, "P-384": {{ID: "a", Key: made(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)}},
		"short": {{ID: "a", Key: made(rsa.GenerateKey(rand.Reader, 1024))(t)}},
	} {
		if err := w.server.SetSigningKeys(keys...); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

func TestAudiences(t *testing.T) {
	const other = "https://files.mavio.example"
	w := newWorld(t, func(c *authserver.Config) { c.Audiences.More = []string{other} })
	own, files := w.api(w.issuer), w.api(other)
	app := w.register()
	for name, c := range map[string]struct {
		ask            []string
		atOwn, atFiles int
		audience       []string
	}{
		"none": {nil, 200, 401, []string{w.issuer}}, "own": {[]string{w.issuer}, 200, 401, []string{w.issuer}},
		"files": {[]string{other}, 401, 200, []string{other}}, "both": {[]string{other, w.issuer}, 200, 200, []string{other, w.issuer}},
	} {
		v := app.asking()
		v["resource"] = c.ask
		got := into[tokens](t, w.exchange(app, w.consent("ben", v)).want(t, 200))
		if at, _ := w.whoami(own, got.Access); at != c.atOwn {
			t.Errorf("%s: the own API answers %d", name, at)
		}
		if at, _ := w.whoami(files, got.Access); at != c.atFiles {
			t.Errorf("%s: the other API answers %d", name, at)
		}
		if k := w.introspect(app, got.Access); !slices.Equal(k.Audience, c.audience) {
			t.Errorf("%s: for %v", name, k.Audience)
		}
	}
	v := app.asking()
	v["resource"] = []string{other, w.issuer}
	got := into[tokens](t, w.exchange(app, w.consent("ben", v), "resource", other).want(t, 200)) // narrower than granted (RFC 8707 2.2)
	if k := w.introspect(app, got.Access); !slices.Equal(k.Audience, []string{other}) {
		t.Errorf("narrowed to %v", k.Audience)
	}
	got = into[tokens](t, w.refresh(app, got.Refresh, "resource", w.issuer).want(t, 200))
	if k := w.introspect(app, got.Access); !slices.Equal(k.Audience, []string{w.issuer}) {
		t.Errorf("then to %v", k.Audience)
	}
	narrow := into[tokens](t, w.exchange(app, w.consent("ben", app.asking("resource", other))).want(t, 200))
	w.refresh(app, narrow.Refresh, "resource", w.issuer).wantError(t, 400, "invalid_target")
	for _, bad := range []string{"https://evil.example", "files", other + "#x", other + "/"} {
		if back := w.authorize("ben", app.asking("resource", bad)).back(t); back.Get("error") != "invalid_target" {
			t.Errorf("%s: back with %v", bad, back)
		}
	}
}
