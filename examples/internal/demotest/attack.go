package demotest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Target is where a server is attacked.
type Target struct {
	Console string // the Developer page's path
	API     string // the API's base path
	Key     string // the name of a key of Acme's that works
}

const form = "application/x-www-form-urlencoded"

// Attack tries at a server's edges what attackers try: cookies that they made up,
// forms on pages of their own, credentials in places that they aren't for, another
// organisation's ids, tricks with paths, methods and header fields.
func Attack(t *testing.T, s *Server, at Target) {
	t.Helper()
	unchecked := *s // what attackers send is in no document
	unchecked.Check = nil
	s = &unchecked
	t.Run("credentials", func(t *testing.T) { attackCredentials(t, s, at) })
	t.Run("forms", func(t *testing.T) { attackForms(t, s, at) })
	t.Run("redirects", func(t *testing.T) { attackRedirects(t, s) })
	t.Run("requests", func(t *testing.T) { attackRequests(t, s, at) })
	if r := s.Get(t, at.Key, at.API+"/whoami"); r.StatusCode != http.StatusOK {
		t.Errorf("after the attacks the key doesn't work: %d %s", r.StatusCode, r.Body)
	}
}

func status(t *testing.T, what string, r Response, want int) {
	t.Helper()
	if r.StatusCode != want {
		t.Errorf("%s: %d, want %d: %.300s", what, r.StatusCode, want, r.Body)
	}
}

func attackCredentials(t *testing.T, s *Server, at Target) {
	login := s.Control(t, "/demo/login", `{"user": "admin"}`)
	cookie := login.Cookies()[0]
	content, mac, _ := strings.Cut(cookie.Value, ".")
	for what, forged := range map[string]string{
		"no MAC": content, "another MAC": content + "." + strings.Repeat("A", len(mac)), "another user": "eyJ1c2VyIjoidXNyX2tpdCJ9." + mac,
	} {
		r := s.Get(t, "", at.Console, "Cookie", cookie.Name+"="+forged)
		if r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/sign-in?next=") {
			t.Errorf("a cookie with %s: %d %s", what, r.StatusCode, r.Header.Get("Location"))
		}
	}
	own := cookie.Name + "=" + cookie.Value
	status(t, "a cookie is no API key", s.Get(t, "", at.API+"/whoami", "Cookie", own), http.StatusUnauthorized)
	status(t, "an API key signs nobody in", s.Get(t, at.Key, at.Console+"/api/keys"), http.StatusUnauthorized)
	status(t, "nor in the URL", s.Get(t, "", at.API+"/whoami?api_key="+url.QueryEscape(s.Keys[at.Key].Key)), http.StatusUnauthorized)
	status(t, "a member", s.As(t, "member").Get(t, "", at.Console+"/api/keys"), http.StatusForbidden)
	status(t, "who is deactivated", s.Send(t, http.MethodPost, "/demo/login", `{"user": "deactivated"}`), http.StatusForbidden)
	id, other := s.Keys[at.Key].ID, s.As(t, "other_admin")
	status(t, "another organisation's key", other.Get(t, "", at.Console+"/api/keys/"+id), http.StatusNotFound)
	status(t, "its usage", other.Get(t, "", at.Console+"/keys/"+id+"/usage"), http.StatusNotFound)
	status(t, "its end", other.Send(t, http.MethodPost, at.Console+"/keys/"+id+"/revoke", revocation(s, at), "Content-Type", form, "Origin", s.BaseURL), http.StatusNotFound)
}

// revocation is the form that revokes the key.
func revocation(s *Server, at Target) string {
	key := s.Keys[at.Key].Key
	return "confirm=" + url.QueryEscape(key[len(key)-4:])
}

