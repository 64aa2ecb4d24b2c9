package authserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// settlePatience is how long the store may take to tell whether a change of
// unknown outcome was made.
const settlePatience = 3 * time.Second

// RegisterApp registers an app for the actor's organisation. Of app, Name,
// Homepage, Public, RedirectURIs, Origins, Scopes, ClientCredentials and
// InsecureNoPKCE count. The client secret is returned this once; a public app has
// none.
//
// InsecureNoPKCE is for clients that can't do PKCE: what they are registered with
// fails OWASP ASVS 5.0 10.4.6, and whoever registers one should be told so.
//
// What it refuses with: 403 forbidden; 400 invalid_request with Params["field"];
// 402 subscription_required; 409 app_limit_reached.
func (s *Server) RegisterApp(ctx context.Context, a storage.Actor, app storage.App) (storage.App, strikeplate.Secret, error) {
	now := s.now()
	draft := storage.App{
		ClientID: newAppID(), Organisation: a.Organisation, Name: strings.TrimSpace(app.Name), Homepage: app.Homepage, Creator: a.User,
		Source: storage.AppRegistered, Public: app.Public, RedirectURIs: app.RedirectURIs, Origins: app.Origins, Scopes: app.Scopes,
		ClientCredentials: app.ClientCredentials, InsecureNoPKCE: app.InsecureNoPKCE, Created: now,
	}
	if err := s.may(ctx, a, ActionRegister, draft); err != nil {
		return storage.App{}, strikeplate.Secret{}, err
	}
	if err := s.checkApp(&draft); err != nil {
		return storage.App{}, strikeplate.Secret{}, err
	}
	if err := s.subscribed(ctx, a.Organisation); err != nil {
		return storage.App{}, strikeplate.Secret{}, err
	}
	var secret strikeplate.Secret
	if !draft.Public {
		secret = s.addSecret(&draft, now)
	}
	if err := s.commitApp(ctx, a, ActionRegister, nil, draft, now); err != nil {
		return storage.App{}, strikeplate.Secret{}, err
	}
	draft.Version++
	return shown(draft), secret, nil
}

func newAppID() string   { return "app_" + rand.Text() }
func newGrantID() string { return "grant_" + rand.Text() }

// addSecret gives the app another secret, which is the newest.
func (s *Server) addSecret(app *storage.App, now time.Time) strikeplate.Secret {
	text := s.mint(secretText)
	app.Secrets = append(app.Secrets, storage.AppSecret{Hash: digest(text), Last4: text[len(text)-4:], Created: now})
	return strikeplate.NewSecret(text)
}

// shown is an app without what nobody has to see.
func shown(app storage.App) storage.App {
	secrets := app.Secrets
	app.Secrets = nil
	for _, secret := range secrets {
		secret.Hash = [32]byte{}
		app.Secrets = append(app.Secrets, secret)
	}
	return app
}

// ListApps returns a page of the apps that the actor's organisation registered,
// newest first, as [storage.Apps] does. Of q, Status, Cursor and Limit count. Apps
// that the rule hides from the actor are left out. It refuses with 403 forbidden.
func (s *Server) ListApps(ctx context.Context, a storage.Actor, q storage.Query) (page []storage.App, next string, err error) {
	if err := s.may(ctx, a, ActionList, storage.App{}); err != nil {
		return nil, "", err
	}
	q.Organisation, q.Now = a.Organisation, s.now()
	all, next, err := s.c.Store.ListApps(ctx, q)
	if err != nil {
		return nil, "", cursored(err, "listing apps")
	}
	for _, app := range all {
		switch err := s.judge(ctx, a, ActionView, app); {
		case err == nil:
			page = append(page, shown(app))
		case refusalOf(err) == nil:
			return nil, "", err
		}
	}
	return page, next, nil
}

func cursored(err error, doing string) error {
	if errors.Is(err, storage.ErrNotFound) {
		return invalid("cursor", "it is not one of this list; begin again without")
	}
	return unsure(doing, err)
}

