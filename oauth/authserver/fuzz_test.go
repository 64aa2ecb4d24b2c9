package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

// FuzzAuthorize: whatever is asked, nobody is sent anywhere but to the app's own
// address or to sign in, and nothing is granted without asking.
func FuzzAuthorize(f *testing.F) {
	w := newWorld(f)
	app := w.register()
	good := app.asking().Encode()
	for _, seed := range []string{
		"", good, good + "&scope=meetings:write", app.asking("prompt", "none").Encode(), app.asking("prompt", "login", "max_age", "0").Encode(),
		app.asking("redirect_uri", "https://evil.example/").Encode(), app.asking("redirect_uri", "").Encode(), app.asking("response_type", "token").Encode(),
		app.asking("code_challenge_method", "plain").Encode(), good + "&resource=https://a.example&resource=https://b.example", "resume=AAAA",
		"client_id=" + app.ClientID + "&request_uri=urn:ietf:params:oauth:request_uri:" + strings.Repeat("A", 43), good + ";a=b", good + "&%zz", good + "&a=%00",
		app.asking("state", strings.Repeat("s", 3000)).Encode(), good + "&dpop_jkt=" + strings.Repeat("A", 43),
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, query string, signedIn bool) {
		r := httptest.NewRequest(http.MethodGet, "/oauth/authorize", nil)
		r.URL.RawQuery = query
		if signedIn {
			r.Header.Set("Visitor", "ben")
		}
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, r)
		where := rec.Header().Get("Location")
		switch rec.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusForbidden:
			if where != "" {
				t.Errorf("%d to %s", rec.Code, where)
			}
		case http.StatusSeeOther:
			u, err := url.Parse(where)
			if err != nil || !strings.HasPrefix(where, callback+"?") && !strings.HasPrefix(where, "/sign-in?") {
				t.Fatalf("sent to %q: %v", where, err)
			}
			if v := u.Query(); strings.HasPrefix(where, callback) && (v.Get("iss") != w.issuer || v.Has("code") || !v.Has("error")) {
				t.Errorf("sent to %s", where)
			}
		default:
			t.Errorf("%d: %s", rec.Code, rec.Body)
		}
	})
}

// FuzzToken: no form is worth a token, breaks the server or gets another kind of
// answer.
func FuzzToken(f *testing.F) {
	w := newWorld(f)
	app, phone := w.register(), w.register(public)
	for _, seed := range []string{
		"", "grant_type=authorization_code&code=mvo_ac_" + strings.Repeat("A", 43), "grant_type=refresh_token&refresh_token=mvo_rt_" + strings.Repeat("A", 43),
		"grant_type=client_credentials&scope=meetings:read", "grant_type=password", "grant_type=a&grant_type=b", "client_id=" + phone.ClientID + "&grant_type=refresh_token",
		"client_id=" + app.ClientID + "&client_secret=x", "a;b", "%", "code=%00", "client_assertion=x", "token=mvo_at_x", strings.Repeat("a&", 100), "resource=a&resource=b",
	} {
		for i := range 4 {
			f.Add(seed, uint8(i))
		}
	}
	paths := []string{"/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/par"}
	f.Fuzz(func(t *testing.T, body string, which uint8) {
		r := httptest.NewRequest(http.MethodPost, paths[int(which)%len(paths)], strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = "192.0.2.1:1"
		if which&4 != 0 {
			r.SetBasicAuth(app.ClientID, app.secret)
		}
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, r)
		if strings.Contains(rec.Body.String(), "access_token") || strings.Contains(rec.Body.String(), `"active":true`) {
			t.Errorf("%s gives %s", body, rec.Body)
		}
		switch rec.Code {
		case 200, 400, 401, 413, 429:
			if rec.Header().Get("Cache-Control") != "no-store" || rec.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%d with %v", rec.Code, rec.Header())
			}
		case 201:
			if which%4 != 3 {
				t.Errorf("%s is created by %s", rec.Body, paths[which%4])
			}
		default:
			t.Errorf("%d: %s", rec.Code, rec.Body)
		}
	})
}

