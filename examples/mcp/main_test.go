package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/strikeplate/strikeplate/storage"
)

const callback = "http://127.0.0.1:1/callback" // nobody listens: the test reads the redirect

func start(t *testing.T) *service {
	t.Helper()
	live := httptest.NewUnstartedServer(nil)
	s, err := newService(t.Context(), "http://"+live.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	live.Config.Handler = s.handler
	live.Start()
	t.Cleanup(s.close)
	t.Cleanup(live.Close)
	t.Cleanup(live.CloseClientConnections)
	return s
}

func connect(t *testing.T, transport *mcp.StreamableClientTransport) (*mcp.ClientSession, error) {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), transport, nil)
	if err == nil {
		t.Cleanup(func() { _ = session.Close() })
	}
	return session, err
}

// list calls the tool, and returns for whom it acted.
func list(t *testing.T, session *mcp.ClientSession) (string, error) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "list_meetings"})
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(result.StructuredContent)
	if err != nil {
		return "", err
	}
	if result.IsError {
		return "", fmt.Errorf("the tool failed: %s", text)
	}
	var m meetings
	return m.For, errors.Join(json.Unmarshal(text, &m), ifEmpty(&m))
}

func ifEmpty(m *meetings) error {
	if len(m.Meetings) == 0 {
		return errors.New("no meetings")
	}
	return nil
}

// browser is Ada, who signs in and lets the app in.
type browser struct {
	t    *testing.T
	base string
}

var requestField = regexp.MustCompile(`name="request" value="([^"]+)"`)

func (b browser) authorize(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	do := func(method, where string, form url.Values) (*http.Response, string) {
		r, err := http.NewRequestWithContext(ctx, method, where, strings.NewReader(form.Encode()))
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.base)
		resp, err := client.Do(r)
		if err != nil {
			b.t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		return resp, string(body)
	}
	resp, body := do(http.MethodGet, args.URL, nil)
	if !strings.Contains(body, "Sign in as Ada") {
		b.t.Fatalf("no sign-in page: %d %s", resp.StatusCode, body)
	}
	_, body = do(http.MethodPost, resp.Request.URL.String(), url.Values{"to": {resp.Request.URL.Query().Get("to")}})
	field := requestField.FindStringSubmatch(body)
	if field == nil || !strings.Contains(body, "List your meetings") {
		b.t.Fatalf("no consent page: %s", body)
	}
	resp, body = do(http.MethodPost, b.base+"/oauth/consent", url.Values{"request": {field[1]}, "decision": {"allow"}})
	back, err := resp.Location()
	if err != nil {
		return nil, fmt.Errorf("%w: %d %s", err, resp.StatusCode, body)
	}
	q := back.Query()
	return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
}

// The SDK's client knows the address alone. It finds the authorization server,
// registers, has Ada sign in, gets a token and calls the tool.
func TestClientFindsItsWay(t *testing.T) {
	s := start(t)
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			RedirectURIs: []string{callback}, ClientName: "Test", GrantTypes: []string{"authorization_code", "refresh_token"}, TokenEndpointAuthMethod: "none",
		}},
		AuthorizationCodeFetcher: browser{t, s.base}.authorize,
	})
	if err != nil {
		t.Fatal(err)
	}
	session, err := connect(t, &mcp.StreamableClientTransport{Endpoint: s.base + "/mcp", OAuthHandler: handler, MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := list(t, session); err != nil || who != "ada" {
		t.Fatalf("acted for %q, %v", who, err)
	}

	// The token is for this server, on behalf of Ada, and ends with her consent.
	source, err := handler.TokenSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.tokens.Verify(t.Context(), token.AccessToken, nil)
	if err != nil || p.Subject != "ada" || p.ClientID == "" || strings.Join(p.Scopes, " ") != "meetings:read" {
		t.Fatalf("%+v, %v", p, err)
	}
	ada := storage.Actor{User: "ada", Organisation: "acme", Role: "admin"}
	if n, err := s.apps.RevokeGrants(t.Context(), ada, "ada", p.ClientID, "tested"); n != 1 || err != nil {
		t.Fatalf("%d grants revoked, %v", n, err)
	}
	if resp := call(t, s, token.AccessToken); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("after the revocation: %d %s", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
	}
}

// A program has an API key, and no browser.
func TestAPIKey(t *testing.T) {
	s := start(t)
	session, err := connect(t, &mcp.StreamableClientTransport{Endpoint: s.base + "/mcp", HTTPClient: &http.Client{Transport: withKey(s.key)}, MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := list(t, session); err != nil || who != "acme" {
		t.Errorf("acted for %q, %v", who, err)
	}
	if _, err := connect(t, &mcp.StreamableClientTransport{Endpoint: s.base + "/mcp", HTTPClient: &http.Client{Transport: withKey(s.key + "x")}, MaxRetries: -1}); err == nil {
		t.Error("a wrong key was let in")
	}
}

// Without a credential the challenge tells where tokens come from, and nothing is
// wrong yet.
func TestChallenge(t *testing.T) {
	s := start(t)
	resp := call(t, s, "")
	challenge := resp.Header.Get("WWW-Authenticate")
	if resp.StatusCode != http.StatusUnauthorized || strings.Contains(challenge, "error") || !strings.Contains(challenge, `scope="meetings:read"`) ||
		!strings.Contains(challenge, `resource_metadata="`+s.base+`/.well-known/oauth-protected-resource/mcp"`) {
		t.Errorf("%d %s", resp.StatusCode, challenge)
	}
}

func call(t *testing.T, s *service, token string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

type withKey string

func (k withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(k))
	return http.DefaultTransport.RoundTrip(r)
}
