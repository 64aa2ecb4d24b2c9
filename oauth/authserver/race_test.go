package authserver_test

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

const crowd = 64

// backends are all that the library brings.
var backends = map[string]func(t *testing.T) backend{
	"memory": func(t *testing.T) backend {
		s := memory.New()
		t.Cleanup(func() { _ = s.Close(context.Background()) })
		return s
	},
	"sqlite": func(t *testing.T) backend {
		s := made(sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "db")}))(t)
		t.Cleanup(func() { _ = s.Close(context.Background()) })
		return s
	},
	"postgres": func(t *testing.T) backend {
		s := made(postgres.Open(t.Context(), postgres.Config{URL: pgtest.Database(t)}))(t)
		t.Cleanup(func() { _ = s.Close(context.Background()) })
		return s
	},
}

// together sends the same form crowd times at once.
func (w *world) together(a registered, path string, form url.Values) []reply {
	w.Helper()
	if a.secret == "" {
		form.Set("client_id", a.ClientID)
	}
	replies, start := make([]reply, crowd), make(chan struct{})
	var all sync.WaitGroup
	for i := range crowd {
		r := w.request(http.MethodPost, path, form.Encode())
		if a.secret != "" {
			r.SetBasicAuth(a.ClientID, a.secret)
		}
		all.Go(func() {
			<-start
			replies[i] = w.send("", r)
		})
	}
	close(start)
	all.Wait()
	return replies
}

// Of 64 that exchange one code at the same time one gets tokens, and since two had
// the code, they are revoked.
func TestOneCodeExchangedAtOnce(t *testing.T) {
	for name, open := range backends {
		t.Run(name, func(t *testing.T) {
			w := newWorldOn(t, open(t))
			app := w.register()
			code := w.consent("ben", app.asking())
			var won []tokens
			for _, r := range w.together(app, "/oauth/token", url.Values{
				"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
			}) {
				if r.StatusCode == 200 {
					won = append(won, into[tokens](t, r))
				} else {
					r.wantError(t, 400, "invalid_grant")
				}
			}
			if len(won) != 1 {
				t.Fatalf("%d got tokens", len(won))
			}
			w.wantActive(app, won[0].Access, false)
			w.refresh(app, won[0].Refresh).wantError(t, 400, "invalid_grant")
			if n := count(w.audit("org"), "grant.reused"); n != 1 {
				t.Errorf("the log says %d times that the code was reused", n)
			}
		})
	}
}

// Of 64 that refresh with one token at the same time one rotates it, and the others
// get the same pair, as clients do whose answers were lost. Without a grace one gets
// tokens, and the family ends.
func TestOneTokenRefreshedAtOnce(t *testing.T) {
	for name, open := range backends {
		t.Run(name, func(t *testing.T) {
			store := open(t)
			w := newWorldOn(t, store)
			app := w.register()
			first := w.letIn("ben", app)
			pairs := map[tokens]int{}
			for _, r := range w.together(app, "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}}) {
				pairs[into[tokens](t, r.want(t, 200))]++
			}
			if len(pairs) != 1 {
				t.Fatalf("%d different answers", len(pairs))
			}
			for pair := range pairs {
				w.wantActive(app, pair.Access, true)
				w.refresh(app, pair.Refresh).want(t, 200)
			}

			w.server = nil // another service on the same store, without a grace
			strict := newWorldOn(t, store, noGrace)
			app = strict.register()
			first = strict.letIn("ben", app)
			var won []tokens
			for _, r := range strict.together(app, "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}}) {
				if r.StatusCode == 200 {
					won = append(won, into[tokens](t, r))
				} else {
					r.wantError(t, 400, "invalid_grant")
				}
			}
			if len(won) != 1 {
				t.Fatalf("%d got tokens", len(won))
			}
			strict.wantActive(app, won[0].Access, false)
			strict.refresh(app, won[0].Refresh).wantError(t, 400, "invalid_grant")
		})
	}
}

// Pushed requests count once, however many follow the link at the same time.
func TestOnePushedRequestTakenAtOnce(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	link := w.push(app, app.asking())
	results, start := make([]int, crowd), make(chan struct{})
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() {
			<-start
			results[i] = w.get("ben", link).StatusCode
		})
	}
	close(start)
	all.Wait()
	if n := len(results) - len(slices.DeleteFunc(results, func(s int) bool { return s == http.StatusSeeOther })); n != 1 {
		t.Errorf("%d got on", n)
	}
}

// The whole flow on each backend.
func TestFlowOnEachBackend(t *testing.T) {
	for name, open := range backends {
		t.Run(name, func(t *testing.T) {
			w := newWorldOn(t, open(t))
			app, phone := w.register(machine), w.register(public)
			got := w.letIn("ben", app)
			if w.authorize("ben", app.asking("prompt", "none")).back(t).Get("code") == "" {
				t.Error("consent isn't remembered")
			}
			w.pass(time.Hour)
			next := into[tokens](t, w.refresh(app, got.Refresh).want(t, 200))
			w.wantActive(app, got.Access, false)
			w.wantActive(app, next.Access, true)
			w.call(app, "/oauth/revoke", url.Values{"token": {next.Access}}).want(t, 200)
			w.wantActive(app, next.Access, false)
			w.get("ben", w.get("ben", w.push(phone, phone.asking())).Header.Get("Location")).want(t, 200)
			w.call(app, "/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"meetings:read"}}).want(t, 200)
			if err := w.server.BlockApp(t.Context(), people["ada"], app.ClientID, "x"); err != nil {
				t.Fatal(err)
			}
			w.refresh(app, next.Refresh).wantError(t, 400, "invalid_grant")
			if err := w.server.RevokeApp(t.Context(), people["ada"], app.ClientID, "x"); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(w.audit("org"), " "); got != "app.register app.register grant.begin grant.begin grant.begin app.block app.revoke" {
				t.Errorf("logged: %s", got)
			}
		})
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}