// App returns an app that the actor's organisation registered or blocked, or that
// somebody of it let in: to whoever may see apps, and to those who let it in. It
// refuses with 403 forbidden and 404 app_not_found.
func (s *Server) App(ctx context.Context, a storage.Actor, clientID string) (storage.App, error) {
	if err := signedIn(ctx, a); err != nil {
		return storage.App{}, err
	}
	app, err := s.known(ctx, clientID)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.App{}, appNotFound()
	}
	if err != nil {
		return storage.App{}, err
	}
	mine, err := s.letIn(ctx, storage.GrantQuery{Query: storage.Query{Organisation: a.Organisation}, Subject: a.User, ClientID: clientID})
	if mine || err != nil {
		return shown(app), err
	}
	if err := s.may(ctx, a, ActionView, app); err != nil {
		return storage.App{}, err
	}
	if app.Organisation == a.Organisation {
		return shown(app), nil
	}
	ours, err := s.letIn(ctx, storage.GrantQuery{Query: storage.Query{Organisation: a.Organisation}, ClientID: clientID})
	if err == nil && !ours {
		ours, err = s.blocked(ctx, a.Organisation, clientID)
	}
	if err == nil && !ours {
		err = appNotFound()
	}
	if err != nil {
		return storage.App{}, err
	}
	return shown(app), nil
}

// letIn says that there is a grant.
func (s *Server) letIn(ctx context.Context, q storage.GrantQuery) (bool, error) {
	q.Now, q.Limit = s.now(), 1
	page, _, err := s.c.Store.ListGrants(ctx, q)
	if err != nil {
		return false, unsure("looking for grants", err)
	}
	return len(page) > 0, nil
}

func (s *Server) blocked(ctx context.Context, organisation, clientID string) (bool, error) {
	blocks, err := s.c.Store.Blocks(ctx, organisation)
	if err != nil {
		return false, unsure("looking for blocks", err)
	}
	for _, b := range blocks {
		if b.ClientID == clientID {
			return true, nil
		}
	}
	return false, nil
}

// ownApp finds an app that the actor's organisation registered, for an action.
func (s *Server) ownApp(ctx context.Context, a storage.Actor, action, clientID string) (storage.App, error) {
	app, err := s.known(ctx, clientID)
	found := err == nil && app.Organisation == a.Organisation && a.Organisation != ""
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return storage.App{}, err
	}
	if !found {
		app = storage.App{ClientID: clientID}
	}
	if err := s.may(ctx, a, action, app); err != nil {
		return storage.App{}, err
	}
	if !found {
		return storage.App{}, appNotFound()
	}
	return app, nil
}

// UpdateApp replaces what counts for RegisterApp, but for Public, of the app with
// the ClientID, if it still is of the Version. What people granted stays, and is
// narrowed to the app's scopes of the moment.
//
// It refuses as RegisterApp does, and with 404 app_not_found, 409 revoked_app and
// 409 conflict.
func (s *Server) UpdateApp(ctx context.Context, a storage.Actor, app storage.App) (storage.App, error) {
	now := s.now()
	before, err := s.ownApp(ctx, a, ActionUpdate, app.ClientID)
	if err != nil {
		return storage.App{}, err
	}
	if !before.Revoked.IsZero() {
		return storage.App{}, revokedApp()
	}
	if app.Version != before.Version {
		return storage.App{}, conflict()
	}
	after := before
	after.Name, after.Homepage, after.RedirectURIs, after.Origins, after.Scopes = strings.TrimSpace(app.Name), app.Homepage, app.RedirectURIs, app.Origins, app.Scopes
	after.ClientCredentials, after.InsecureNoPKCE = app.ClientCredentials, app.InsecureNoPKCE
	if err := s.checkApp(&after); err != nil {
		return storage.App{}, err
	}
	if err := s.commitApp(ctx, a, ActionUpdate, &before, after, now); err != nil {
		return storage.App{}, err
	}
	after.Version++
	return shown(after), nil
}

