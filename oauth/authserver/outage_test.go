package authserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// failing is a store whose disk can be full.
type failing struct {
	*memory.Store
	down atomic.Bool
	lost atomic.Bool // writes succeed, and are reported as failed
}

var errDisk = errors.New("disk of secret-hostname is full")

func (f *failing) App(ctx context.Context, id string) (storage.App, error) {
	if f.down.Load() {
		return storage.App{}, errDisk
	}
	return f.Store.App(ctx, id)
}

func (f *failing) Code(ctx context.Context, hash [32]byte) (storage.Code, storage.Grant, error) {
	if f.down.Load() {
		return storage.Code{}, storage.Grant{}, errDisk
	}
	return f.Store.Code(ctx, hash)
}

func (f *failing) Presented(ctx context.Context, hash [32]byte) (storage.Presented, error) {
	if f.down.Load() {
		return storage.Presented{}, errDisk
	}
	return f.Store.Presented(ctx, hash)
}

func (f *failing) User(ctx context.Context, organisation, id string) (storage.User, error) {
	if f.down.Load() {
		return storage.User{}, errDisk
	}
	return f.Store.User(ctx, organisation, id)
}

func (f *failing) CommitApp(ctx context.Context, m storage.AppMutation) error {
	err := f.Store.CommitApp(ctx, m)
	if f.lost.Load() && err == nil {
		return errors.New("the connection broke")
	}
	return err
}

// What can't be checked is 503 and consumes nothing; no error's text gets out.
func TestOutages(t *testing.T) {
	store := &failing{Store: memory.New()}
	w := newWorldOn(t, store)
	app := w.register()
	got, code := w.letIn("ben", app), w.consent("ben", app.asking("prompt", "consent"))
	store.down.Store(true)
	for name, r := range map[string]reply{
		"code": w.exchange(app, code), "refresh": w.refresh(app, got.Refresh), "page": w.authorize("ben", app.asking()),
		"revoke":     w.call(app, "/oauth/revoke", url.Values{"token": {got.Access}}),
		"introspect": w.call(app, "/oauth/introspect", url.Values{"token": {got.Access}}),
		"push":       w.call(app, "/oauth/par", app.asking()),
	} {
		if r.StatusCode != http.StatusServiceUnavailable || strings.Contains(r.body, "disk") || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
	store.down.Store(false)
	w.refresh(app, got.Refresh).want(t, 200)
	w.exchange(app, code).want(t, 200)
}

// A directory that can't be asked burns no code.
func TestDirectoryOutageConsumesNothing(t *testing.T) {
	store := &directoryDown{failing: failing{Store: memory.New()}}
	w := newWorldOn(t, store)
	app := w.register()
	code := w.consent("ben", app.asking())
	store.gone.Store(true)
	w.exchange(app, code).wantError(t, 503, "temporarily_unavailable")
	store.gone.Store(false)
	got := into[tokens](t, w.exchange(app, code).want(t, 200))
	store.gone.Store(true)
	w.refresh(app, got.Refresh).wantError(t, 503, "temporarily_unavailable")
	store.gone.Store(false)
	w.refresh(app, got.Refresh).want(t, 200)
}

type directoryDown struct {
	failing
	gone atomic.Bool
}

func (d *directoryDown) User(ctx context.Context, organisation, id string) (storage.User, error) {
	if d.gone.Load() {
		return storage.User{}, errDisk
	}
	return d.Store.User(ctx, organisation, id)
}

// Where the store can't tell whether it wrote, it is asked what it holds.
func TestLostOutcomesAreLookedUp(t *testing.T) {
	store := &failing{Store: memory.New()}
	w := newWorldOn(t, store)
	store.lost.Store(true)
	app := w.register()
	w.letIn("ben", app)
	if err := w.server.RevokeApp(t.Context(), people["ada"], app.ClientID, ""); err != nil {
		t.Error(err)
	}
	store.lost.Store(false)
	again := w.register()
	store.lost.Store(true)
	store.down.Store(true)
	_, _, err := w.server.RegisterApp(t.Context(), people["ada"], again.App)
	wantRefusal(t, err, 503, "outcome_unknown", "")
}