// FuzzBasic: what is read of an Authorization field is what a client wrote.
func FuzzBasic(f *testing.F) {
	for _, seed := range []string{"", "Basic", "Basic ", "Basic Og==", "basic YTpi", "Basic YTpi\n", "Bearer YTpi", "Basic YSUzQTpi", "Basic  YTpi", "Basic YTp%", "Basic YTpiYw=", "Basic AAAA"} {
		f.Add(seed)
	}
	for _, pair := range [][2]string{{"app", "secret"}, {"a:b", "c d+e%"}, {"é", "\x00"}} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.SetBasicAuth(url.QueryEscape(pair[0]), url.QueryEscape(pair[1]))
		f.Add(r.Header.Get("Authorization"))
	}
	f.Fuzz(func(t *testing.T, field string) {
		id, secret, ok := authserver.ParseBasic([]string{field})
		if !ok {
			return
		}
		if id == "" || !storage.ValidText(id+secret) {
			t.Errorf("%q and %q are read", id, secret)
		}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		if id2, secret2, ok := authserver.ParseBasic(r.Header["Authorization"]); !ok || id2 != id || secret2 != secret {
			t.Errorf("%q and %q come back as %q and %q", id, secret, id2, secret2)
		}
	})
}

// FuzzDocument: an app is what a person may be asked about, or it is none.
func FuzzDocument(f *testing.F) {
	const id = "https://editor.example/client.json"
	for _, seed := range []string{
		`{"client_id":"https://editor.example/client.json","client_name":"Editor","redirect_uris":["https://editor.example/back"]}`,
		`{"client_id":"https://editor.example/client.json","redirect_uris":["http://127.0.0.1/cb","https://evil.example/"]}`,
		`{"client_id":"https://editor.example/client.json","CLIENT_ID":"x","redirect_uris":["http://[::1]/cb"],"scope":"meetings:read"}`,
		`{}`, `[]`, `null`, `{"client_id":1}`, "", `{"client_id":"https://editor.example/client.json","client_name":"\u202e","redirect_uris":[""]}`,
	} {
		f.Add([]byte(seed))
	}
	limit, c := []string{"meetings:read"}, catalog(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		app, err := authserver.DescribeDocument(id, text, limit, c, time.Unix(0, 0))
		if err != nil {
			return
		}
		if app.ClientID != id || !app.Public || len(app.Secrets) > 0 || app.Name == "" || len(app.RedirectURIs) == 0 || len(app.Scopes) != 1 || app.Scopes[0] != limit[0] {
			t.Errorf("%s makes %+v", text, app)
		}
		for _, uri := range app.RedirectURIs {
			u, err := url.Parse(uri)
			if err != nil || u.Host != "editor.example" && u.Scheme != "http" || authserver.CheckRedirectURI(uri) != nil {
				t.Errorf("%s makes an app at %s", text, uri)
			}
		}
		if err := (storage.AppMutation{Put: app}).Check(); err != nil {
			t.Errorf("%s makes an app that can't be stored: %v", text, err)
		}
	})
}

// FuzzRedirectURI: what is taken for a registered address leads to its host.
func FuzzRedirectURI(f *testing.F) {
	for _, seed := range []string{
		callback, "http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:1@evil.example/cb", "http://[::1]:7/cb", "http://localhost:80/cb", "http://127.0.0.1:80/cb?x",
		"https://crm.example/back#", "https://crm.example\\@evil.example/back", "HTTP://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", "http://127.1/cb", "http://0x7f.1/cb",
	} {
		f.Add(seed)
	}
	registered := []string{callback, "http://127.0.0.1/cb", "http://[::1]:7000/cb", "http://localhost:8080/cb"}
	f.Fuzz(func(t *testing.T, asked string) {
		for _, known := range registered {
			if !authserver.Matches(known, asked) {
				continue
			}
			got, err := url.Parse(asked)
			want, bad := url.Parse(known)
			if err != nil || bad != nil || got.Hostname() != want.Hostname() || got.Scheme != want.Scheme || got.RequestURI() != want.RequestURI() || got.User != nil || strings.Contains(asked, "#") {
				t.Errorf("%s is taken for %s", asked, known)
			}
		}
	})
}
