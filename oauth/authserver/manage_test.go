package authserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

// wantRefusal is what people are told.
func wantRefusal(t testing.TB, err error, status int, code, field string) {
	t.Helper()
	var e *strikeplate.Error
	if !errors.As(err, &e) || e.Status != status || e.Code != code || e.Params["field"] != field {
		t.Errorf("got %#v, want %d %s %s", err, status, code, field)
	}
}

func TestRegisteringApps(t *testing.T) {
	w := newWorld(t)
	good := func(change ...func(*storage.App)) storage.App {
		app := storage.App{Name: "CRM", RedirectURIs: []string{callback}, Scopes: []string{"meetings:read"}}
		for _, f := range change {
			f(&app)
		}
		return app
	}
	uri := func(uri string) storage.App { return good(func(a *storage.App) { a.RedirectURIs = []string{uri} }) }
	origin := func(origin string) storage.App {
		return good(public, func(a *storage.App) { a.Origins = []string{origin} })
	}
	for name, c := range map[string]struct {
		app   storage.App
		field string
	}{
		"no name":             {good(func(a *storage.App) { a.Name = "  " }), "name"},
		"a long name":         {good(func(a *storage.App) { a.Name = strings.Repeat("x", 101) }), "name"},
		"a name that hides":   {good(func(a *storage.App) { a.Name = "Mavio\u202egnp" }), "name"},
		"a name of lines":     {good(func(a *storage.App) { a.Name = "Mavio\nSupport" }), "name"},
		"no width":            {good(func(a *storage.App) { a.Name = "Mav\u200bio" }), "name"},
		"home by http":        {good(func(a *storage.App) { a.Homepage = "http://crm.example" }), "homepage"},
		"home by script":      {good(func(a *storage.App) { a.Homepage = "javascript:alert(1)" }), "homepage"},
		"no redirect":         {good(func(a *storage.App) { a.RedirectURIs = nil }), "redirect_uris"},
		"a redirect twice":    {good(func(a *storage.App) { a.RedirectURIs = []string{callback, callback} }), "redirect_uris"},
		"many redirects":      {good(func(a *storage.App) { a.RedirectURIs = make([]string, 21) }), "redirect_uris"},
		"http":                {uri("http://crm.example/back"), "redirect_uris"},
		"a fragment":          {uri(callback + "#x"), "redirect_uris"},
		"an empty fragment":   {uri(callback + "#"), "redirect_uris"},
		"a wildcard":          {uri("https://*.crm.example/back"), "redirect_uris"},
		"a wildcard path":     {uri("https://crm.example/*"), "redirect_uris"},
		"a user":              {uri("https://crm.example@evil.example/"), "redirect_uris"},
		"a scheme of its own": {uri("crm:/back"), "redirect_uris"},
		"script":              {uri("javascript:alert(1)"), "redirect_uris"},
		"data":                {uri("data:text/html,x"), "redirect_uris"},
		"relative":            {uri("/back"), "redirect_uris"},
		"no host":             {uri("https:///back"), "redirect_uris"},
		"no name of a host":   {uri("https://:443/back"), "redirect_uris"},
		"dots":                {uri("https://crm.example/a/../back"), "redirect_uris"},
		"a backslash":         {uri(`https://crm.example\@evil.example/`), "redirect_uris"},
		"a space":             {uri("https://crm.example/ back"), "redirect_uris"},
		"not ASCII":           {uri("https://crm.exämple/back"), "redirect_uris"},
		"a NUL":               {uri("https://crm.example/\x00"), "redirect_uris"},
		"our parameter":       {uri(callback + "?code=x"), "redirect_uris"},
		"too long":            {uri(callback + strings.Repeat("x", 2000)), "redirect_uris"},
		"origin of a secret":  {good(func(a *storage.App) { a.Origins = []string{"https://crm.example"} }), "origins"},
		"origin with a path":  {origin("https://crm.example/"), "origins"},
		"origin null":         {origin("null"), "origins"},
		"origin by http":      {origin("http://crm.example"), "origins"},
		"origin in capitals":  {origin("https://CRM.example"), "origins"},
		"origin's own port":   {origin("https://crm.example:443"), "origins"},
		"any origin":          {origin("*"), "origins"},
		"no scopes":           {good(func(a *storage.App) { a.Scopes = nil }), "scopes"},
		"unknown scopes":      {good(func(a *storage.App) { a.Scopes = []string{"admin:all"} }), "scopes"},
		"public machine":      {good(public, machine), "client_credentials"},
		"public without PKCE": {good(public, noPKCE), "insecure_no_pkce"},
	} {
		_, _, err := w.server.RegisterApp(t.Context(), people["ada"], c.app)
		if err == nil {
			t.Errorf("%s: it is taken", name)
			continue
		}
		wantRefusal(t, err, 400, "invalid_request", c.field)
	}
	_, _, err := w.server.RegisterApp(t.Context(), people["lena"], good())
	wantRefusal(t, err, 402, "subscription_required", "")
	app, secret, err := w.server.RegisterApp(t.Context(), people["ada"], good(public, func(a *storage.App) {
		a.Origins = []string{"https://spa.example", "http://localhost:5173"}
		a.ClientID, a.Organisation, a.Creator, a.Source, a.Version = "mine", "other", "user_ben", storage.AppDynamic, 7
	}))
	if err != nil || secret.Reveal() != "" || app.ClientID == "mine" || app.Organisation != "org" || app.Creator != "user_ada" || app.Source != storage.AppRegistered {
		t.Errorf("%+v: %v", app, err)
	}
}

