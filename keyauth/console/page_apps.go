package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

func (s *Console) routeApps(get, post func(pattern string, p page)) {
	get("/apps", s.showApps)
	get("/apps/new", s.showRegister)
	post("/apps", s.postRegister)
	get("/apps/{id}", s.showApp)
	get("/apps/{id}/edit", s.showEditApp)
	post("/apps/{id}/edit", s.postEditApp)
	get("/apps/{id}/secret", s.showAppSecret)
	post("/apps/{id}/secret", s.postAppSecret)
	get("/apps/{id}/revoke", s.showRevokeApp)
	post("/apps/{id}/revoke", s.postRevokeApp)
	get("/apps/{id}/block", s.showBlockApp)
	post("/apps/{id}/block", s.postBlockApp)
	post("/apps/{id}/unblock", s.postUnblockApp)
	get("/connections", s.showConnections)
	get("/connections/{id}/revoke", s.showDisconnect)
	post("/connections/{id}/revoke", s.postDisconnect)
}

// codeNoApp is how [Apps] refuse an app that isn't theirs to show.
const codeNoApp = "app_not_found"

// appRow is an OAuth app as pages show it.
type appRow struct {
	storage.App
	CreatorName string
	Path        string
	Kind        string
	Own         bool // registered by the actor's organisation
	Active      bool
	Changeable  bool
	Block       *storage.Block // by the actor's organisation
	BlockedBy   string
	Chips       []string
	More        int
	Live        []storage.AppSecret // that still work
}

func (v *visit) appRow(a storage.App, n names) appRow {
	r := appRow{
		App: a, CreatorName: n.of(a.Creator), Path: v.s.path(appPath(a.ClientID, "")), Kind: "Confidential",
		Own: a.Organisation == v.actor.Organisation, Active: a.Revoked.IsZero(),
	}
	if a.Name == "" {
		r.Name = a.ClientID
	}
	if a.Public {
		r.Kind = "Public"
	}
	r.Changeable = r.Own && r.Active
	r.Chips = a.Scopes[:min(len(a.Scopes), chipsShown)]
	r.More = len(a.Scopes) - len(r.Chips)
	for _, secret := range a.Secrets {
		if r.Active && (secret.Expires.IsZero() || v.now.Before(secret.Expires)) {
			r.Live = append(r.Live, secret)
		}
	}
	return r
}

func appPath(clientID, tail string) string { return "/apps/" + url.PathEscape(clientID) + tail }

// connection is an app with what people let it do.
type connection struct {
	App    appRow
	People int
	Scopes []string // of all grants
	Since  time.Time
	Path   string // of its end
}

// mostGrants is how many grants pages look at; the newest come first.
const mostGrants = 1000

// connections are the apps that a user let in, or with an empty subject anybody
// of the organisation.
func (v *visit) connections(subject string, n names) (all []connection, cut bool, err error) {
	grants, next, err := v.s.c.Apps.ListGrants(v.r.Context(), v.actor, storage.GrantQuery{
		Query:   storage.Query{Organisation: v.actor.Organisation, Status: storage.Active, Now: v.now, Limit: mostGrants},
		Subject: subject,
	})
	if err != nil {
		return nil, false, err
	}
	at, people := map[string]int{}, map[[2]string]bool{}
	for _, g := range grants {
		i, known := at[g.ClientID]
		if !known {
			app, err := v.lookUpApp(v.r.Context(), g.ClientID)
			if err != nil {
				return nil, false, err
			}
			i = len(all)
			at[g.ClientID] = i
			all = append(all, connection{App: v.appRow(app, n), Path: v.s.path("/connections/" + url.PathEscape(g.ClientID) + "/revoke")})
		}
		c := &all[i]
		c.Since = g.Created // the oldest comes last
		if who := [2]string{g.ClientID, g.Subject}; g.Subject != "" && !people[who] {
			people[who] = true
			c.People++
		}
		for _, scope := range g.Scopes {
			if !slices.Contains(c.Scopes, scope) {
				c.Scopes = append(c.Scopes, scope)
			}
		}
	}
	for i := range all {
		slices.Sort(all[i].Scopes)
	}
	return all, next != "", nil
}

