package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/denials"
	"github.com/strikeplate/strikeplate/storage"
)

// The actions that Management.Authorize is asked about and that the audit log
// names.
const (
	ActionList         = "app.list"          // see which apps there are; each listed app is an ActionView
	ActionView         = "app.view"          // see an app's record
	ActionRegister     = "app.register"      // register an app
	ActionUpdate       = "app.update"        // change an app
	ActionRotateSecret = "app.rotate_secret" //nolint:gosec // the name of an action
	ActionRevoke       = "app.revoke"        // shut an app out for ever
	ActionBlock        = "app.block"         // keep an app out of the organisation
	ActionUnblock      = "app.unblock"
	ActionListGrants   = "app.list_grants"   // see what others let apps do
	ActionRevokeGrants = "app.revoke_grants" // end what others let an app do

	ActionBegin       = "grant.begin"  // audit only: a user let an app in, or an app acts for its organisation
	ActionRevokeGrant = "grant.revoke" // audit only: by its user, by the app, or because a code or token was misused
	ActionDenied      = "app.denied"   // audit only: somebody was refused
)

// denialPatience is how long the log of a refusal may take.
const denialPatience = 3 * time.Second

// may stands in front of what is done to apps, and has refusals audited.
func (s *Server) may(ctx context.Context, a storage.Actor, action string, app storage.App) error {
	err := s.judge(ctx, a, action, app)
	if e := refusalOf(err); e != nil && e.Status == http.StatusForbidden {
		return s.denied(ctx, a, action, app.ClientID, e)
	}
	return err
}

// judge decides without leaving a trace. Who asks is checked here, so that no
// replaced rule can forget it.
func (s *Server) judge(ctx context.Context, a storage.Actor, action string, app storage.App) error {
	if err := signedIn(ctx, a); err != nil {
		return err
	}
	record := storage.Key{
		ID: app.ClientID, Organisation: a.Organisation, Name: app.Name, Creator: app.Creator, Scopes: app.Scopes,
		Created: app.Created, Revoked: app.Revoked, Version: app.Version,
	}
	if s.c.Management.Authorize == nil {
		if !slices.Contains(s.c.Management.AdminRoles, a.Role) {
			return forbidden("Only administrators of the organisation may manage apps. Ask one of them.")
		}
		return nil
	}
	err := s.c.Management.Authorize(ctx, a, action, record)
	if err != nil && refusalOf(err) == nil {
		return unsure("deciding on "+action, err)
	}
	return err
}

// signedIn refuses nobody, and programs: an app or a key doesn't manage apps.
func signedIn(ctx context.Context, a storage.Actor) error {
	switch p, called := strikeplate.FromContext(ctx); {
	case a.User == "" || a.Organisation == "" || !storage.ValidText(a.User+a.Organisation+a.Role):
		return forbidden("Sign in to manage apps.")
	case called && p != nil:
		return forbidden("API keys and apps can't manage apps. Sign in as a user.")
	}
	return nil
}

func forbidden(format string, args ...any) *strikeplate.Error {
	return refuse(http.StatusForbidden, strikeplate.CodeForbidden, format, args...)
}

// denied records a refusal and returns it. That the log can't be written changes
// nothing about the refusal.
func (s *Server) denied(ctx context.Context, a storage.Actor, action, target string, refusal *strikeplate.Error) error {
	if a.Organisation == "" || a.User == "" || !storage.ValidText(a.User+a.Organisation+a.Role+target) {
		return refusal // nobody that a log could name
	}
	now := s.now()
	note := denials.Note{Action: action, Code: refusal.Code}
	if !s.denials.Admit(denials.Denial{Organisation: a.Organisation, User: a.User, Action: action}, now, &note) {
		return refusal
	}
	after, err := json.Marshal(note)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), denialPatience)
		defer cancel()
		err = s.c.Store.Commit(ctx, storage.Mutation{Now: now, Audit: []storage.Entry{{
			Organisation: a.Organisation, Actor: a, Action: ActionDenied, Target: target, At: now, After: after,
		}}})
	}
	if err != nil {
		told := *refusal // refusals may be shared
		told.Err = errors.Join(refusal.Err, err)
		return &told
	}
	return refusal
}

