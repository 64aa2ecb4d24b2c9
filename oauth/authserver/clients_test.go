package authserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/strikeplate/strikeplate/internal/processtest"
	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

// Clients that others wrote, as they are.

// xOAuth2 is an app made with golang.org/x/oauth2: its callback checks what apps
// have to.
type xOAuth2 struct {
	oauth2.Config
	issuer, state, verifier string
}

var errForged = errors.New("not the answer to what this app asked")

func (a *xOAuth2) callback(ctx context.Context, v url.Values) (*oauth2.Token, error) {
	if v.Get("state") != a.state || v.Get("iss") != a.issuer {
		return nil, errForged
	}
	return a.Exchange(ctx, v.Get("code"), oauth2.VerifierOption(a.verifier))
}

func TestXOAuth2(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		kind  func(*storage.App)
		style oauth2.AuthStyle
	}{
		"basic": {func(*storage.App) {}, oauth2.AuthStyleInHeader}, "post": {func(*storage.App) {}, oauth2.AuthStyleInParams},
		"detected": {func(*storage.App) {}, oauth2.AuthStyleAutoDetect}, "public": {public, oauth2.AuthStyleInParams},
	} {
		t.Run(name, func(t *testing.T) {
			app := w.register(c.kind)
			begin := func() (*xOAuth2, url.Values) {
				a := &xOAuth2{issuer: w.issuer, state: oauth2.GenerateVerifier(), verifier: oauth2.GenerateVerifier(), Config: oauth2.Config{
					ClientID: app.ClientID, ClientSecret: app.secret, RedirectURL: callback, Scopes: []string{"meetings:read", "transcripts:read"},
					Endpoint: oauth2.Endpoint{AuthURL: w.issuer + "/oauth/authorize", TokenURL: w.issuer + "/oauth/token", AuthStyle: c.style},
				}}
				r := w.get("ben", a.AuthCodeURL(a.state, oauth2.S256ChallengeOption(a.verifier)))
				if r.StatusCode == http.StatusOK {
					r = w.decide("ben", r, "allow")
				}
				return a, r.back(t)
			}
			a, back := begin()
			token, err := a.callback(t.Context(), back)
			if err != nil || token.Type() != "Bearer" || time.Until(token.Expiry) < 50*time.Minute {
				t.Fatalf("%+v: %v", token, err)
			}
			expired := *token
			expired.Expiry = time.Now().Add(-time.Minute)
			next, err := a.TokenSource(t.Context(), &expired).Token()
			if err != nil || next.AccessToken == token.AccessToken || next.RefreshToken == token.RefreshToken {
				t.Fatalf("%+v: %v", next, err)
			}
			w.call(app, "/oauth/revoke", url.Values{"token": {next.RefreshToken}}).want(t, 200)
			next.Expiry = expired.Expiry
			_, err = a.TokenSource(t.Context(), next).Token()
			wantCode(t, err, "invalid_grant")

			a, back = begin()
			back.Set("state", "guessed")
			if _, err := a.callback(t.Context(), back); !errors.Is(err, errForged) {
				t.Errorf("a wrong state: %v", err)
			}
			a, back = begin()
			back.Set("iss", "https://evil.example")
			if _, err := a.callback(t.Context(), back); !errors.Is(err, errForged) {
				t.Errorf("a wrong iss: %v", err)
			}
			a, back = begin()
			a.verifier = oauth2.GenerateVerifier()
			_, err = a.callback(t.Context(), back)
			wantCode(t, err, "invalid_grant")
		})
	}
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.ErrorCode != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestXOAuth2ClientCredentials(t *testing.T) {
	w := newWorld(t)
	app := w.register(machine)
	c := clientcredentials.Config{ClientID: app.ClientID, ClientSecret: app.secret, TokenURL: w.issuer + "/oauth/token", Scopes: []string{"meetings:read"}}
	token, err := c.Token(t.Context())
	if err != nil || token.RefreshToken != "" {
		t.Fatalf("%+v: %v", token, err)
	}
	if got := w.introspect(app, token.AccessToken); got.Subject != app.ClientID || got.Org != "org" || got.Scope != "meetings:read" {
		t.Errorf("it is for %+v", got)
	}
	other := w.register()
	c.ClientID, c.ClientSecret = other.ClientID, other.secret
	_, err = c.Token(t.Context())
	wantCode(t, err, "unauthorized_client")
}

// node runs a script of internal/npm.
func node(t *testing.T, script string, setting any) {
	t.Helper()
	directory := filepath.Join("..", "..", "internal", "npm")
	if _, err := os.Stat(filepath.Join(directory, "node_modules", "oauth4webapi")); err != nil {
		processtest.GiveUp(t, "npm", processtest.MissingError{Text: "the npm clients are missing: make npm"})
	}
	program, err := exec.LookPath("node")
	if err != nil {
		processtest.GiveUp(t, "npm", processtest.MissingError{Text: "Node.js is missing: apt-get install nodejs"})
	}
	text, err := json.Marshal(setting)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, program, script, string(text))
	run.Dir = directory
	out, err := run.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "ok\n") {
		t.Fatalf("%v\n%s", err, out)
	}
}

type nodeApp struct {
	ClientID    string `json:"client_id"`
	Secret      string `json:"client_secret,omitempty"`
	RedirectURI string `json:"redirect_uri"`
	Post        bool   `json:"post,omitempty"`
	Machine     bool   `json:"machine,omitempty"`
}

func (w *world) nodeApps() []nodeApp {
	w.Helper()
	app, phone := w.register(machine), w.register(public)
	return []nodeApp{
		{app.ClientID, app.secret, callback, false, true}, {app.ClientID, app.secret, callback, true, true}, {phone.ClientID, "", callback, false, false},
	}
}

func TestOpenIDClient(t *testing.T) {
	for name, change := range map[string]func(*authserver.Config){
		"bearer": func(*authserver.Config) {}, "DPoP": func(c *authserver.Config) { c.Tokens.DPoP = &oauth.DPoPConfig{RequireNonce: true} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change)
			node(t, "openid-client.mjs", map[string]any{"issuer": w.issuer, "apps": w.nodeApps(), "visitor": "ben", "dpop": name == "DPoP"})
		})
	}
}

func TestOAuth4WebAPI(t *testing.T) {
	w := newWorld(t)
	node(t, "oauth4webapi.mjs", map[string]any{"issuer": w.issuer, "apps": w.nodeApps(), "visitor": "ben"})
}