// lookUpApp returns an app; of one that is gone, nothing but its id.
func (v *visit) lookUpApp(ctx context.Context, clientID string) (storage.App, error) {
	app, err := v.s.c.Apps.App(ctx, v.actor, clientID)
	var told *strikeplate.Error
	if errors.As(err, &told) && told.Status == http.StatusNotFound {
		return storage.App{ClientID: clientID}, nil
	}
	return app, err
}

// appsView is what an administrator sees of apps.
type appsView struct {
	Rows    []appRow
	Filters []filter
	Empty   string
	Any     bool // another filter than the default
	Next    string
	Later   bool
	LetIn   []connection
	Cut     bool // there are more grants than were looked at
	Blocked []appRow
	Missing map[string]bool
}

var appStatuses = []struct {
	title, name string
	status      storage.Status
	empty       string
}{
	{"Active", "", storage.Active, "No app is registered."},
	{"Revoked", "revoked", storage.Revoked, "No app was revoked."},
	{"All", "all", storage.AnyStatus, "No app is registered."},
}

func (s *Console) showApps(v *visit) error {
	query := v.r.URL.Query()
	view := appsView{Later: query.Get("cursor") != "", Missing: map[string]bool{}}
	chosen := appStatuses[0]
	for _, st := range appStatuses {
		f := filter{Title: st.title, Path: s.path("/apps")}
		if st.name != "" {
			f.Path += "?status=" + st.name
		}
		if st.name == query.Get("status") {
			chosen, f.Current = st, true
		}
		view.Filters = append(view.Filters, f)
	}
	page, next, err := s.c.Apps.ListApps(v.r.Context(), v.actor, storage.Query{
		Organisation: v.actor.Organisation, Status: chosen.status, Now: v.now, Cursor: query.Get("cursor"),
	})
	if err != nil {
		return err
	}
	n := s.names(v.r.Context(), v.actor)
	for _, a := range page {
		view.Rows = append(view.Rows, v.appRow(a, n))
	}
	view.Empty, view.Any = chosen.empty, chosen.name != ""
	if next != "" {
		view.Next = s.path("/apps") + "?" + url.Values{"status": {chosen.name}, "cursor": {next}}.Encode()
	}
	if view.LetIn, view.Cut, err = v.connections("", n); err != nil {
		view.Missing["grants"] = true
	}
	if view.Blocked, err = v.blocked(n); err != nil {
		view.Missing["blocks"] = true
	}
	return v.show("apps.html", "OAuth apps", "apps", view)
}

// blocked are the apps that the organisation keeps out.
func (v *visit) blocked(n names) ([]appRow, error) {
	blocks, err := v.s.c.Apps.Blocks(v.r.Context(), v.actor)
	if err != nil {
		return nil, err
	}
	rows := make([]appRow, 0, len(blocks))
	for _, b := range blocks {
		app, err := v.lookUpApp(v.r.Context(), b.ClientID)
		if err != nil {
			return nil, err
		}
		r := v.appRow(app, n)
		r.Block, r.BlockedBy = &b, n.of(b.By)
		rows = append(rows, r)
	}
	return rows, nil
}

