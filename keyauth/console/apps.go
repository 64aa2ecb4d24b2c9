package console

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// Apps manages an organisation's OAuth apps, and what its people let apps do. A
// *authserver.Server fits.
//
// Each method decides itself what the actor may see and do: apps are managed, and
// everybody's grants seen, by administrators of the actor's organisation, whatever
// the arguments name; one's own grants by everybody. What people can mend is
// refused with a [*strikeplate.Error]: 403 forbidden, 404 app_not_found, 400
// invalid_request with Params["field"] (name, homepage, redirect_uris, origins,
// scopes, overlap, reason), 402 subscription_required, 409 conflict where the
// version is no longer the stored one, 409 revoked_app, 409 app_limit_reached.
// Any other error means that it could not be done or told.
//
// Returned apps may keep the secrets' hashes; the console shows none of them.
type Apps interface {
	// ListApps returns a page of the apps that the actor's organisation registered,
	// newest first. Of q, Status, Cursor and Limit count.
	ListApps(ctx context.Context, a storage.Actor, q storage.Query) (page []storage.App, next string, err error)
	// App returns an app that the actor's organisation registered or blocked, or
	// that somebody of it let in, be it revoked; whoever may see a grant may see its
	// app.
	App(ctx context.Context, a storage.Actor, clientID string) (storage.App, error)
	// RegisterApp registers one. Of app, Name, Homepage, Public, RedirectURIs,
	// Origins, Scopes, ClientCredentials and InsecureNoPKCE count. The client secret
	// is told this once; a public app has none.
	RegisterApp(ctx context.Context, a storage.Actor, app storage.App) (storage.App, strikeplate.Secret, error)
	// UpdateApp replaces what counts for RegisterApp, but for Public, of the app
	// with the ClientID, if it still is of the Version.
	UpdateApp(ctx context.Context, a storage.Actor, app storage.App) (storage.App, error)
	// RotateAppSecret gives a confidential app a new secret, told this once. The
	// secrets that it has go on working for the overlap, at most; zero: they end at
	// once.
	RotateAppSecret(ctx context.Context, a storage.Actor, clientID string, overlap time.Duration) (storage.App, strikeplate.Secret, error)
	// RevokeApp shuts an app out for ever, with everything that was granted to it,
	// in every organisation. Revoking a revoked app changes nothing and succeeds.
	RevokeApp(ctx context.Context, a storage.Actor, clientID, reason string) error

	// ListGrants returns a page of what people of the actor's organisation let apps
	// do, newest first. Of q, Subject, ClientID, Status, Cursor and Limit count. A
	// Subject that isn't the actor, or none, is for administrators.
	ListGrants(ctx context.Context, a storage.Actor, q storage.GrantQuery) (page []storage.Grant, next string, err error)
	// RevokeGrants ends everything that the user of the actor's organisation let the
	// app do, and forgets that they agreed to it. It returns how many grants it
	// ended. A subject that isn't the actor is for administrators.
	RevokeGrants(ctx context.Context, a storage.Actor, subject, clientID, reason string) (int, error)

	// Blocks lists the apps that the actor's organisation keeps out, newest first.
	Blocks(ctx context.Context, a storage.Actor) ([]storage.Block, error)
	// BlockApp keeps an app out of the actor's organisation, whoever registered it,
	// and ends everything that its people let it do. UnblockApp lets people let it
	// in again.
	BlockApp(ctx context.Context, a storage.Actor, clientID, reason string) error
	UnblockApp(ctx context.Context, a storage.Actor, clientID string) error
}
