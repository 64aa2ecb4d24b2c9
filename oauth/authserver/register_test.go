package authserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

func (w *world) postJSON(path, body string) reply {
	w.Helper()
	r := w.request(http.MethodPost, path, body)
	r.Header.Set("Content-Type", "application/json")
	return w.send("", r)
}

// registerItself registers as RFC 7591 has it.
func (w *world) registerItself(metadata string) registered {
	w.Helper()
	got := into[struct {
		ID     string   `json:"client_id"`
		Secret string   `json:"client_secret"`
		URIs   []string `json:"redirect_uris"`
	}](w, w.postJSON("/oauth/register", metadata).want(w, http.StatusCreated))
	return registered{storage.App{ClientID: got.ID, RedirectURIs: got.URIs}, got.Secret}
}

func TestDynamicRegistration(t *testing.T) {
	allow := func(r *http.Request) error {
		if r.Header.Get("Authorization") == "Bearer bad" {
			return &strikeplate.Error{Status: 401, Code: "invalid_token", Message: "No."}
		}
		return nil
	}
	w := newWorld(t, func(c *authserver.Config) {
		c.Clients.Registration = &authserver.Registration{Scopes: []string{"meetings:read", "transcripts:read"}, Confidential: true, Allow: allow}
	})
	public := w.registerItself(`{"client_name":"CLI","redirect_uris":["http://127.0.0.1/cb"],"token_endpoint_auth_method":"none","scope":"meetings:read","unknown":{"a":1}}`)
	if public.secret != "" {
		t.Error("a public app has a secret")
	}
	got := w.letIn("ben", public, "redirect_uri", "http://127.0.0.1/cb")
	if back := w.authorize("ben", public.asking("scope", "transcripts:read")).back(t); back.Get("error") != "invalid_scope" {
		t.Errorf("beyond its own scopes: back with %v", back)
	}
	w.refresh(public, got.Refresh).want(t, 200)
	secret := w.registerItself(`{"client_name":"Web","redirect_uris":["https://web.example/cb"]}`)
	if !strings.HasPrefix(secret.secret, "mvo_cs_") {
		t.Errorf("a confidential app has %q", secret.secret)
	}
	w.letIn("ben", secret)
	for name, c := range map[string]struct{ metadata, want string }{
		"no redirect":    {`{"client_name":"x"}`, "invalid_redirect_uri"},
		"http":           {`{"client_name":"x","redirect_uris":["http://evil.example/"]}`, "invalid_redirect_uri"},
		"no name":        {`{"redirect_uris":["https://web.example/"]}`, "invalid_client_metadata"},
		"a scope":        {`{"client_name":"x","redirect_uris":["https://web.example/"],"scope":"meetings:write"}`, "invalid_client_metadata"},
		"implicit":       {`{"client_name":"x","redirect_uris":["https://web.example/"],"response_types":["token"]}`, "invalid_client_metadata"},
		"password":       {`{"client_name":"x","redirect_uris":["https://web.example/"],"grant_types":["password"]}`, "invalid_client_metadata"},
		"itself":         {`{"client_name":"x","redirect_uris":["https://web.example/"],"grant_types":["client_credentials"]}`, "invalid_client_metadata"},
		"an assertion":   {`{"client_name":"x","redirect_uris":["https://web.example/"],"token_endpoint_auth_method":"private_key_jwt"}`, "invalid_client_metadata"},
		"twice":          {`{"client_name":"x","client_name":"y","redirect_uris":["https://web.example/"]}`, "invalid_client_metadata"},
		"no JSON":        {`{`, "invalid_client_metadata"},
		"a list":         {`[]`, "invalid_client_metadata"},
		"a wrong type":   {`{"client_name":7,"redirect_uris":["https://web.example/"]}`, "invalid_client_metadata"},
		"another's home": {`{"client_name":"x","client_uri":"http://x","redirect_uris":["https://web.example/"]}`, "invalid_client_metadata"},
	} {
		r := w.postJSON("/oauth/register", c.metadata)
		if r.StatusCode != 400 || !strings.Contains(r.body, `"`+c.want+`"`) {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
	r := w.request(http.MethodPost, "/oauth/register", `{}`)
	r.Header.Set("Authorization", "Bearer bad")
	w.send("", r).wantError(t, 401, "invalid_token")
}

func TestDynamicRegistrationIsOffAndBounded(t *testing.T) {
	newWorld(t).postJSON("/oauth/register", `{}`).want(t, 404)
	w := newWorld(t, func(c *authserver.Config) {
		c.Clients.Registration = &authserver.Registration{Scopes: []string{"meetings:read"}}
	})
	good := `{"client_name":"x","redirect_uris":["https://web.example/"]}`
	w.postJSON("/oauth/register", strings.Replace(good, "{", `{"token_endpoint_auth_method":"client_secret_basic",`, 1)).wantError(t, 400, "invalid_client_metadata")
	for range 4 {
		w.postJSON("/oauth/register", good).want(t, 201)
	}
	w.postJSON("/oauth/register", good).wantError(t, 429, "slow_down")
}
