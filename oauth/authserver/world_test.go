package authserver_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// The console's pages about apps take this server as it is.
var _ console.Apps = (*authserver.Server)(nil)

const day = 24 * time.Hour

// world is a service with an authorization server, and people who visit it.
type world struct {
	testing.TB
	store   authserver.Store
	server  *authserver.Server
	live    *httptest.Server
	issuer  string // of the server
	logs    *logs
	signing bool

	mu       sync.Mutex
	now      time.Time
	signedIn map[string]time.Time
}

// backend is all that a test wants of a store.
type backend interface {
	authserver.Store
	storage.EditableDirectory
	storage.Audit
}

var people = map[string]storage.Actor{
	"ada":     {User: "user_ada", Organisation: "org", Role: "admin"},
	"ben":     {User: "user_ben", Organisation: "org", Role: "member"},
	"cleo":    {User: "user_cleo", Organisation: "org", Role: "member"},
	"mallory": {User: "user_mallory", Organisation: "other", Role: "admin"},
	"lena":    {User: "user_lena", Organisation: "lapsed", Role: "admin"},
}

var directory = []storage.User{
	{ID: "user_ada", Organisation: "org", Name: "Ada Lovelace", Role: "admin", Active: true},
	{ID: "user_ben", Organisation: "org", Name: "Ben Okafor", Role: "member", Active: true},
	{ID: "user_cleo", Organisation: "org", Name: "Cleo Martín", Role: "member", Active: true, Scopes: []string{"meetings:read"}},
	{ID: "user_mallory", Organisation: "other", Name: "Mallory", Role: "admin", Active: true},
	{ID: "user_lena", Organisation: "lapsed", Name: "Lena", Role: "admin", Active: true},
}

var catalogEntries = []scope.Entry{
	{Scope: "meetings:read", Description: "List and retrieve meetings"},
	{Scope: "meetings:write", Description: "Delete meetings"},
	{Scope: "transcripts:read", Description: "Retrieve and search transcripts"},
	{Scope: "action_items:write", Description: "Update action item status, assignee, due date"},
}

// newWorld has a memory store.
func newWorld(t testing.TB, change ...func(*authserver.Config)) *world {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { _ = store.Close(context.Background()) })
	return newWorldOn(t, store, change...)
}

