package console_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"golang.org/x/net/html"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

const (
	day  = 24 * time.Hour
	base = "/settings/developer"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a service with a console, and people who visit it.
type world struct {
	testing.TB
	store   *memory.Store
	scheme  *keyauth.Scheme
	keys    *manage.Service
	catalog *scope.Catalog
	apps    *apps
	server  *httptest.Server
	doc     string // OpenAPI

	mu       sync.Mutex
	now      time.Time
	signedIn time.Time
	dead     bool // the sign-in can't be asked
}

// setting is what a test may change of the wiring.
type setting struct {
	formats []keyauth.Format
	catalog *scope.Catalog
	manage  manage.Config
	console console.Config
	edge    strikeplate.Edge
}

var people = map[string]storage.Actor{
	"ada":     {User: "user_ada", Organisation: "org", Role: "admin"},
	"alan":    {User: "user_alan", Organisation: "org", Role: "admin"},
	"ben":     {User: "user_ben", Organisation: "org", Role: "member"},
	"mallory": {User: "user_mallory", Organisation: "other", Role: "admin"},
	"lena":    {User: "user_lena", Organisation: "lapsed", Role: "admin"},
	"nobody":  {},
}

var directory = []storage.User{
	{ID: "user_ada", Organisation: "org", Name: "Ada Lovelace", Role: "admin", Active: true},
	{ID: "user_alan", Organisation: "org", Name: "Alan Turing", Role: "admin", Active: true},
	{ID: "user_ben", Organisation: "org", Name: "Ben Okafor", Role: "member", Active: true},
	{ID: "user_cleo", Organisation: "org", Name: "Cleo Martín", Role: "member", Active: false},
	{ID: "user_mallory", Organisation: "other", Name: "Mallory", Role: "admin", Active: true},
	{ID: "user_lena", Organisation: "lapsed", Name: "Lena", Role: "admin", Active: true},
}

type members struct{}

func (members) Members(_ context.Context, organisation string, limit int) (all []storage.User, _ error) {
	for _, u := range directory {
		if u.Organisation == organisation && len(all) < limit {
			all = append(all, u)
		}
	}
	return all, nil
}

func newWorld(t testing.TB, change ...func(*setting)) *world {
	t.Helper()
	w := &world{TB: t, store: memory.New(), now: noon, signedIn: noon}
	w.apps = madeUpApps(w.clock)
	w.catalog = made(scope.NewCatalog(
		scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings"},
		scope.Entry{Scope: "meetings:write", Description: "Delete meetings"},
		scope.Entry{Scope: "webhooks:read", Description: "List webhook subscriptions"},
	))(t)
	counter := made(usage.New(usage.Config{Store: w.store, Every: 5 * time.Minute, Now: w.clock}))(t)
	s := setting{
		catalog: w.catalog,
		formats: []keyauth.Format{{Prefix: "mvo_", Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}}},
		manage: manage.Config{
			Keys: w.store, Directory: w.store, MaxKeys: 10, LastUsed: w.store.LastUsed, Now: w.clock,
		},
		console: console.Config{
			Usage: counter, Replays: w.store, Members: members{}, Apps: w.apps, Now: w.clock, SignedIn: w.actor,
			FreshSignIn: func(*http.Request) (time.Time, error) { return w.signedIn, nil },
			Product: console.Product{
				Name: "Mavio", Base: base, Data: "meetings", EnvironmentVariable: "MAVIO_API_KEY",
				TryURL: "https://api.mavio.example/v1/whoami", SignInURL: "/sign-in",
			},
		},
	}
	for _, f := range change {
		f(&s)
	}
	w.scheme = made(keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: s.formats, TagKeys: [][]byte{random(32)}, Hashing: keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true},
	}))(t)
	s.manage.Scheme, s.manage.Catalog = w.scheme, s.catalog
	w.keys = made(manage.New(s.manage))(t)
	s.console.Manage, s.console.Scheme, s.console.Catalog = w.keys, w.scheme, s.catalog
	page := made(console.New(s.console))(t)
	w.populate()
	w.server = httptest.NewServer(s.edge.Handler(page))
	t.Cleanup(func() {
		w.server.Close()
		_ = counter.Close(context.Background())
		_ = w.store.Close(context.Background())
	})
	return w
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

