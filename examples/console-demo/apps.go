package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// apps are OAuth apps in memory, in place of an authorization server.
type apps struct {
	now    func() time.Time
	mu     sync.Mutex
	apps   []storage.App // the oldest first
	grants []storage.Grant
	blocks []storage.Block
}

func (*apps) refuse(status int, code, message string) error {
	return &strikeplate.Error{Status: status, Code: code, Message: message}
}

func (s *apps) admins(a storage.Actor) error {
	if a.Role != "admin" {
		return s.refuse(http.StatusForbidden, "forbidden", "Only administrators can manage apps.")
	}
	return nil
}

func (s *apps) at(clientID string) int {
	return slices.IndexFunc(s.apps, func(a storage.App) bool { return a.ClientID == clientID })
}

// own finds an app that the actor may change. The lock is held.
func (s *apps) own(a storage.Actor, clientID string) (*storage.App, error) {
	if err := s.admins(a); err != nil {
		return nil, err
	}
	i := s.at(clientID)
	if i < 0 || s.apps[i].Organisation != a.Organisation {
		return nil, s.refuse(http.StatusNotFound, "app_not_found", "There is no such app.")
	}
	return &s.apps[i], nil
}

func (s *apps) ListApps(_ context.Context, a storage.Actor, q storage.Query) (page []storage.App, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admins(a); err != nil {
		return nil, "", err
	}
	skip, _ := strconv.Atoi(q.Cursor)
	for i := len(s.apps) - 1; i >= 0; i-- {
		app := s.apps[i]
		status := storage.Active
		if !app.Revoked.IsZero() {
			status = storage.Revoked
		}
		if app.Organisation != a.Organisation || !status.In(q.Status) {
			continue
		}
		if skip--; skip >= 0 {
			continue
		}
		if len(page) == q.PageSize() {
			skip, _ = strconv.Atoi(q.Cursor)
			return page, strconv.Itoa(skip + len(page)), nil
		}
		page = append(page, app)
	}
	return page, "", nil
}

func (s *apps) App(_ context.Context, a storage.Actor, clientID string) (storage.App, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.at(clientID)
	seen := i >= 0 && a.Role == "admin" && s.apps[i].Organisation == a.Organisation
	for _, g := range s.grants {
		seen = seen || g.ClientID == clientID && g.Organisation == a.Organisation && (a.Role == "admin" || g.Subject == a.User)
	}
	for _, b := range s.blocks {
		seen = seen || b.ClientID == clientID && b.Organisation == a.Organisation && a.Role == "admin"
	}
	if i < 0 || !seen {
		return storage.App{}, s.refuse(http.StatusNotFound, "app_not_found", "There is no such app.")
	}
	return s.apps[i], nil
}

func (s *apps) RegisterApp(_ context.Context, a storage.Actor, app storage.App) (storage.App, strikeplate.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admins(a); err != nil {
		return storage.App{}, strikeplate.Secret{}, err
	}
	if err := s.check(app); err != nil {
		return storage.App{}, strikeplate.Secret{}, err
	}
	app.ClientID, app.Organisation, app.Creator, app.Source = "app_"+rand.Text(), a.Organisation, a.User, storage.AppRegistered
	app.Created, app.Version = s.now(), 1
	var secret string
	if !app.Public {
		secret = s.addSecret(&app, 0)
	}
	s.apps = append(s.apps, app)
	return app, strikeplate.NewSecret(secret), nil
}

// check knows the rules that the demo shows.
func (s *apps) check(app storage.App) error {
	invalid := func(field, message string) error {
		return &strikeplate.Error{Status: http.StatusBadRequest, Code: "invalid_request", Message: field + ": " + message + ".", Params: map[string]string{"field": field}}
	}
	if strings.TrimSpace(app.Name) == "" {
		return invalid("name", "give the app a name")
	}
	if len(app.Scopes) == 0 {
		return invalid("scopes", "choose at least one")
	}
	for _, uri := range app.RedirectURIs {
		if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://127.0.0.1") {
			return invalid("redirect_uris", "use https, or http on loopback")
		}
	}
	return nil
}

