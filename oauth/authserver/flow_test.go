package authserver_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/storage"
)

func TestWholeFlow(t *testing.T) {
	for name, kind := range map[string]func(*storage.App){"confidential": func(*storage.App) {}, "public": public} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			app := w.register(kind)
			page := w.authorize("ben", app.asking("scope", "meetings:read transcripts:read")).want(t, http.StatusOK,
				"CRM Sync", "Analytical Engines", "Ben Okafor", "List and retrieve meetings", "Retrieve and search transcripts", "crm.example", "Deny", "Allow")
			back := w.decide("ben", page, "allow").back(t)
			if back.Get("state") != "xyz" || back.Get("iss") != w.issuer || !strings.HasPrefix(back.Get("code"), "mvo_ac_") {
				t.Fatalf("back with %v", back)
			}
			got := into[tokens](t, w.exchange(app, back.Get("code")).want(t, http.StatusOK))
			if got.Type != "Bearer" || got.Expires != 3600 || got.Scope != "meetings:read transcripts:read" ||
				!strings.HasPrefix(got.Access, "mvo_at_") || !strings.HasPrefix(got.Refresh, "mvo_rt_") || len(got.Access) != len("mvo_at_")+43 {
				t.Errorf("got %+v", got)
			}
			next := into[tokens](t, w.refresh(app, got.Refresh).want(t, http.StatusOK))
			if next.Access == got.Access || next.Refresh == got.Refresh || next.Scope != got.Scope {
				t.Errorf("refreshed to %+v", next)
			}
			w.call(app, "/oauth/revoke", url.Values{"token": {next.Refresh}, "token_type_hint": {"refresh_token"}}).want(t, http.StatusOK)
			w.refresh(app, next.Refresh).wantError(t, 400, "invalid_grant")
			want := []string{"app.register", "grant.begin", "grant.revoke"}
			if diff := cmp.Diff(want, w.audit("org")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDenial(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	back := w.decide("ben", w.authorize("ben", app.asking()), "deny").back(t)
	if back.Get("error") != "access_denied" || back.Get("state") != "xyz" || back.Get("iss") != w.issuer || back.Has("code") {
		t.Errorf("back with %v", back)
	}
	if slices.Contains(w.audit("org"), "grant.begin") {
		t.Error("a denial began a grant")
	}
}

func TestConsentIsRemembered(t *testing.T) {
	w := newWorld(t)
	app, phone := w.register(), w.register(public)
	w.letIn("ben", app, "scope", "meetings:read transcripts:read")
	w.letIn("ben", phone)
	if w.authorize("ben", app.asking()).back(t).Get("code") == "" {
		t.Error("a confidential app's narrower request asks again")
	}
	w.authorize("ben", app.asking("prompt", "consent")).want(t, http.StatusOK)
	w.authorize("ben", app.asking("scope", "meetings:read meetings:write")).want(t, http.StatusOK) // wider
	w.authorize("ada", app.asking()).want(t, http.StatusOK)                                        // somebody else
	w.authorize("ben", phone.asking()).want(t, http.StatusOK)                                      // THREATS 18: public
	if n, err := w.server.RevokeGrants(t.Context(), people["ben"], "user_ben", app.ClientID, "no longer used"); n != 2 || err != nil {
		t.Fatalf("revoked %d: %v", n, err)
	}
	w.authorize("ben", app.asking()).want(t, http.StatusOK)
}

func TestPrompts(t *testing.T) {
	w := newWorld(t)
	app, phone := w.register(), w.register(public)
	for name, c := range map[string]struct {
		visitor string
		v       url.Values
		want    string
	}{
		"signed out":           {"", app.asking("prompt", "none"), "login_required"},
		"not asked yet":        {"ben", app.asking("prompt", "none"), "consent_required"},
		"public":               {"ben", phone.asking("prompt", "none"), "consent_required"},
		"none and login":       {"ben", app.asking("prompt", "none login"), "invalid_request"},
		"unknown":              {"ben", app.asking("prompt", "create"), "invalid_request"},
		"no number":            {"ben", app.asking("max_age", "-1"), "invalid_request"},
		"subscription expired": {"lena", app.asking("prompt", "none"), "access_denied"},
	} {
		if back := w.authorize(c.visitor, c.v).back(t); back.Get("error") != c.want {
			t.Errorf("%s: back with %v, want %s", name, back, c.want)
		}
	}
	w.letIn("ben", app)
	if w.authorize("ben", app.asking("prompt", "none")).back(t).Get("code") == "" {
		t.Error("prompt=none of what is remembered gives no code")
	}
}

// next is where a sign-in page is told to send people back to.
func (r reply) next(t testing.TB) string {
	t.Helper()
	r.want(t, http.StatusSeeOther)
	u, err := r.Location()
	if err != nil || u.Path != "/sign-in" {
		t.Fatalf("sent to %v: %v", u, err)
	}
	return u.Query().Get("next")
}

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	next := w.authorize("", app.asking()).next(t)
	if !strings.HasPrefix(next, "/oauth/authorize?") {
		t.Fatalf("back to %s", next)
	}
	w.get("ben", next).want(t, http.StatusOK, "CRM Sync")

	for name, change := range map[string][]string{
		"prompt=login": {"prompt", "login"}, "max_age=0": {"max_age", "0"}, "max_age=60": {"max_age", "60"},
	} {
		w.signIn("ben")
		w.pass(61 * time.Second)
		next := w.authorize("ben", app.asking(change...)).next(t)
		if w.get("ben", next).next(t) == "" {
			t.Errorf("%s: not sent to sign in again without having", name)
		}
		w.signIn("ben")
		w.pass(2 * time.Second)
		w.get("ben", next).want(t, http.StatusOK, "CRM Sync")
		w.pass(16 * time.Minute)
		w.get("ben", next).want(t, 400, "open for too long")
	}
	w.get("", "/oauth/authorize?"+app.asking("prompt", "login").Encode()).next(t)
	w.authorize("outage", app.asking()).want(t, 503, "can't be shown")
}

func TestAuthenticationTimeIsKept(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	w.signIn("ben")
	at := w.clock().Unix()
	w.pass(time.Minute)
	if got := w.introspect(app, w.letIn("ben", app).Access); got.AuthTime != at {
		t.Errorf("auth_time is %d, want %d", got.AuthTime, at)
	}
}

func TestPostedRequests(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	r := w.post("", "/oauth/authorize", app.asking()).want(t, http.StatusSeeOther) // another site's form brings no cookie
	u, err := r.Location()
	if err != nil {
		t.Fatal(err)
	}
	w.get("ben", u.String()).want(t, http.StatusOK, "CRM Sync")
	w.post("ben", "/oauth/authorize?x=y", app.asking()).want(t, 400)
}

func TestScopesAreNarrowedToThePerson(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	page := w.authorize("cleo", app.asking("scope", "meetings:read meetings:write")).want(t, http.StatusOK, "which you don't have the rights for")
	if strings.Contains(page.body, "Delete meetings") {
		t.Error("the page offers what the person doesn't have")
	}
	code := w.decide("cleo", page, "allow").back(t).Get("code")
	if got := into[tokens](t, w.exchange(app, code).want(t, 200)); got.Scope != "meetings:read" {
		t.Errorf("granted %q", got.Scope)
	}
	w.authorize("cleo", app.asking("scope", "transcripts:read")).want(t, 403, "none of the rights")
}