func attackForms(t *testing.T, s *Server, at Target) {
	admin, revoke := s.As(t, "admin"), at.Console+"/keys/"+s.Keys[at.Key].ID+"/revoke"
	for what, header := range map[string][2]string{
		"another site": {"Origin", "https://evil.example"}, "another port": {"Origin", "http://127.0.0.1:1"}, "a sandbox": {"Origin", "null"},
		"a browser that says so": {"Sec-Fetch-Site", "cross-site"}, "a sibling": {"Sec-Fetch-Site", "same-site"},
	} {
		for path, body := range map[string]string{revoke: revocation(s, at), "/sign-in": "user=other_admin", "/sign-out": ""} {
			status(t, path+" from "+what, admin.Send(t, http.MethodPost, path, body, "Content-Type", form, header[0], header[1]), http.StatusForbidden)
		}
	}
	status(t, "too much", admin.Send(t, http.MethodPost, at.Console+"/keys", "name="+strings.Repeat("x", 2<<20), "Content-Type", form, "Origin", s.BaseURL), http.StatusRequestEntityTooLarge)
	status(t, "no text", admin.Send(t, http.MethodPost, at.Console+"/keys", "name=%ff%00", "Content-Type", form, "Origin", s.BaseURL), http.StatusBadRequest)
	status(t, "half an object", admin.Send(t, http.MethodPost, at.Console+"/api/keys", `{"name":`, "Origin", s.BaseURL), http.StatusBadRequest)
}

// attackRedirects wants to be sent elsewhere after signing in.
func attackRedirects(t *testing.T, s *Server) {
	for _, next := range []string{"https://evil.example", "//evil.example", `/\evil.example`, `\\evil.example`, "/..//evil.example", "/\t/evil.example", "javascript:alert(1)", "/\r\nSet-Cookie: a=b"} {
		r := s.Send(t, http.MethodPost, "/sign-in", url.Values{"user": {"admin"}, "next": {next}}.Encode(), "Content-Type", form, "Origin", s.BaseURL)
		to, err := url.Parse(r.Header.Get("Location"))
		if r.StatusCode != http.StatusSeeOther || err != nil || to.Host != "" || to.Scheme != "" || strings.HasPrefix(r.Header.Get("Location"), "//") || len(r.Cookies()) != 1 {
			t.Errorf("next=%q: %d %q %v", next, r.StatusCode, r.Header.Get("Location"), r.Cookies())
		}
	}
}

func attackRequests(t *testing.T, s *Server, at Target) {
	for _, path := range []string{"/%2e%2e" + at.API + "/whoami", at.API + "/whoami/", at.API + "/whoami;x", at.API + "/whoami%00", at.API + "%2fwhoami", "/.git/config"} {
		status(t, path, s.Get(t, at.Key, path), http.StatusNotFound)
		status(t, path+" without a key", s.Get(t, "", path), http.StatusUnauthorized)
	}
	for _, method := range []string{http.MethodTrace, http.MethodPut, http.MethodDelete, http.MethodOptions, "EVIL"} {
		r := s.Ask(t, at.Key, method, at.API+"/whoami", "")
		if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, Allow: %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
	const mark = "<script>"
	r := s.Get(t, "", at.API+"/whoami", "X-Request-Id", mark)
	if r.Header.Get("X-Request-Id") == mark || strings.Contains(string(r.Body), mark) {
		t.Errorf("a request id of the attacker's: %v %s", r.Header, r.Body)
	}
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.BaseURL+at.API+"/whoami", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header["Authorization"] = []string{"Bearer nothing", "Bearer " + s.Keys[at.Key].Key}
	answer, err := s.Client.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("two credentials: %d", answer.StatusCode)
	}
	status(t, "a long credential", s.Get(t, "", at.API+"/whoami", "Authorization", "Bearer "+strings.Repeat("x", 50_000)), http.StatusUnauthorized)
	status(t, "a longer one", s.Get(t, "", at.API+"/whoami", "Authorization", "Bearer "+strings.Repeat("x", 100_000)), http.StatusRequestHeaderFieldsTooLarge)
}