func (w *world) populate() {
	w.Helper()
	for _, a := range []storage.Account{{Organisation: "org", Plan: "team"}, {Organisation: "other", Plan: "team"}, {Organisation: "lapsed", Lapsed: true}} {
		if err := w.store.PutAccount(w.Context(), a); err != nil {
			w.Fatal(err)
		}
	}
	for _, u := range directory {
		if err := w.store.PutUser(w.Context(), u); err != nil {
			w.Fatal(err)
		}
	}
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

// actor believes a header field. Tests are people of honour.
func (w *world) actor(r *http.Request) (storage.Actor, error) {
	if w.dead {
		return storage.Actor{}, fmt.Errorf("the session store is down: secret-hostname")
	}
	a, ok := people[r.Header.Get("Visitor")]
	if !ok {
		return storage.Actor{}, console.ErrSignedOut
	}
	return a, nil
}

// reply is a response that was read to its end.
type reply struct {
	*http.Response
	body string
}

func (w *world) send(visitor string, r *http.Request) reply {
	w.Helper()
	if visitor != "" {
		r.Header.Set("Visitor", visitor)
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(r)
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

func (w *world) request(method, path, body string) *http.Request {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// get visits a page.
func (w *world) get(visitor, path string) reply {
	w.Helper()
	return w.send(visitor, w.request(http.MethodGet, base+path, ""))
}

// post sends a form.
func (w *world) post(visitor, path string, form url.Values) reply {
	w.Helper()
	r := w.request(http.MethodPost, base+path, form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.send(visitor, r)
}

func (r reply) want(t testing.TB, status int, texts ...string) reply {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d\n%.3000s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.body)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(r.body), html.UnescapeString(text)) {
			t.Errorf("%s %s: doesn't say %q\n%.6000s", r.Request.Method, r.Request.URL, text, r.body)
		}
	}
	return r
}

func (r reply) wantNone(t testing.TB, texts ...string) reply {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(r.body, text) {
			t.Errorf("%s %s: says %q", r.Request.Method, r.Request.URL, text)
		}
	}
	return r
}

// document parses the page, which must be a whole one.
func (r reply) document(t testing.TB) *html.Node {
	t.Helper()
	n, err := html.Parse(strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// call sends JSON, and holds both the request's answer and the OpenAPI document
// to each other.
func (w *world) call(visitor, method, path, body string, headers ...string) reply {
	w.Helper()
	r := w.request(method, base+"/api"+path, body)
	if method != http.MethodGet {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res := w.send(visitor, r)
	w.conforms(r, res)
	return res
}

// validators are shared, by the document's text: making one takes long, and the
// worlds of most tests have the same.
var validators struct {
	sync.Mutex
	of map[string]validator.Validator
}

// validator is that of the world's document. The lock is held.
func (w *world) validator() validator.Validator {
	w.Helper()
	if w.doc == "" {
		w.doc = w.send("ada", w.request(http.MethodGet, base+"/api/openapi.json", "")).body
	}
	if v := validators.of[w.doc]; v != nil {
		return v
	}
	parsed, err := libopenapi.NewDocument([]byte(w.doc))
	if err != nil {
		w.Fatal(err)
	}
	v, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		w.Fatal(errs)
	}
	if validators.of == nil {
		validators.of = map[string]validator.Validator{}
	}
	validators.of[w.doc] = v
	return v
}

func (w *world) conforms(r *http.Request, res reply) {
	w.Helper()
	validators.Lock()
	defer validators.Unlock()
	copied := *res.Response
	copied.Body = io.NopCloser(strings.NewReader(res.body))
	if ok, errs := w.validator().ValidateHttpResponse(r, &copied); !ok {
		for _, e := range errs {
			w.Errorf("%s %s (%d) isn't as the document says: %v\n%s", r.Method, r.URL, res.StatusCode, e, res.body)
			for _, s := range e.SchemaValidationErrors {
				w.Errorf("  %s at %s", s.Reason, s.FieldPath)
			}
		}
	}
}

// into reads a JSON body, all of whose members must be known.
func into[T any](t testing.TB, r reply) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return v
}

// wantCode is a problem+json with a code.
func (r reply) wantCode(t testing.TB, status int, code string) reply {
	t.Helper()
	r.want(t, status, `"code":"`+code+`"`)
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("a refusal as %q", got)
	}
	return r
}

// creation is a key that can be made in each world.
func creation(name string) manage.Creation {
	return manage.Creation{
		Name: name, Prefix: "mvo_", Access: strikeplate.OrganisationLimited, Scopes: []string{"meetings:read"}, NoExpiry: true,
	}
}

func (w *world) create(visitor string, c manage.Creation) manage.Created {
	w.Helper()
	return made(w.keys.Create(w.Context(), people[visitor], c))(w)
}

func (w *world) count(visitor string) int {
	w.Helper()
	return len(made(w.keys.List(w.Context(), people[visitor], manage.Filter{Status: manage.AllKeys, Limit: 1000}))(w).Keys)
}

// createForm is what a browser sends for a key.
func createForm(name string) url.Values {
	return url.Values{
		"once": {rand.Text()}, "name": {name}, "kind": {"mvo_|test"}, "access": {"org-limited"}, "owner": {""},
		"scope": {"meetings:read"}, "ends": {"90d"}, "date": {""}, "allow": {""},
	}
}

// seal keeps secrets under a key of its own.
type seal struct{ cipher.AEAD }

func newSeal(t testing.TB) seal {
	t.Helper()
	block := made(aes.NewCipher(random(32)))(t)
	return seal{made(cipher.NewGCMWithRandomNonce(block))(t)}
}

func (s seal) Encrypt(plaintext, additional []byte) ([]byte, error) {
	return s.Seal(nil, nil, plaintext, additional), nil
}

func (s seal) Decrypt(ciphertext, additional []byte) ([]byte, error) {
	return s.Open(nil, nil, ciphertext, additional)
}

// use stores made-up usage of a key, up to the world's now.
func (w *world) use(k manage.Key, pattern, origin string, addresses ...string) {
	w.Helper()
	now := w.clock()
	name := storage.UsageKey{Organisation: k.Organisation, Credential: k.ID, Lineage: k.Lineage, Environment: k.Environment}
	b := storage.UsageBatch{Instance: rand.Text(), Sequence: 1, Now: now, Every: time.Minute, Until: now, Final: true}
	good := storage.UsageRow{UsageKey: name, Pattern: pattern, Minute: now.Add(-3 * time.Hour)}
	good.Class[2], good.Latency[0] = 30, 30
	bad := storage.UsageRow{UsageKey: name, Pattern: "GET /v1/other", Minute: now}
	bad.Class[4], bad.Latency[0] = 10, 10
	b.Rows = []storage.UsageRow{good, bad}
	b.Seen = []storage.UsageSeen{{UsageKey: name, First: k.Created, Succeeded: now.Add(-3 * time.Hour), Presented: now}}
	if origin != "" {
		b.Seen[0].Browser, b.Seen[0].BrowserAt, b.Seen[0].Origin = 1, now, origin
	}
	for _, a := range addresses {
		b.Addresses = append(b.Addresses, storage.UsageAddress{UsageKey: name, Address: netip.MustParseAddr(a), Count: 7, First: now, Last: now})
	}
	b.Refusals = []storage.UsageRefusal{
		{UsageKey: name, Code: "insufficient_scope", Proven: true, Hour: now, Count: 4, Last: now},
		{UsageKey: name, Code: "invalid_api_key", Hour: now, Count: 2, Last: now},
	}
	if err := w.store.AddUsage(w.Context(), b); err != nil {
		w.Fatal(err)
	}
}

// inputs are the values of a page's form fields, by name.
func inputs(n *html.Node) url.Values {
	found := url.Values{}
	for n := range n.Descendants() {
		if n.Type == html.ElementNode && (n.Data == "input" || n.Data == "button") {
			a := attributes(n)
			kind := a["type"]
			_, checked := a["checked"]
			if (kind != "radio" && kind != "checkbox") || checked {
				found.Add(a["name"], a["value"])
			}
		}
	}
	return found
}

func attributes(n *html.Node) map[string]string {
	m := map[string]string{}
	for _, a := range n.Attr {
		m[a.Key] = a.Val
	}
	return m
}
