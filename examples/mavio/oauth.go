package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/catalogs"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/examples/internal/rest"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/storage"
)

// audience names the API in tokens. Instances have addresses of their own, and
// accept each other's tokens; a real service's have one address.
const audience = "https://api.mavio.example"

// authorization is the server that lets apps act for Mavio's users.
func authorization(site *demo.Site, engine *policies.Engine) (*authserver.Server, error) {
	return authserver.New(authserver.Config{
		Issuer: site.Base, Store: site.Store, Directory: site.Store, Catalog: catalogs.Mavio(),
		SignIn: authserver.SignIn{
			Who: func(r *http.Request) (storage.Actor, time.Time, error) {
				actor, err := site.SignedIn(r)
				if errors.Is(err, console.ErrSignedOut) {
					return actor, time.Time{}, authserver.ErrSignedOut
				}
				if err != nil {
					return actor, time.Time{}, err
				}
				at, err := site.FreshSignIn(r)
				return actor, at, err
			},
			Page: func(returnTo string) string { return "/sign-in?next=" + url.QueryEscape(returnTo) },
		},
		Tokens:     authserver.Tokens{Prefix: prefix, Keys: [][]byte{site.Secret("oauth")}, Access: time.Hour},
		Audiences:  authserver.Audiences{Service: audience, More: []string{site.Base}},
		Management: authserver.Management{Authorize: engine.Manage},
		Product: authserver.Product{Name: "Mavio", Grants: "/settings/api/connections", OrganisationName: func(_ context.Context, id string) (string, error) {
			for _, o := range meetings.Organisations {
				if o.ID == id {
					return o.Title, nil
				}
			}
			return id, nil
		}},
		Now: site.Clock.Now,
	})
}

// upkeep removes what ended long ago, every hour.
func upkeep(ctx context.Context, server *authserver.Server) {
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hourly.C:
		}
		if n, err := server.Prune(ctx); err != nil {
			slog.Warn("what apps were let do could not be pruned; trying again in an hour", "removed", n, "error", err)
		}
	}
}

// resource is the API as OAuth's clients see it, tokens what accepts their tokens.
func resource(site *demo.Site) (*oauth.Resource, *oauth.Opaque, error) {
	api, err := oauth.NewResource(oauth.ResourceConfig{
		Identifier: site.Base, Audiences: []string{audience}, InsecureHTTP: true, // the demo is on loopback
		Metadata: oauth.Metadata{AuthorizationServers: []string{site.Base}, Name: "Mavio"},
		Catalog:  catalogs.Mavio(), Directory: site.Store, Feed: site.Store, Now: site.Clock.Now,
	})
	if err != nil {
		return nil, nil, err
	}
	tokens, err := oauth.NewOpaque(oauth.OpaqueConfig{Resource: api, Grants: site.Store, Prefix: prefix})
	return api, tokens, err
}

// granted reports whether what a user let an app do is still in force: webhooks
// that the app made hear nothing afterwards.
func granted(store storage.Grants, now func() time.Time) func(ctx context.Context, organisation, grant string) (bool, error) {
	return func(ctx context.Context, organisation, id string) (bool, error) {
		g, err := store.Grant(ctx, organisation, id)
		if errors.Is(err, storage.ErrNotFound) {
			return false, nil
		}
		return err == nil && g.Revoked.IsZero() && now().Before(g.Expires), err
	}
}

// worded speaks of keys too, where refusals speak of tokens alone: whoever comes
// with nothing, or with something unknown, may have meant either.
func worded(h http.Header, e *strikeplate.Error, requestID string) []byte {
	told := *e
	switch {
	case e.Code == strikeplate.CodeMissing:
		told.Message = "No API key or access token was sent. Send one in the Authorization header, as in 'Authorization: Bearer mvo_live_your_key_here'."
	case e.Code == oauth.CodeToken && errors.Is(e, strikeplate.ErrNotMine):
		told.Message = "The credential in the Authorization header is neither an API key nor an access token."
	}
	return rest.Dialect(h, &told, requestID)
}