func TestWhoManagesApps(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	w.letIn("ben", app)
	ctx := t.Context()
	everything := map[string]func(ctx context.Context, a storage.Actor) error{
		"app.list": func(ctx context.Context, a storage.Actor) error {
			_, _, err := w.server.ListApps(ctx, a, storage.Query{})
			return err
		},
		"app.view": func(ctx context.Context, a storage.Actor) error {
			_, err := w.server.App(ctx, a, app.ClientID)
			return err
		},
		"app.register": func(ctx context.Context, a storage.Actor) error {
			_, _, err := w.server.RegisterApp(ctx, a, app.App)
			return err
		},
		"app.update": func(ctx context.Context, a storage.Actor) error {
			_, err := w.server.UpdateApp(ctx, a, app.App)
			return err
		},
		"app.rotate_secret": func(ctx context.Context, a storage.Actor) error {
			_, _, err := w.server.RotateAppSecret(ctx, a, app.ClientID, 0)
			return err
		},
		"app.revoke":  func(ctx context.Context, a storage.Actor) error { return w.server.RevokeApp(ctx, a, app.ClientID, "") },
		"app.block":   func(ctx context.Context, a storage.Actor) error { return w.server.BlockApp(ctx, a, app.ClientID, "") },
		"app.unblock": func(ctx context.Context, a storage.Actor) error { return w.server.UnblockApp(ctx, a, app.ClientID) },
		"app.list_grants": func(ctx context.Context, a storage.Actor) error {
			_, _, err := w.server.ListGrants(ctx, a, storage.GrantQuery{})
			return err
		},
		"app.revoke_grants": func(ctx context.Context, a storage.Actor) error {
			_, err := w.server.RevokeGrants(ctx, a, "user_ben", app.ClientID, "")
			return err
		},
		"blocks": func(ctx context.Context, a storage.Actor) error { _, err := w.server.Blocks(ctx, a); return err },
	}
	key := strikeplate.NewContext(ctx, &strikeplate.Principal{Kind: strikeplate.KindToken, Organisation: "org", Subject: "user_ada"})
	for name, do := range everything {
		if err := do(ctx, people["cleo"]); err == nil {
			t.Errorf("%s: a member may", name)
		} else {
			wantRefusal(t, err, 403, "forbidden", "")
		}
		wantRefusal(t, do(ctx, storage.Actor{}), 403, "forbidden", "")
		wantRefusal(t, do(ctx, storage.Actor{User: "x", Role: "admin"}), 403, "forbidden", "")
		wantRefusal(t, do(key, people["ada"]), 403, "forbidden", "") // a program
	}
	for _, name := range []string{"app.view", "app.update", "app.rotate_secret", "app.revoke", "app.unblock"} { // of another organisation
		wantRefusal(t, everything[name](ctx, people["mallory"]), 404, "app_not_found", "")
	}
	if apps, _, err := w.server.ListApps(ctx, people["mallory"], storage.Query{}); len(apps) > 0 || err != nil {
		t.Errorf("another organisation's apps: %v %v", apps, err)
	}
	entries, _, err := w.store.(storage.Audit).Entries(ctx, storage.Query{Organisation: "org", Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	denied := 0
	for _, e := range entries {
		if e.Action == authserver.ActionDenied && e.Actor.User == "user_cleo" {
			denied++
		}
	}
	if denied != len(everything)-1 { // Blocks asks for app.list, and one entry a minute is enough
		t.Errorf("%d denials are logged, of %d", denied, len(everything))
	}
}

func TestReplacedRule(t *testing.T) {
	var asked []string
	w := newWorld(t, func(c *authserver.Config) {
		c.Management.Authorize = func(_ context.Context, a storage.Actor, action string, k storage.Key) error {
			asked = append(asked, fmt.Sprint(a.User, " ", action, " ", k.Organisation, " ", k.Name))
			switch {
			case a.User == "user_ben" && action == "app.register", a.User == "user_ada":
				return nil
			case a.User == "user_cleo":
				return errors.New("the policies are gone")
			}
			return &strikeplate.Error{Status: 403, Code: "forbidden", Rule: "r1", Message: "No."}
		}
	})
	if _, _, err := w.server.RegisterApp(t.Context(), people["ben"], storage.App{Name: "Mine", RedirectURIs: []string{callback}, Scopes: []string{"meetings:read"}}); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.server.ListApps(t.Context(), people["ben"], storage.Query{})
	wantRefusal(t, err, 403, "forbidden", "")
	_, _, err = w.server.ListApps(t.Context(), people["cleo"], storage.Query{})
	if e := (*strikeplate.Error)(nil); err == nil || errors.As(err, &e) {
		t.Errorf("a rule that can't decide: %v", err)
	}
	_, _, err = w.server.ListApps(t.Context(), people["mallory"], storage.Query{})
	wantRefusal(t, err, 403, "forbidden", "")
	want := []string{"user_ben app.register org Mine", "user_ben app.list org ", "user_cleo app.list org ", "user_mallory app.list other "}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

func TestUpdatingApps(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	change := app.App
	change.Name, change.RedirectURIs, change.Public, change.Organisation = "CRM 2", []string{callback + "2"}, true, "other"
	got, err := w.server.UpdateApp(t.Context(), people["ada"], change)
	if err != nil || got.Name != "CRM 2" || got.Public || got.Organisation != "org" || got.Version != app.Version+1 {
		t.Fatalf("%+v %v", got, err)
	}
	_, err = w.server.UpdateApp(t.Context(), people["ada"], change)
	wantRefusal(t, err, 409, "conflict", "")
	change.Version, change.Scopes = got.Version, nil
	_, err = w.server.UpdateApp(t.Context(), people["ada"], change)
	wantRefusal(t, err, 400, "invalid_request", "scopes")
	w.authorize("ben", app.asking()).want(t, 400, "hasn't registered")
	page, next, err := w.server.ListApps(t.Context(), people["ada"], storage.Query{})
	if err != nil || next != "" || len(page) != 1 || page[0].Secrets[0].Hash != [32]byte{} || page[0].Secrets[0].Last4 != app.secret[len(app.secret)-4:] {
		t.Errorf("%+v %q %v", page, next, err)
	}
}

func TestRotatingSecrets(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	works := func(secret string) bool {
		t.Helper()
		r := w.call(registered{app.App, secret}, "/oauth/introspect", url.Values{"token": {"x"}})
		return r.StatusCode == http.StatusOK
	}
	rotate := func(overlap time.Duration) string {
		t.Helper()
		got, secret, err := w.server.RotateAppSecret(t.Context(), people["ada"], app.ClientID, overlap)
		if err != nil || len(got.Secrets) > 2 {
			t.Fatalf("%+v %v", got, err)
		}
		return secret.Reveal()
	}
	second := rotate(time.Hour)
	if !works(app.secret) || !works(second) {
		t.Error("within the overlap one of two doesn't work")
	}
	third := rotate(time.Hour)
	if works(app.secret) || !works(second) || !works(third) {
		t.Error("of three, not the newest two work")
	}
	w.pass(time.Hour)
	if works(second) || !works(third) {
		t.Error("the overlap doesn't end")
	}
	fourth := rotate(0)
	if works(third) || !works(fourth) {
		t.Error("without overlap the old secret works")
	}
	_, _, err := w.server.RotateAppSecret(t.Context(), people["ada"], app.ClientID, 8*day)
	wantRefusal(t, err, 400, "invalid_request", "overlap")
	_, _, err = w.server.RotateAppSecret(t.Context(), people["ada"], w.register(public).ClientID, 0)
	wantRefusal(t, err, 400, "invalid_request", "client_id")
	if got := w.audit("org"); !slices.Contains(got, "app.rotate_secret") {
		t.Errorf("logged: %v", got)
	}
}

func TestRevokingApps(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	ben, mallory := w.letIn("ben", app), w.letIn("mallory", app)
	code := w.consent("ada", app.asking())
	own := w.register()
	if err := w.server.RevokeApp(t.Context(), people["ada"], app.ClientID, "it leaked"); err != nil {
		t.Fatal(err)
	}
	w.exchange(app, code).wantError(t, 401, "invalid_client")
	w.refresh(app, ben.Refresh).wantError(t, 401, "invalid_client")
	w.authorize("ben", app.asking()).want(t, 400, "revoked")
	api := w.api(w.issuer)
	for _, token := range []string{ben.Access, mallory.Access} { // in every organisation
		if status, _ := w.whoami(api, token); status != 401 {
			t.Errorf("a token of a revoked app: %d", status)
		}
	}
	if err := w.server.RevokeApp(t.Context(), people["ada"], app.ClientID, "again"); err != nil {
		t.Error(err)
	}
	_, err := w.server.UpdateApp(t.Context(), people["ada"], app.App)
	wantRefusal(t, err, 409, "revoked_app", "")
	_, _, err = w.server.RotateAppSecret(t.Context(), people["ada"], app.ClientID, 0)
	wantRefusal(t, err, 409, "revoked_app", "")
	wantRefusal(t, w.server.RevokeApp(t.Context(), people["ada"], own.ClientID, strings.Repeat("x", 201)), 400, "invalid_request", "reason")
	wantRefusal(t, w.server.RevokeApp(t.Context(), people["ada"], "app_X", ""), 404, "app_not_found", "")
}

func TestBlockingApps(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	ben, mallory := w.letIn("ben", app), w.letIn("mallory", app)
	code := w.consent("mallory", app.asking())
	if err := w.server.BlockApp(t.Context(), people["mallory"], app.ClientID, "not ours"); err != nil {
		t.Fatal(err)
	}
	w.exchange(app, code).wantError(t, 400, "invalid_grant")
	w.refresh(app, mallory.Refresh).wantError(t, 400, "invalid_grant")
	page := w.authorize("mallory", app.asking()).want(t, 403, "An administrator of your organisation keeps this app out")
	if !strings.Contains(page.body, "error=access_denied") {
		t.Error("there is no way back to the app")
	}
	if back := w.authorize("mallory", app.asking("prompt", "none")).back(t); back.Get("error") != "access_denied" {
		t.Errorf("back with %v", back)
	}
	w.refresh(app, ben.Refresh).want(t, 200) // elsewhere nothing changes
	blocks, err := w.server.Blocks(t.Context(), people["mallory"])
	if err != nil || len(blocks) != 1 || blocks[0].ClientID != app.ClientID || blocks[0].By != "user_mallory" || blocks[0].Because != "not ours" {
		t.Errorf("%+v %v", blocks, err)
	}
	if got, err := w.server.App(t.Context(), people["mallory"], app.ClientID); err != nil || got.Name != app.Name {
		t.Errorf("a blocked app can't be looked at: %v", err)
	}
	if err := w.server.UnblockApp(t.Context(), people["mallory"], app.ClientID); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, w.server.UnblockApp(t.Context(), people["mallory"], app.ClientID), 404, "app_not_found", "")
	wantRefusal(t, w.server.BlockApp(t.Context(), people["mallory"], "app_X", ""), 404, "app_not_found", "")
	w.refresh(app, mallory.Refresh).wantError(t, 400, "invalid_grant") // what was revoked stays so
	w.letIn("mallory", app)
	if diff := cmp.Diff([]string{"grant.begin", "grant.begin", "app.block", "app.unblock", "grant.begin"}, w.audit("other")); diff != "" {
		t.Error(diff)
	}
}

func TestPeopleSeeWhatTheyLetIn(t *testing.T) {
	w := newWorld(t)
	app := w.register()
	w.letIn("ben", app)
	w.letIn("mallory", app)
	grants, _, err := w.server.ListGrants(t.Context(), people["ben"], storage.GrantQuery{Subject: "user_ben"})
	if err != nil || len(grants) != 1 || grants[0].ClientID != app.ClientID || grants[0].Subject != "user_ben" {
		t.Fatalf("%+v %v", grants, err)
	}
	if got, err := w.server.App(t.Context(), people["ben"], app.ClientID); err != nil || got.Name != "CRM Sync" {
		t.Errorf("the app of one's own grant: %v", err)
	}
	if got, err := w.server.App(t.Context(), people["mallory"], app.ClientID); err != nil || got.Name != "CRM Sync" {
		t.Errorf("another organisation's app that was let in: %v", err)
	}
	// An organisation in the query is not the actor's to choose.
	grants, _, err = w.server.ListGrants(t.Context(), people["ada"], storage.GrantQuery{Query: storage.Query{Organisation: "other"}})
	if err != nil || len(grants) != 1 || grants[0].Organisation != "org" {
		t.Errorf("%+v %v", grants, err)
	}
	if n, err := w.server.RevokeGrants(t.Context(), people["mallory"], "user_ben", app.ClientID, ""); n != 0 || err != nil {
		t.Errorf("another organisation revoked %d: %v", n, err)
	}
	if n, err := w.server.RevokeGrants(t.Context(), people["ada"], "user_ben", app.ClientID, "left the team"); n != 1 || err != nil {
		t.Errorf("an administrator revoked %d: %v", n, err)
	}
	_, err = w.server.RevokeGrants(t.Context(), people["ben"], "user_ben", "", "")
	wantRefusal(t, err, 400, "invalid_request", "client_id")
	_, _, err = w.server.ListGrants(t.Context(), people["ben"], storage.GrantQuery{Query: storage.Query{Cursor: "x"}, Subject: "user_ben"})
	wantRefusal(t, err, 400, "invalid_request", "cursor")
}

func TestAppLimit(t *testing.T) {
	w := newWorld(t)
	for range storage.MaxApps {
		w.register()
	}
	_, _, err := w.server.RegisterApp(t.Context(), people["ada"], storage.App{Name: "One more", RedirectURIs: []string{callback}, Scopes: []string{"meetings:read"}})
	wantRefusal(t, err, 409, "app_limit_reached", "")
}
