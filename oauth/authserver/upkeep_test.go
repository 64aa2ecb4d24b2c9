package authserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

// What ended a month ago is removed, with apps that registered themselves and were
// let in by nobody since; what may still be used stays.
func TestPrune(t *testing.T) {
	w := newWorld(t, func(c *authserver.Config) {
		c.Clients.Registration = &authserver.Registration{Scopes: []string{"meetings:read"}}
	})
	lasting, ended := w.register(), w.register()
	goes := w.letIn("cleo", ended)
	visiting := w.registerItself(`{"client_name": "Visitor", "redirect_uris": ["https://visitor.example/cb"], "token_endpoint_auth_method": "none", "scope": "meetings:read"}`)
	if reply := w.call(ended, "/oauth/revoke", url.Values{"token": {goes.Refresh}}); reply.StatusCode != http.StatusOK {
		t.Fatal(reply.Status)
	}
	if n, err := w.server.Prune(t.Context()); n != 0 || err != nil {
		t.Errorf("at once: %d removed, %v", n, err)
	}
	w.pass(20 * day)
	stays := w.letIn("ben", lasting)
	w.pass(12 * day)
	n, err := w.server.Prune(t.Context())
	if n == 0 || err != nil {
		t.Errorf("a month later: %d removed, %v", n, err)
	}
	if again, err := w.server.Prune(t.Context()); again != 0 || err != nil {
		t.Errorf("again: %d removed, %v", again, err)
	}
	if _, err := w.store.App(t.Context(), visiting.ClientID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an app that nobody let in: %v", err)
	}
	if got := w.refresh(lasting, stays.Refresh); got.StatusCode != http.StatusOK {
		t.Errorf("a grant that goes on: %s", got.body)
	}
	page, _, err := w.store.ListGrants(t.Context(), storage.GrantQuery{Query: storage.Query{Organisation: "org", Now: w.clock()}, ClientID: ended.ClientID})
	if err != nil || len(page) != 0 {
		t.Errorf("a revoked grant is still there: %+v, %v", page, err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.server.Prune(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// impatient hangs up as soon as the store is asked to exchange a token.
type impatient struct {
	*sqlite.Store
	hangUp context.CancelFunc
}

func (i *impatient) Rotate(ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
	if i.hangUp != nil {
		i.hangUp()
	}
	return i.Store.Rotate(ctx, r)
}

// A thief who presents a used refresh token and hangs up at once ends the grant
// all the same.
func TestHangingUpDoesNotHideReuse(t *testing.T) {
	store := &impatient{Store: made(sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "db")}))(t)}
	t.Cleanup(func() { _ = store.Close(context.Background()) })
	w := newWorldOn(t, store, func(c *authserver.Config) { c.Tokens.Grace = -1 })
	app := w.register()
	first := w.letIn("ben", app)
	second := w.refresh(app, first.Refresh)
	if second.StatusCode != http.StatusOK {
		t.Fatal(second.body)
	}

	ctx, cancel := context.WithCancel(t.Context())
	store.hangUp = cancel
	r := w.request(http.MethodPost, "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}}.Encode())
	r.SetBasicAuth(app.ClientID, app.secret)
	w.server.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	store.hangUp = nil

	page, _, err := w.store.ListGrants(t.Context(), storage.GrantQuery{Query: storage.Query{Organisation: "org", Now: w.clock()}})
	if err != nil || len(page) != 1 || page[0].Revoked.IsZero() {
		t.Errorf("the grant goes on: %+v, %v", page, err)
	}
}