// app is the one that the visit is about.
func (v *visit) app() (appRow, error) {
	app, err := v.s.c.Apps.App(v.r.Context(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return appRow{}, err
	}
	n := v.s.names(v.r.Context(), v.actor)
	r := v.appRow(app, n)
	blocks, err := v.s.c.Apps.Blocks(v.r.Context(), v.actor)
	if err != nil {
		return appRow{}, err
	}
	for _, b := range blocks {
		if b.ClientID == app.ClientID {
			r.Block, r.BlockedBy = &b, n.of(b.By)
		}
	}
	return r, nil
}

// ownApp is the one that the visit is about, if the organisation registered it.
func (v *visit) ownApp() (appRow, error) {
	app, err := v.app()
	if err == nil && !app.Own {
		err = refuse(http.StatusNotFound, codeNoApp, "Your organisation didn't register that app.")
	}
	return app, err
}

// appView is an app and who let it in.
type appView struct {
	appRow
	Grants []grantRow
	Cut    bool
}

type grantRow struct {
	storage.Grant
	Who string
}

func (s *Console) showApp(v *visit) error {
	app, err := v.app()
	if err != nil {
		return err
	}
	grants, next, err := s.c.Apps.ListGrants(v.r.Context(), v.actor, storage.GrantQuery{
		Query:    storage.Query{Organisation: v.actor.Organisation, Status: storage.Active, Now: v.now},
		ClientID: app.ClientID,
	})
	if err != nil {
		return err
	}
	view, n := appView{appRow: app, Cut: next != ""}, s.names(v.r.Context(), v.actor)
	for _, g := range grants {
		who := n.of(g.Subject)
		if who == "" {
			who = "Your organisation itself"
		}
		view.Grants = append(view.Grants, grantRow{g, who})
	}
	return v.show("app.html", app.Name, "apps", view)
}

// confirmed is what must be typed to end more than one key.
const confirmed = "revoke"

// endForm ends something about an app.
type endForm struct {
	App           appRow
	Typed, Reason string
}

func (v *visit) endForm(app appRow, err error) (endForm, error) {
	return endForm{App: app, Typed: v.r.PostForm.Get("confirm"), Reason: v.r.PostForm.Get("reason")}, err
}

func (s *Console) showRevokeApp(v *visit) error {
	f, err := v.endForm(v.ownApp())
	if err != nil {
		return err
	}
	return v.show("revoke-app.html", "Revoke "+f.App.Name, "apps", f)
}

func (s *Console) postRevokeApp(v *visit) error {
	f, err := v.endForm(v.ownApp())
	if err != nil {
		return err
	}
	if !strings.EqualFold(strings.TrimSpace(f.Typed), confirmed) {
		err = invalid("confirm", "type "+confirmed)
	} else {
		err = s.c.Apps.RevokeApp(v.r.Context(), v.actor, f.App.ClientID, f.Reason)
	}
	if err != nil {
		return v.againApp(err, "revoke-app.html", "Revoke "+f.App.Name, f)
	}
	return v.leave("/apps", "app-revoked")
}

func (s *Console) showBlockApp(v *visit) error {
	f, err := v.endForm(v.app())
	if err != nil {
		return err
	}
	return v.show("block-app.html", "Block "+f.App.Name, "apps", f)
}

func (s *Console) postBlockApp(v *visit) error {
	f, err := v.endForm(v.app())
	if err != nil {
		return err
	}
	if err := s.c.Apps.BlockApp(v.r.Context(), v.actor, f.App.ClientID, f.Reason); err != nil {
		return v.againApp(err, "block-app.html", "Block "+f.App.Name, f)
	}
	return v.leave("/apps", "app-blocked")
}

func (s *Console) postUnblockApp(v *visit) error {
	if err := s.c.Apps.UnblockApp(v.r.Context(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	}
	return v.leave("/apps", "app-unblocked")
}

// connectionsView is what people see of the apps that they let in themselves.
type connectionsView struct {
	Connections []connection
	Cut         bool
}

func (s *Console) showConnections(v *visit) error {
	var view connectionsView
	var err error
	if view.Connections, view.Cut, err = v.connections(v.actor.User, nil); err != nil {
		return err
	}
	return v.show("connections.html", "Your apps", "connections", view)
}

func (v *visit) connection() (connection, error) {
	all, _, err := v.connections(v.actor.User, nil)
	if err != nil {
		return connection{}, err
	}
	for _, c := range all {
		if c.App.ClientID == v.r.PathValue("id") {
			return c, nil
		}
	}
	return connection{}, &strikeplate.Error{
		Status: http.StatusNotFound, Code: codeNoApp, Message: "You have not let that app in, or no longer do.",
	}
}

func (s *Console) showDisconnect(v *visit) error {
	c, err := v.connection()
	if err != nil {
		return err
	}
	return v.show("disconnect.html", "Disconnect "+c.App.Name, "connections", c)
}

func (s *Console) postDisconnect(v *visit) error {
	c, err := v.connection()
	if err != nil {
		return err
	}
	if _, err := s.c.Apps.RevokeGrants(v.r.Context(), v.actor, v.actor.User, c.App.ClientID, "disconnected"); err != nil {
		return v.againIn("connections", err, "disconnect.html", "Disconnect "+c.App.Name, c)
	}
	return v.leave("/connections", "disconnected")
}
