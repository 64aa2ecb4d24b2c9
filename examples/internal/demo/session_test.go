package demo_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
)

// A cookie that was altered signs nobody in, and one of a user who is
// deactivated no longer does.
func TestSessions(t *testing.T) {
	base, handler := site(t, demo.Options{})
	send := func(method, path, body, cookie string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Host, r.RemoteAddr = strings.TrimPrefix(base, "http://"), "127.0.0.1:4711"
		r.Header.Set("Content-Type", "application/json")
		if cookie != "" {
			r.Header.Set("Cookie", "nothing_session="+cookie)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	signedIn := func(cookie string) bool {
		return strings.Contains(send(http.MethodGet, "/", "", cookie).Body.String(), "signed in as <strong>Bo Lindqvist</strong>, member of Acme")
	}
	login := send(http.MethodPost, "/demo/login", `{"user": "member"}`, "")
	cookie := (&http.Response{Header: login.Header()}).Cookies()[0].Value
	if !signedIn(cookie) {
		t.Error("the cookie doesn't sign in")
	}
	content, mac, _ := strings.Cut(cookie, ".")
	other := (&http.Response{Header: send(http.MethodPost, "/demo/login", `{"user": "admin"}`, "").Header()}).Cookies()[0].Value
	for _, bad := range []string{"", ".", content, content + ".", content + "." + mac[:len(mac)-2], strings.Split(other, ".")[0] + "." + mac, "A" + cookie[1:]} {
		if body := send(http.MethodGet, "/", "", bad).Body.String(); strings.Contains(body, "signed in as") {
			t.Errorf("%q signs in", bad)
		}
	}
	if w := send(http.MethodPost, "/demo/users/usr_bo", `{"active": false}`, ""); w.Code != http.StatusOK || signedIn(cookie) {
		t.Errorf("%d: deactivated, and still signed in", w.Code)
	}
	send(http.MethodPost, "/demo/users/usr_bo", `{"active": true}`, "")
	if !signedIn(cookie) {
		t.Error("reactivated, and signed out")
	}
	for _, bad := range []string{`{"advance": "-1h"}`, `{"advance": "0s"}`, `{"advance": "900000h"}`, `{"advance": "soon"}`, `{}`} {
		if w := send(http.MethodPost, "/demo/clock", bad, ""); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	if w := send(http.MethodPost, "/demo/clock", `{"advance": "12h1m"}`, ""); w.Code != http.StatusOK || signedIn(cookie) {
		t.Errorf("%d: the session doesn't end", w.Code)
	}
	for path, bad := range map[string]string{
		"/demo/organisations/org_acme": `{"plan": "gold"}`, "/demo/organisations/org_brook": `{"subscription": "soon"}`, "/demo/users/usr_bo": `{}`,
	} {
		if w := send(http.MethodPost, path, bad, ""); w.Code != http.StatusBadRequest {
			t.Errorf("%s %s: %d", path, bad, w.Code)
		}
	}
	for _, path := range []string{"/demo/organisations/org_none", "/demo/users/usr_none"} {
		if w := send(http.MethodPost, path, strings.ReplaceAll(`{"active": true}`, "active", map[bool]string{true: "active", false: "private_via_api"}[strings.Contains(path, "users")]), ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
