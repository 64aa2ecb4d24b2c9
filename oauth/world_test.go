package oauth_test

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
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

const api = "https://api.example.com/v1"

// Keys are made once: RSA takes its time.
var (
	rsaKey, _     = rsa.GenerateKey(rand.Reader, 2048)
	otherRSA, _   = rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _      = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384Key, _    = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, edKey, _   = ed25519.GenerateKey(rand.Reader)
	_, otherEd, _ = ed25519.GenerateKey(rand.Reader)
)

// claims of a token; a nil value removes one.
type claims map[string]any

// server is an authorization server: its keys, its metadata, and counters.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	keys     []jose.JSONWebKey
	broken   atomic.Bool
	fetches  atomic.Int64
	metadata atomic.Int64
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{keys: []jose.JSONWebKey{
		{Key: rsaKey.Public(), KeyID: "rsa", Algorithm: "RS256", Use: "sig"},
		{Key: ecKey.Public(), KeyID: "ec", Algorithm: "ES256", Use: "sig"},
		{Key: edKey.Public(), KeyID: "ed", Algorithm: "EdDSA", Use: "sig"},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		if s.broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: s.published()})
	})
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, r *http.Request) {
		s.metadata.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL, "jwks_uri": s.URL + "/jwks"})
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) published() []jose.JSONWebKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]jose.JSONWebKey(nil), s.keys...)
}

func (s *server) publish(keys ...jose.JSONWebKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

// issuer is how the server is configured.
func (s *server) issuer() oauth.Issuer {
	return oauth.Issuer{URL: s.URL, InsecureHTTP: true, Trust: oauth.Trust{Organisations: []string{"acme"}}}
}

// claims are those of a good token.
func (s *server) claims(change claims) claims {
	now := time.Now()
	c := claims{"iss": s.URL, "sub": "ada", "aud": api, "client_id": "app", "jti": rand.Text(), "org_id": "acme",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "meetings:read meetings:write"}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token is signed with RS256.
func (s *server) token(t testing.TB, change claims) string {
	t.Helper()
	return sign(t, "RS256", rsaKey, header{"kid": "rsa"}, s.claims(change))
}

type header map[string]any

// sign makes an at+jwt with go-jose, which is not what checks it. A nil value in h
// removes a parameter.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, h header, c any) string {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return signBytes(t, alg, key, h, payload)
}

func signBytes(t testing.TB, alg jose.SignatureAlgorithm, key any, h header, payload []byte) string {
	t.Helper()
	options := &jose.SignerOptions{}
	all := header{"typ": "at+jwt"}
	maps.Copy(all, h)
	for name, value := range all {
		if value != nil {
			options.WithHeader(jose.HeaderKey(name), value)
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// signRaw signs a header as it is written, with Ed25519.
func signRaw(key ed25519.PrivateKey, head, payload string) string {
	signed := b64(head) + "." + b64(payload)
	signature, _ := key.Sign(nil, []byte(signed), crypto.Hash(0))
	return signed + "." + b64(string(signature))
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// newResource is the API with a directory that knows acme and nobody's users, since
// most tests are not about them.
func newResource(t testing.TB, change func(*oauth.ResourceConfig)) *oauth.Resource {
	t.Helper()
	c := oauth.ResourceConfig{Identifier: api, InsecureNoDirectory: true, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c)
	}
	r, err := oauth.NewResource(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func newJWT(t testing.TB, r *oauth.Resource, issuers ...oauth.Issuer) *oauth.JWT {
	t.Helper()
	j, err := oauth.NewJWT(oauth.JWTConfig{Resource: r, Issuers: issuers})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// newStore is a store with one paid-up organisation and its user.
func newStore(t testing.TB) *memory.Store {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	putAccount(t, s, storage.Account{Organisation: "acme", Plan: "pro", Settings: map[string]any{"region": "eu"}})
	return s
}

func putAccount(t testing.TB, s storage.EditableDirectory, a storage.Account) {
	t.Helper()
	if err := s.PutAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func putUser(t testing.TB, s storage.EditableDirectory, u storage.User) {
	t.Helper()
	if err := s.PutUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
}

func bearer(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, api+"/meetings", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// refusal is the *strikeplate.Error in err.
func refusal(t testing.TB, err error) *strikeplate.Error {
	t.Helper()
	var e *strikeplate.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *strikeplate.Error", err)
	}
	return e
}

// refused fails unless a is refused with status and code, and returns the refusal.
func refused(t testing.TB, a strikeplate.Authenticator, r *http.Request, status int, code string) *strikeplate.Error {
	t.Helper()
	p, err := a.Authenticate(r)
	if err == nil {
		t.Fatalf("let in as %+v, want %d %s", p, status, code)
	}
	e := refusal(t, err)
	if e.Status != status || e.Code != code {
		t.Fatalf("%d %s (%s; %v), want %d %s", e.Status, e.Code, e.Message, e.Err, status, code)
	}
	return e
}

// invalid is refused with 401 invalid_token, for the reason in part.
func invalid(t testing.TB, a strikeplate.Authenticator, token, part string) {
	t.Helper()
	e := refused(t, a, bearer(token), 401, oauth.CodeToken)
	if !strings.Contains(e.Message, part) {
		t.Errorf("refused because %q, want %q", e.Message, part)
	}
	if len(e.Challenge) == 0 || !strings.Contains(e.Challenge[0], `error="invalid_token"`) {
		t.Errorf("challenge %q", e.Challenge)
	}
}

func letIn(t testing.TB, a strikeplate.Authenticator, r *http.Request) *strikeplate.Principal {
	t.Helper()
	p, err := a.Authenticate(r)
	if err != nil {
		e := refusal(t, err)
		t.Fatalf("%d %s: %s (%v)", e.Status, e.Code, e.Message, e.Err)
	}
	return p
}

// waitUntil polls for what no channel tells.
func waitUntil(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}
