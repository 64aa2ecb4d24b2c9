package console

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// appForm registers an app, or changes one.
type appForm struct {
	App       *appRow // nil: a new one
	Once      string
	Version   int64
	Name      string
	Homepage  string
	Public    bool
	Redirects string
	Origins   string
	Machine   bool // client credentials
	NoPKCE    bool
	Groups    []scope.Group
	Checked   map[string]bool
}

// appForm makes the form of what was sent, or else of the app as it is.
func (v *visit) appForm(app *appRow) appForm {
	f := appForm{App: app, Groups: v.s.c.Catalog.Groups(), Checked: map[string]bool{}}
	if v.r.Method == http.MethodGet && app != nil {
		f.Version, f.Name, f.Homepage, f.Public = app.Version, app.Name, app.Homepage, app.Public
		f.Redirects, f.Origins = strings.Join(app.RedirectURIs, "\n"), strings.Join(app.Origins, "\n")
		f.Machine, f.NoPKCE = app.ClientCredentials, app.InsecureNoPKCE
		for _, text := range app.Scopes {
			f.Checked[text] = true
		}
		return f
	}
	sent := v.r.PostForm
	f.Once, f.Name, f.Homepage, f.Public = nonce(sent.Get("once")), sent.Get("name"), sent.Get("homepage"), sent.Get("kind") == "public"
	f.Redirects, f.Origins = sent.Get("redirect_uris"), sent.Get("origins")
	f.Machine, f.NoPKCE = sent.Get("client_credentials") != "", sent.Get("no_pkce") != ""
	for _, text := range sent["scope"] {
		f.Checked[text] = true
	}
	if app != nil {
		f.Public = app.Public
		f.Version, _ = strconv.ParseInt(sent.Get("version"), 10, 64) // 0 is no app's, so it conflicts
	}
	return f
}

// read is the app that the form asks for.
func (f appForm) read(scopes []string) storage.App {
	return storage.App{
		Name: f.Name, Homepage: strings.TrimSpace(f.Homepage), Public: f.Public, RedirectURIs: strings.Fields(f.Redirects),
		Origins: strings.Fields(f.Origins), Scopes: scopes, ClientCredentials: f.Machine, InsecureNoPKCE: f.NoPKCE, Version: f.Version,
	}
}

func (s *Console) showRegister(v *visit) error {
	// Asked first: a form that would only be refused isn't shown.
	if _, _, err := s.c.Apps.ListApps(v.r.Context(), v.actor, storage.Query{Organisation: v.actor.Organisation, Now: v.now, Limit: 1}); err != nil {
		return err
	}
	return v.show("register-app.html", "Register an app", "apps", v.appForm(nil))
}

func (s *Console) postRegister(v *visit) error {
	sent := v.r.PostForm
	v.presetScopes(sent.Get("preset"))
	f := v.appForm(nil)
	if sent.Get("preset") != "" {
		return v.show("register-app.html", "Register an app", "apps", f)
	}
	var app storage.App
	var secret strikeplate.Secret
	wanted := f.read(sent["scope"])
	target, done, err := s.once(v.r.Context(), request{actor: v.actor, route: "register page", key: f.Once, body: wanted},
		func(ctx context.Context) (string, error) {
			var err error
			app, secret, err = s.c.Apps.RegisterApp(ctx, v.actor, wanted)
			return app.ClientID, err
		})
	switch {
	case err != nil:
		return v.againApp(err, "register-app.html", "Register an app", f)
	case !done:
		return v.leave(appPath(target, ""), "app-shown")
	}
	return v.showAppSecret("Your new app", app, secret)
}

// againApp is again, for forms about apps.
func (v *visit) againApp(err error, name, title string, body any) error {
	return v.againIn("apps", err, name, title, body)
}

func (s *Console) showEditApp(v *visit) error {
	app, err := v.ownApp()
	if err != nil {
		return err
	}
	return v.show("register-app.html", "Edit "+app.Name, "apps", v.appForm(&app))
}

func (s *Console) postEditApp(v *visit) error {
	app, err := v.ownApp()
	if err != nil {
		return err
	}
	preset := v.r.PostForm.Get("preset")
	v.presetScopes(preset)
	f := v.appForm(&app)
	if preset != "" {
		return v.show("register-app.html", "Edit "+app.Name, "apps", f)
	}
	wanted := f.read(v.r.PostForm["scope"])
	wanted.ClientID = app.ClientID
	if _, err := s.c.Apps.UpdateApp(v.r.Context(), v.actor, wanted); err != nil {
		if conflicts(err) {
			f.Version = app.Version // sending it again is meant
		}
		return v.againApp(err, "register-app.html", "Edit "+app.Name, f)
	}
	return v.leave(appPath(app.ClientID, ""), "changed")
}

// appSecretForm asks how long the old secret goes on working.
type appSecretForm struct {
	App      appRow
	Newest   string // the last four of the newest secret, that the form is about
	Overlaps []lifetime
}

func (v *visit) appSecretForm(app appRow) appSecretForm {
	return appSecretForm{App: app, Newest: newest(app.App), Overlaps: v.s.overlaps(v.r.PostForm.Get("overlap"))}
}

func newest(app storage.App) string {
	if len(app.Secrets) == 0 {
		return ""
	}
	return app.Secrets[len(app.Secrets)-1].Last4
}

func (s *Console) showAppSecret(v *visit) error {
	app, err := v.ownApp()
	if err != nil {
		return err
	}
	return v.show("app-secret.html", "New secret for "+app.Name, "apps", v.appSecretForm(app))
}

// postAppSecret replaces the secret that the form was about, and no later one: a
// form that is sent again would put an end to what was just shown.
func (s *Console) postAppSecret(v *visit) error {
	app, err := v.ownApp()
	if err != nil {
		return err
	}
	f := v.appSecretForm(app)
	if v.r.PostForm.Get("newest") != f.Newest {
		return v.leave(appPath(app.ClientID, ""), "app-shown")
	}
	overlap, err := time.ParseDuration(v.r.PostForm.Get("overlap"))
	if err != nil {
		return v.againApp(invalid("overlap", "choose how long the old secret goes on working"), "app-secret.html", "New secret for "+app.Name, f)
	}
	changed, secret, err := s.c.Apps.RotateAppSecret(v.r.Context(), v.actor, app.ClientID, overlap)
	if err != nil {
		return v.againApp(err, "app-secret.html", "New secret for "+app.Name, f)
	}
	return v.showAppSecret("The app's new secret", changed, secret)
}

// appSecretView is an app with its new secret, on the one page that has it.
type appSecretView struct {
	App    appRow
	Secret string // empty: a public app
	Prefix string // of the names of variables
}

func (v *visit) showAppSecret(title string, app storage.App, secret strikeplate.Secret) error {
	prefix := strings.TrimSuffix(strings.TrimSuffix(v.s.c.Product.EnvironmentVariable, "_KEY"), "_API")
	view := appSecretView{App: v.appRow(app, nil), Secret: secret.Reveal(), Prefix: prefix}
	return v.render(http.StatusOK, "app-shown.html", v.s.layout(title, "apps", view))
}