func newWorldOn(t testing.TB, store backend, change ...func(*authserver.Config)) *world {
	t.Helper()
	w := &world{TB: t, store: store, now: time.Now(), signedIn: map[string]time.Time{}, logs: &logs{}}
	w.live = httptest.NewUnstartedServer(nil) // its address is the issuer
	w.live.URL = "http://" + w.live.Listener.Addr().String()
	t.Cleanup(w.live.Close)
	populate(t, store)
	c := authserver.Config{
		Issuer: w.live.URL, Store: store, Directory: store, Catalog: made(scope.NewCatalog(catalogEntries...))(t),
		SignIn: authserver.SignIn{Who: w.who, Page: func(back string) string { return "/sign-in?next=" + url.QueryEscape(back) }},
		Tokens: authserver.Tokens{Prefix: "mvo_", Keys: [][]byte{random(32)}},
		Product: authserver.Product{Name: "Mavio", Grants: "/settings/apps", OrganisationName: func(_ context.Context, id string) (string, error) {
			return map[string]string{"org": "Analytical Engines", "other": "Other Inc."}[id], nil
		}},
		Now: w.clock, Logger: slog.New(slog.NewTextHandler(w.logs, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	w.issuer, w.signing = c.Issuer, c.Tokens.Signing != nil
	w.server = made(authserver.New(c))(t)
	w.live.URL = "" // Start wants to set it
	w.live.Config.Handler = strikeplate.Edge{}.Handler(w.server)
	w.live.Start()
	return w
}

func populate(t testing.TB, store storage.EditableDirectory) {
	t.Helper()
	for _, a := range []storage.Account{{Organisation: "org", Plan: "team"}, {Organisation: "other", Plan: "team"}, {Organisation: "lapsed", Lapsed: true}} {
		if err := store.PutAccount(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for _, u := range directory {
		if err := store.PutUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
}

// logs are what the server logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func made[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// who believes a header field. Tests are people of honour.
func (w *world) who(r *http.Request) (storage.Actor, time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := r.Header.Get("Visitor")
	if name == "outage" {
		return storage.Actor{}, time.Time{}, fmt.Errorf("the session store is down: secret-hostname")
	}
	a, ok := people[name]
	if !ok {
		return storage.Actor{}, time.Time{}, authserver.ErrSignedOut
	}
	at, ok := w.signedIn[name]
	if !ok {
		at = w.now
		w.signedIn[name] = at
	}
	return a, at, nil
}

// signIn has somebody prove again who they are.
func (w *world) signIn(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signedIn[name] = w.now
}

// reply is a response that was read to its end.
type reply struct {
	*http.Response
	body string
}

var patient = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
}

func (w *world) send(visitor string, r *http.Request) reply {
	w.Helper()
	if visitor != "" {
		r.Header.Set("Visitor", visitor)
	}
	res, err := patient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return reply{res, string(body)}
}

func (w *world) request(method, where, body string) *http.Request {
	w.Helper()
	if strings.HasPrefix(where, "/") {
		where = w.live.URL + where
	}
	r, err := http.NewRequestWithContext(w.Context(), method, where, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (w *world) get(visitor, where string) reply {
	w.Helper()
	return w.send(visitor, w.request(http.MethodGet, where, ""))
}

func (w *world) post(visitor, where string, form url.Values) reply {
	w.Helper()
	return w.send(visitor, w.request(http.MethodPost, where, form.Encode()))
}

func (r reply) want(t testing.TB, status int, texts ...string) reply {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d\n%.3000s\n%v", r.Request.Method, r.Request.URL, r.StatusCode, status, r.body, r.Header)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(r.body), text) {
			t.Errorf("%s %s: doesn't say %q\n%.6000s", r.Request.Method, r.Request.URL, text, r.body)
		}
	}
	return r
}

// wantError is a refusal as RFC 6749 5.2 has it.
func (r reply) wantError(t testing.TB, status int, code string) reply {
	t.Helper()
	r.want(t, status)
	var body struct{ Error, Description string }
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.Error != code {
		t.Fatalf("%s %s: got %s, want the error %s", r.Request.Method, r.Request.URL, r.body, code)
	}
	if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a refusal with %v", r.Header)
	}
	return r
}

// into reads a JSON body.
func into[T any](t testing.TB, r reply) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return v
}

const callback = "https://crm.example/back"

// registered is an app with its secret.
type registered struct {
	storage.App
	secret string
}

// register makes an app of ada's.
func (w *world) register(change ...func(*storage.App)) registered {
	w.Helper()
	app := storage.App{
		Name: "CRM Sync", Homepage: "https://crm.example", RedirectURIs: []string{callback},
		Scopes: []string{"meetings:read", "meetings:write", "transcripts:read"},
	}
	for _, f := range change {
		f(&app)
	}
	stored, secret, err := w.server.RegisterApp(w.Context(), people["ada"], app)
	if err != nil {
		w.Fatal(err)
	}
	return registered{stored, secret.Reveal()}
}

func public(a *storage.App)  { a.Public = true }
func noPKCE(a *storage.App)  { a.InsecureNoPKCE = true }
func machine(a *storage.App) { a.ClientCredentials = true }

const (
	verifier   = "a-verifier-of-forty-three-characters-or-more"
	wrongProof = "another-verifier-of-forty-three-characters-x"
)

func challenge(of string) string {
	sum := sha256.Sum256([]byte(of))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// asking is a good authorization request.
func (a registered) asking(change ...string) url.Values {
	v := url.Values{
		"response_type": {"code"}, "client_id": {a.ClientID}, "redirect_uri": {a.RedirectURIs[0]}, "scope": {"meetings:read"},
		"state": {"xyz"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	return with(v, change...)
}

// with sets parameters; an empty value removes one.
func with(v url.Values, change ...string) url.Values {
	for i := 0; i+1 < len(change); i += 2 {
		if v.Set(change[i], change[i+1]); change[i+1] == "" {
			v.Del(change[i])
		}
	}
	return v
}

func (w *world) authorize(visitor string, v url.Values) reply {
	w.Helper()
	return w.get(visitor, "/oauth/authorize?"+v.Encode())
}

var requestField = regexp.MustCompile(`name="request" value="([^"]+)"`)

// decide sends the form of a consent page.
func (w *world) decide(visitor string, page reply, decision string) reply {
	w.Helper()
	field := requestField.FindStringSubmatch(page.body)
	if field == nil {
		w.Fatalf("this is no consent page:\n%d %s", page.StatusCode, page.body)
	}
	return w.post(visitor, "/oauth/consent", url.Values{"request": {field[1]}, "decision": {decision}})
}

// back reads the parameters that a redirect takes to the app.
func (r reply) back(t testing.TB) url.Values {
	t.Helper()
	r.want(t, http.StatusSeeOther)
	u, err := r.Location()
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// consent takes a person through the page, and returns the code.
func (w *world) consent(visitor string, v url.Values) string {
	w.Helper()
	r := w.authorize(visitor, v)
	if r.StatusCode == http.StatusOK { // else it is remembered
		r = w.decide(visitor, r, "allow")
	}
	code := r.back(w).Get("code")
	if code == "" {
		w.Fatal("there is no code")
	}
	return code
}

// tokens is an answer of the token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Scope   string `json:"scope"`
}

// call posts a form to an endpoint, as the app.
func (w *world) call(a registered, path string, form url.Values, headers ...string) reply {
	w.Helper()
	if a.secret == "" {
		form.Set("client_id", a.ClientID)
	}
	r := w.request(http.MethodPost, path, form.Encode())
	if a.secret != "" {
		r.SetBasicAuth(url.QueryEscape(a.ClientID), url.QueryEscape(a.secret))
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.send("", r)
}

func (w *world) exchange(a registered, code string, change ...string) reply {
	w.Helper()
	return w.call(a, "/oauth/token", with(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.RedirectURIs[0]}, "code_verifier": {verifier},
	}, change...))
}

func (w *world) refresh(a registered, token string, change ...string) reply {
	w.Helper()
	return w.call(a, "/oauth/token", with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, change...))
}

// letIn takes a person and an app through all of it.
func (w *world) letIn(visitor string, a registered, change ...string) tokens {
	w.Helper()
	code := w.consent(visitor, a.asking(change...))
	return into[tokens](w, w.exchange(a, code).want(w, http.StatusOK))
}

// known is an answer of the introspection endpoint.
type known struct {
	Active    bool              `json:"active"`
	Scope     string            `json:"scope"`
	Client    string            `json:"client_id"`
	Subject   string            `json:"sub"`
	Audience  []string          `json:"aud"`
	Issuer    string            `json:"iss"`
	Expires   int64             `json:"exp"`
	ID        string            `json:"jti"`
	Type      string            `json:"token_type"`
	Org       string            `json:"org_id"`
	AuthTime  int64             `json:"auth_time"`
	Confirmed map[string]string `json:"cnf"`
}

func (w *world) introspect(a registered, token string) known {
	w.Helper()
	return into[known](w, w.call(a, "/oauth/introspect", url.Values{"token": {token}}).want(w, http.StatusOK))
}

// wantActive says whether a token counts, as its app is told.
func (w *world) wantActive(a registered, token string, want bool) {
	w.Helper()
	if got := w.introspect(a, token); got.Active != want {
		w.Errorf("the token is active: %t, want %t", got.Active, want)
	}
}

// audit is the actions that an organisation's log names, oldest first.
func (w *world) audit(organisation string) (actions []string) {
	w.Helper()
	entries, _, err := w.store.(storage.Audit).Entries(w.Context(), storage.Query{Organisation: organisation, Limit: 1000})
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(string(e.Before)+string(e.After), "mvo_") {
			w.Errorf("a secret is in the log: %s %s", e.Before, e.After)
		}
		actions = append(actions, e.Action)
	}
	return actions
}

func catalog(t testing.TB) *scope.Catalog {
	t.Helper()
	return made(scope.NewCatalog(catalogEntries...))(t)
}

func noGrace(c *authserver.Config) { c.Tokens.Grace = -1 }