// RotateAppSecret gives a confidential app a new secret, returned this once. What
// secrets it has go on working for the overlap, at most Management.MaxOverlap; of
// two, the older ends at once. It refuses with 403 forbidden, 404 app_not_found,
// 409 revoked_app, 409 conflict and 400 invalid_request.
func (s *Server) RotateAppSecret(ctx context.Context, a storage.Actor, clientID string, overlap time.Duration) (storage.App, strikeplate.Secret, error) {
	now := s.now()
	before, err := s.ownApp(ctx, a, ActionRotateSecret, clientID)
	switch {
	case err != nil:
		return storage.App{}, strikeplate.Secret{}, err
	case !before.Revoked.IsZero():
		return storage.App{}, strikeplate.Secret{}, revokedApp()
	case before.Public:
		return storage.App{}, strikeplate.Secret{}, invalid("client_id", "the app is public and has no secret")
	case overlap < 0 || overlap > s.c.Management.MaxOverlap:
		return storage.App{}, strikeplate.Secret{}, invalid("overlap", "the old secret may go on working for at most %v", s.c.Management.MaxOverlap)
	}
	after := before
	after.Secrets = nil
	for _, old := range before.Secrets {
		if end := now.Add(overlap); old.Expires.IsZero() || end.Before(old.Expires) {
			old.Expires = end
		}
		if now.Before(old.Expires) {
			after.Secrets = []storage.AppSecret{old} // the newest of them
		}
	}
	secret := s.addSecret(&after, now)
	if err := s.commitApp(ctx, a, ActionRotateSecret, &before, after, now); err != nil {
		return storage.App{}, strikeplate.Secret{}, err
	}
	after.Version++
	return shown(after), secret, nil
}

// RevokeApp shuts an app out for ever, with everything that was granted to it, in
// every organisation. Revoking a revoked app changes nothing and succeeds. It
// refuses with 403 forbidden, 404 app_not_found and 400 invalid_request.
func (s *Server) RevokeApp(ctx context.Context, a storage.Actor, clientID, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	for {
		now := s.now()
		before, err := s.ownApp(ctx, a, ActionRevoke, clientID)
		if err != nil {
			return err
		}
		if !before.Revoked.IsZero() {
			return nil
		}
		after := before
		after.Revoked, after.RevokedBecause = now, reason
		err = s.commitApp(ctx, a, ActionRevoke, &before, after, now)
		if e := refusalOf(err); e == nil || e.Code != CodeConflict && e.Code != CodeRevokedApp {
			return err
		}
		if err := ctx.Err(); err != nil { // it was changed meanwhile: look again
			return unsure("revoking the app", err)
		}
	}
}

// commitApp writes an app and its entry in one transaction. Where the store can't
// tell whether it succeeded, it is asked what it holds.
func (s *Server) commitApp(ctx context.Context, a storage.Actor, action string, before *storage.App, after storage.App, now time.Time) error {
	logged := after
	logged.Version++ // as the store will have it
	entry, err := appEntry(a, action, before, &logged, now)
	if err != nil {
		return err
	}
	err = s.c.Store.CommitApp(ctx, storage.AppMutation{Now: now, Put: after, Audit: []storage.Entry{entry}})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrLimit):
		return because(refuse(http.StatusConflict, CodeAppLimit, "The organisation has %d apps, which is the most. Revoke one first.", storage.MaxApps), err)
	case errors.Is(err, storage.ErrConflict):
		return because(conflict(), err)
	case errors.Is(err, storage.ErrRevoked):
		return because(revokedApp(), err)
	case errors.Is(err, storage.ErrNotFound):
		return because(appNotFound(), err)
	case errors.Is(err, storage.ErrPermanent), errors.Is(err, storage.ErrNoAudit):
		return unsure("commit", err) // refused: nothing is written
	case s.isWritten(ctx, after, entry.After):
		return nil
	}
	return unknown(err)
}

// isWritten reports whether the store surely holds an app as it was to be. The
// caller may be gone already, which is no reason to leave its work half known.
func (s *Server) isWritten(ctx context.Context, after storage.App, logged []byte) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settlePatience)
	defer cancel()
	stored, err := s.c.Store.App(ctx, after.ClientID)
	if err != nil || len(stored.Secrets) != len(after.Secrets) {
		return false
	}
	for i, secret := range stored.Secrets {
		if secret.Hash != after.Secrets[i].Hash {
			return false
		}
	}
	text, err := json.Marshal(viewApp(stored))
	return err == nil && bytes.Equal(text, logged)
}

func because(e *strikeplate.Error, err error) *strikeplate.Error {
	e.Err = err
	return e
}

func appNotFound() *strikeplate.Error {
	return refuse(http.StatusNotFound, CodeAppNotFound, "There is no such app in your organisation.")
}

func conflict() *strikeplate.Error {
	return refuse(http.StatusConflict, CodeConflict, "The app was changed by somebody else meanwhile. Look at it again.")
}

func revokedApp() *strikeplate.Error {
	return refuse(http.StatusConflict, CodeRevokedApp, "The app is revoked, and revoked apps never change. Register a new one.")
}