// appView is what the audit log keeps of an app.
type appView struct {
	ClientID          string            `json:"client_id"`
	Organisation      string            `json:"organisation,omitempty"`
	Name              string            `json:"name"`
	Homepage          string            `json:"homepage,omitempty"`
	Creator           string            `json:"creator,omitempty"`
	Source            storage.AppSource `json:"source"`
	Public            bool              `json:"public"`
	Secrets           []secretView      `json:"secrets,omitempty"`
	RedirectURIs      []string          `json:"redirect_uris"`
	Origins           []string          `json:"origins,omitempty"`
	Scopes            []string          `json:"scopes"`
	ClientCredentials bool              `json:"client_credentials,omitempty"`
	InsecureNoPKCE    bool              `json:"insecure_no_pkce,omitempty"`
	Version           int64             `json:"version"`
	Created           time.Time         `json:"created"`
	Revoked           time.Time         `json:"revoked,omitzero"`
	RevokedBecause    string            `json:"revoked_because,omitempty"`
}

type secretView struct {
	Last4   string    `json:"last4"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
}

func viewApp(a storage.App) appView {
	v := appView{
		ClientID: a.ClientID, Organisation: a.Organisation, Name: a.Name, Homepage: a.Homepage, Creator: a.Creator,
		Source: a.Source, Public: a.Public, RedirectURIs: a.RedirectURIs, Origins: a.Origins, Scopes: a.Scopes,
		ClientCredentials: a.ClientCredentials, InsecureNoPKCE: a.InsecureNoPKCE, Version: a.Version,
		Created: a.Created, Revoked: a.Revoked, RevokedBecause: a.RevokedBecause,
	}
	for _, secret := range a.Secrets {
		v.Secrets = append(v.Secrets, secretView{secret.Last4, secret.Created, secret.Expires})
	}
	return v
}

// grantView is what the audit log keeps of a grant.
type grantView struct {
	ID             string    `json:"id"`
	ClientID       string    `json:"client_id"`
	Organisation   string    `json:"organisation"`
	Subject        string    `json:"subject,omitempty"`
	Scopes         []string  `json:"scopes"`
	Resources      []string  `json:"resources,omitempty"`
	Created        time.Time `json:"created"`
	Expires        time.Time `json:"expires"`
	Revoked        time.Time `json:"revoked,omitzero"`
	RevokedBecause string    `json:"revoked_because,omitempty"`
}

func viewGrant(g storage.Grant) grantView {
	return grantView{g.ID, g.ClientID, g.Organisation, g.Subject, g.Scopes, g.Resources, g.Created, g.Expires, g.Revoked, g.RevokedBecause}
}

// appEntry is an app's change for the log.
func appEntry(a storage.Actor, action string, before, after *storage.App, now time.Time) (storage.Entry, error) {
	e := storage.Entry{Organisation: a.Organisation, Actor: a, Action: action, At: now}
	for _, side := range []struct {
		app  *storage.App
		into *[]byte
	}{{before, &e.Before}, {after, &e.After}} {
		if side.app == nil {
			continue
		}
		e.Target = side.app.ClientID
		text, err := json.Marshal(viewApp(*side.app))
		if err != nil {
			return e, fmt.Errorf("authserver: audit: %w", err)
		}
		*side.into = text
	}
	return e, nil
}

// note is an entry about something that is no app or grant of its own.
func note(a storage.Actor, action, target string, now time.Time, fact map[string]string) storage.Entry {
	e := storage.Entry{Organisation: a.Organisation, Actor: a, Action: action, Target: target, At: now}
	if text, err := json.Marshal(fact); err == nil { // texts always can be
		e.After = text
	}
	return e
}