func (s *apps) addSecret(app *storage.App, overlap time.Duration) string {
	text := "cs_" + rand.Text()
	for i := range app.Secrets {
		app.Secrets[i].Expires = s.now().Add(overlap)
	}
	app.Secrets = append(app.Secrets, storage.AppSecret{Hash: sha256.Sum256([]byte(text)), Last4: text[len(text)-4:], Created: s.now()})
	app.Secrets = app.Secrets[max(0, len(app.Secrets)-2):]
	return text
}

func (s *apps) UpdateApp(_ context.Context, a storage.Actor, app storage.App) (storage.App, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, err := s.own(a, app.ClientID)
	if err == nil {
		err = s.check(app)
	}
	switch {
	case err != nil:
		return storage.App{}, err
	case !was.Revoked.IsZero():
		return storage.App{}, s.refuse(http.StatusConflict, "revoked_app", "The app is revoked.")
	case was.Version != app.Version:
		return storage.App{}, s.refuse(http.StatusConflict, "conflict", "The app was changed by somebody else meanwhile. Look at it again.")
	}
	was.Name, was.Homepage, was.RedirectURIs, was.Origins, was.Scopes = app.Name, app.Homepage, app.RedirectURIs, app.Origins, app.Scopes
	was.ClientCredentials, was.InsecureNoPKCE = app.ClientCredentials, app.InsecureNoPKCE
	was.Version++
	return *was, nil
}

func (s *apps) RotateAppSecret(_ context.Context, a storage.Actor, clientID string, overlap time.Duration) (storage.App, strikeplate.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	app, err := s.own(a, clientID)
	if err != nil {
		return storage.App{}, strikeplate.Secret{}, err
	}
	if app.Public || !app.Revoked.IsZero() {
		return storage.App{}, strikeplate.Secret{}, s.refuse(http.StatusConflict, "revoked_app", "The app can't have a new secret.")
	}
	app.Version++
	secret := s.addSecret(app, overlap)
	return *app, strikeplate.NewSecret(secret), nil
}

func (s *apps) RevokeApp(_ context.Context, a storage.Actor, clientID, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	app, err := s.own(a, clientID)
	if err != nil || !app.Revoked.IsZero() {
		return err
	}
	app.Revoked, app.RevokedBecause = s.now(), reason
	app.Version++
	s.end(func(g storage.Grant) bool { return g.ClientID == clientID }, reason)
	return nil
}

// end revokes grants, and says how many.
func (s *apps) end(which func(storage.Grant) bool, reason string) (n int) {
	for i, g := range s.grants {
		if which(g) && g.Revoked.IsZero() {
			s.grants[i].Revoked, s.grants[i].RevokedBecause = s.now(), reason
			n++
		}
	}
	return n
}

func (s *apps) ListGrants(_ context.Context, a storage.Actor, q storage.GrantQuery) (page []storage.Grant, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admins(a); err != nil && q.Subject != a.User {
		return nil, "", err
	}
	for i := len(s.grants) - 1; i >= 0; i-- {
		g := s.grants[i]
		status := storage.Active
		if !g.Revoked.IsZero() {
			status = storage.Revoked
		}
		if g.Organisation == a.Organisation && status.In(q.Status) && (q.Subject == "" || g.Subject == q.Subject) && (q.ClientID == "" || g.ClientID == q.ClientID) {
			page = append(page, g)
		}
	}
	return page, "", nil
}

func (s *apps) RevokeGrants(_ context.Context, a storage.Actor, subject, clientID, reason string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admins(a); err != nil && subject != a.User {
		return 0, err
	}
	return s.end(func(g storage.Grant) bool {
		return g.Organisation == a.Organisation && g.Subject == subject && g.ClientID == clientID
	}, reason), nil
}

func (s *apps) Blocks(_ context.Context, a storage.Actor) (all []storage.Block, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admins(a); err != nil {
		return nil, err
	}
	for _, b := range s.blocks {
		if b.Organisation == a.Organisation {
			all = append(all, b)
		}
	}
	return all, nil
}

func (s *apps) BlockApp(_ context.Context, a storage.Actor, clientID, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admins(a); err != nil {
		return err
	}
	s.blocks = append(s.blocks, storage.Block{Organisation: a.Organisation, ClientID: clientID, By: a.User, Because: reason, At: s.now()})
	s.end(func(g storage.Grant) bool { return g.Organisation == a.Organisation && g.ClientID == clientID }, reason)
	return nil
}

func (s *apps) UnblockApp(_ context.Context, a storage.Actor, clientID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admins(a); err != nil {
		return err
	}
	before := len(s.blocks)
	s.blocks = slices.DeleteFunc(s.blocks, func(b storage.Block) bool { return b.Organisation == a.Organisation && b.ClientID == clientID })
	if len(s.blocks) == before {
		return s.refuse(http.StatusNotFound, "app_not_found", "That app isn't blocked.")
	}
	return nil
}

// letIn makes up what was registered and let in.
func (s *apps) letIn() {
	ago := func(days int) time.Time { return s.now().AddDate(0, 0, -days) }
	secret := []storage.AppSecret{{Last4: "9QXA", Created: ago(90)}}
	s.apps = []storage.App{
		{ClientID: "app_old", Organisation: "org_acme", Name: "Old prototype", Scopes: []string{"meetings:read"}, Creator: "user_ada", Source: storage.AppRegistered, Secrets: secret,
			RedirectURIs: []string{"http://127.0.0.1:9000/back"}, Created: ago(300), Revoked: ago(200), RevokedBecause: "replaced", Version: 2},
		{ClientID: "app_crm", Organisation: "org_acme", Name: "CRM connector", Homepage: "https://crm.example", Scopes: []string{"meetings:read", "notes:read", "action-items:read", "action-items:write"}, Creator: "user_ada",
			Source: storage.AppRegistered, Secrets: secret, RedirectURIs: []string{"https://crm.example/oauth/callback"}, Created: ago(90), InsecureNoPKCE: true, Version: 1},
		{ClientID: "app_phone", Organisation: "org_acme", Name: "Notes for telephones", Public: true, Scopes: []string{"notes:read", "notes:write"}, Creator: "user_ada", Source: storage.AppRegistered,
			RedirectURIs: []string{"https://notes.example/app/back", "http://127.0.0.1/back"}, Origins: []string{"https://notes.example"}, Created: ago(20), Version: 1},
		{ClientID: "https://assistant.example/client.json", Name: "Assistant", Homepage: "https://assistant.example", Public: true, Scopes: []string{"meetings:read", "transcripts:read"}, Source: storage.AppDocument,
			RedirectURIs: []string{"https://assistant.example/back"}, Created: ago(10), Version: 1},
		{ClientID: "app_leads", Organisation: "org_new", Name: "Lead harvester", Scopes: []string{"meetings:read"}, Source: storage.AppRegistered, Secrets: secret,
			RedirectURIs: []string{"https://leads.example/back"}, Created: ago(40), Version: 1},
	}
	grant := func(id, client, user string, days int, scopes ...string) storage.Grant {
		return storage.Grant{ID: id, ClientID: client, Organisation: "org_acme", Subject: user, Scopes: scopes, Created: ago(days), Expires: ago(days - 180), Version: 1}
	}
	s.grants = []storage.Grant{
		grant("grant_1", "app_crm", "user_ben", 60, "meetings:read", "notes:read"),
		grant("grant_2", "app_crm", "user_ada", 45, "meetings:read", "action-items:write"),
		grant("grant_3", "https://assistant.example/client.json", "user_ada", 5, "meetings:read", "transcripts:read"),
		grant("grant_4", "app_phone", "user_ben", 2, "notes:read"),
	}
	s.blocks = []storage.Block{{Organisation: "org_acme", ClientID: "app_leads", By: "user_ada", Because: "it sold what it read", At: ago(30)}}
}
