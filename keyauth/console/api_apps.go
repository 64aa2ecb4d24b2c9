package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

type appsInput struct {
	Status string `query:"status" enum:"active,revoked,all" doc:"Left out: active"`
	Cursor string `query:"cursor" maxLength:"1000"`
	Limit  int    `query:"limit" minimum:"0" maximum:"1000" doc:"Left out: 50"`
}

type appsOutput struct {
	Body struct {
		Data []appJSON `json:"data" nullable:"false"`
		Next *string   `json:"next" doc:"The cursor of the next page; null at the end"`
	}
}

type appInput struct {
	ID string `path:"id" maxLength:"2000" doc:"The client_id"`
}

type appOutput struct {
	ETag string `header:"ETag"`
	Body appJSON
}

type registerInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"The request is carried out once under this key, for 24 hours"`
	Body           registrationJSON
}

type registeredOutput struct {
	Status   int
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     registeredJSON
}

type changeAppInput struct {
	ID      string `path:"id" maxLength:"2000" doc:"The client_id"`
	IfMatch string `header:"If-Match" doc:"The ETag that the change is based on; required"`
	Body    appChangeJSON
}

type appSecretInput struct {
	ID      string `path:"id" maxLength:"2000" doc:"The client_id"`
	IfMatch string `header:"If-Match" doc:"The ETag that the request is based on; left out: whatever the app is like now"`
	Body    struct {
		OverlapSeconds int64 `json:"overlap_seconds" minimum:"0" maximum:"31536000" doc:"How long the old secret goes on working; 0: it ends at once"`
	}
}

type endAppInput struct {
	ID   string `path:"id" maxLength:"2000" doc:"The client_id"`
	Body struct {
		Reason string `json:"reason,omitempty" doc:"At most 500 characters, for the log"`
	}
}

type unblockInput struct {
	ID   string   `path:"id" maxLength:"2000" doc:"The client_id"`
	Body *nothing `contentType:"application/json"`
}

type endedAppOutput struct {
	Body struct {
		ClientID string `json:"client_id"`
	}
}

type grantsInput struct {
	User     string `query:"user" maxLength:"200" doc:"me, or a user's id; left out: everybody's"`
	ClientID string `query:"client_id" maxLength:"2000"`
	Status   string `query:"status" enum:"active,expired,revoked,unrevoked,all" doc:"Left out: active"`
	Cursor   string `query:"cursor" maxLength:"1000"`
	Limit    int    `query:"limit" minimum:"0" maximum:"1000" doc:"Left out: 50"`
}

type grantsOutput struct {
	Body struct {
		Data []grantJSON `json:"data" nullable:"false"`
		Next *string     `json:"next" doc:"The cursor of the next page; null at the end"`
	}
}

type revokeGrantsInput struct {
	Body struct {
		User     string `json:"user" doc:"me, or a user's id"`
		ClientID string `json:"client_id"`
		Reason   string `json:"reason,omitempty"`
	}
}

type blocksOutput struct {
	Body struct {
		Data []blockJSON `json:"data" nullable:"false"`
	}
}

func (a *api) registerApps() {
	const bad, gone, clash = http.StatusBadRequest, http.StatusNotFound, http.StatusConflict
	const unpaid, stale, unconditional = http.StatusPaymentRequired, http.StatusPreconditionFailed, http.StatusPreconditionRequired
	get, post := http.MethodGet, http.MethodPost
	handle(a, operation{id: "list-apps", method: get, path: "/apps", summary: "List the OAuth apps that the organisation registered", refusals: []int{bad}}, a.apps)
	handle(a, operation{
		id: "register-app", method: post, path: "/apps", summary: "Register an OAuth app", status: http.StatusCreated,
		description: "The client secret is in this response and nowhere else. A repetition under the same Idempotency-Key is answered 200, without it.",
		refusals:    []int{bad, unpaid, clash, http.StatusTooManyRequests},
	}, a.registerApp)
	a.repeated("/apps")
	handle(a, operation{id: "get-app", method: get, path: "/apps/{id}", summary: "Get an OAuth app", refusals: []int{gone}}, a.app)
	handle(a, operation{
		id: "change-app", method: http.MethodPatch, path: "/apps/{id}", summary: "Change an OAuth app",
		refusals: []int{bad, gone, clash, stale, unconditional},
	}, a.changeApp)
	handle(a, operation{
		id: "rotate-app-secret", method: post, path: "/apps/{id}/secret", summary: "Give a confidential app a new secret; the old one works on for the overlap",
		refusals: []int{bad, gone, clash, stale},
	}, a.rotateAppSecret)
	handle(a, operation{
		id: "revoke-app", method: post, path: "/apps/{id}/revoke", summary: "Shut an OAuth app out for ever, with everything that was granted to it",
		refusals: []int{bad, gone, clash},
	}, a.revokeApp)
	handle(a, operation{id: "list-blocks", method: get, path: "/blocks", summary: "List the apps that the organisation keeps out"}, a.blocks)
	handle(a, operation{
		id: "block-app", method: post, path: "/apps/{id}/block", summary: "Keep an app out of the organisation, and end what its people let it do",
		refusals: []int{bad, gone, clash},
	}, a.blockApp)
	handle(a, operation{id: "unblock-app", method: post, path: "/apps/{id}/unblock", summary: "Let people let the app in again", refusals: []int{gone}}, a.unblockApp)
	handle(a, operation{
		id: "list-grants", method: get, path: "/grants", summary: "List what people let apps do, newest first",
		description: "Your own with user=me; everybody's is for administrators.", refusals: []int{bad},
	}, a.grants)
	handle(a, operation{
		id: "revoke-grants", method: post, path: "/grants/revoke", summary: "End everything that a user let an app do",
		refusals: []int{bad, gone},
	}, a.revokeGrants)
}

func (a *api) apps(ctx context.Context, actor storage.Actor, in *appsInput) (*appsOutput, error) {
	page, next, err := a.s.c.Apps.ListApps(ctx, actor, storage.Query{
		Organisation: actor.Organisation, Status: statusOf(in.Status), Now: a.s.c.Now(), Cursor: in.Cursor, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	out := &appsOutput{}
	out.Body.Data, out.Body.Next = make([]appJSON, 0, len(page)), cursor(next)
	for _, app := range page {
		out.Body.Data = append(out.Body.Data, wireApp(actor, app))
	}
	return out, nil
}

// statusOf reads the status of apps and grants.
func statusOf(text string) storage.Status {
	switch text {
	case "":
		return storage.Active
	case "all":
		return storage.AnyStatus
	}
	return storage.Status(text)
}

func (a *api) registerApp(ctx context.Context, actor storage.Actor, in *registerInput) (*registeredOutput, error) {
	var body registeredJSON
	register := func(ctx context.Context) (string, error) {
		app, secret, err := a.s.c.Apps.RegisterApp(ctx, actor, in.Body.app())
		body = registeredJSON{App: wireApp(actor, app), Secret: secret.Reveal()}
		return app.ClientID, err
	}
	if in.IdempotencyKey == "" {
		if _, err := register(ctx); err != nil {
			return nil, err
		}
		return a.registered(http.StatusCreated, body), nil
	}
	q := request{actor: actor, route: "register", key: in.IdempotencyKey, body: in.Body}
	target, done, err := a.s.once(ctx, q, register)
	if err != nil {
		return nil, err
	}
	if done {
		return a.registered(http.StatusCreated, body), nil
	}
	app, err := a.s.c.Apps.App(ctx, actor, target)
	if err != nil {
		return nil, err
	}
	return a.registered(http.StatusOK, registeredJSON{App: wireApp(actor, app), Code: CodeShown}), nil
}

func (a *api) registered(status int, body registeredJSON) *registeredOutput {
	return &registeredOutput{
		Status: status, ETag: versionTag(body.App.Version), Location: a.s.path("/api" + appPath(body.App.ClientID, "")), Body: body,
	}
}

func (a *api) app(ctx context.Context, actor storage.Actor, in *appInput) (*appOutput, error) {
	return answerApp(actor)(a.s.c.Apps.App(ctx, actor, in.ID))
}

func answerApp(actor storage.Actor) func(storage.App, error) (*appOutput, error) {
	return func(app storage.App, err error) (*appOutput, error) {
		if err != nil {
			return nil, err
		}
		return &appOutput{ETag: versionTag(app.Version), Body: wireApp(actor, app)}, nil
	}
}

// matchedApp returns the app if If-Match names its version.
func (a *api) matchedApp(ctx context.Context, actor storage.Actor, id, ifMatch string) (storage.App, error) {
	app, err := a.s.c.Apps.App(ctx, actor, id)
	if err != nil {
		return storage.App{}, err
	}
	matches := func(tag string) bool {
		tag = strings.TrimSpace(tag)
		return tag == "*" || tag == versionTag(app.Version)
	}
	if !slices.ContainsFunc(strings.Split(ifMatch, ","), matches) {
		return storage.App{}, staleApp()
	}
	return app, nil
}

func staleApp() error {
	return refuse(http.StatusPreconditionFailed, CodeStale, "The app was changed by somebody else meanwhile. Look at it again.")
}

func (a *api) changeApp(ctx context.Context, actor storage.Actor, in *changeAppInput) (*appOutput, error) {
	if in.IfMatch == "" {
		return nil, refuse(http.StatusPreconditionRequired, CodeUnconditional, "Send If-Match with the app's ETag, so that nobody else's change is overwritten.")
	}
	app, err := a.matchedApp(ctx, actor, in.ID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	in.Body.change(&app)
	changed, err := a.s.c.Apps.UpdateApp(ctx, actor, app)
	if err != nil && conflicts(err) {
		err = staleApp()
	}
	return answerApp(actor)(changed, err)
}

func (a *api) rotateAppSecret(ctx context.Context, actor storage.Actor, in *appSecretInput) (*registeredOutput, error) {
	if in.IfMatch != "" {
		if _, err := a.matchedApp(ctx, actor, in.ID, in.IfMatch); err != nil {
			return nil, err
		}
	}
	app, secret, err := a.s.c.Apps.RotateAppSecret(ctx, actor, in.ID, time.Duration(in.Body.OverlapSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	return a.registered(http.StatusOK, registeredJSON{App: wireApp(actor, app), Secret: secret.Reveal()}), nil
}

func ended(clientID string, err error) (*endedAppOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &endedAppOutput{}
	out.Body.ClientID = clientID
	return out, nil
}

func (a *api) revokeApp(ctx context.Context, actor storage.Actor, in *endAppInput) (*endedAppOutput, error) {
	return ended(in.ID, a.s.c.Apps.RevokeApp(ctx, actor, in.ID, in.Body.Reason))
}

func (a *api) blockApp(ctx context.Context, actor storage.Actor, in *endAppInput) (*endedAppOutput, error) {
	return ended(in.ID, a.s.c.Apps.BlockApp(ctx, actor, in.ID, in.Body.Reason))
}

func (a *api) unblockApp(ctx context.Context, actor storage.Actor, in *unblockInput) (*endedAppOutput, error) {
	return ended(in.ID, a.s.c.Apps.UnblockApp(ctx, actor, in.ID))
}

func (a *api) blocks(ctx context.Context, actor storage.Actor, _ *struct{}) (*blocksOutput, error) {
	blocks, err := a.s.c.Apps.Blocks(ctx, actor)
	if err != nil {
		return nil, err
	}
	out := &blocksOutput{}
	out.Body.Data = make([]blockJSON, 0, len(blocks))
	for _, b := range blocks {
		out.Body.Data = append(out.Body.Data, blockJSON{ClientID: b.ClientID, By: b.By, Because: b.Because, At: b.At})
	}
	return out, nil
}

// whose reads a user, of whom "me" is the actor.
func whose(actor storage.Actor, user string) string {
	if user == "me" {
		return actor.User
	}
	return user
}

func (a *api) grants(ctx context.Context, actor storage.Actor, in *grantsInput) (*grantsOutput, error) {
	page, next, err := a.s.c.Apps.ListGrants(ctx, actor, storage.GrantQuery{
		Query:   storage.Query{Organisation: actor.Organisation, Status: statusOf(in.Status), Now: a.s.c.Now(), Cursor: in.Cursor, Limit: in.Limit},
		Subject: whose(actor, in.User), ClientID: in.ClientID,
	})
	if err != nil {
		return nil, err
	}
	out := &grantsOutput{}
	out.Body.Data, out.Body.Next = make([]grantJSON, 0, len(page)), cursor(next)
	for _, g := range page {
		out.Body.Data = append(out.Body.Data, grantJSON{
			ID: g.ID, ClientID: g.ClientID, User: g.Subject, Scopes: filled(g.Scopes), Created: g.Created, Expires: g.Expires,
			Revoked: known(g.Revoked), RevokedBecause: g.RevokedBecause,
		})
	}
	return out, nil
}

func (a *api) revokeGrants(ctx context.Context, actor storage.Actor, in *revokeGrantsInput) (*revokeManyOutput, error) {
	if in.Body.User == "" || in.Body.ClientID == "" {
		return nil, invalid("user", "name a user and an app")
	}
	out := &revokeManyOutput{}
	var err error
	if out.Body.Revoked, err = a.s.c.Apps.RevokeGrants(ctx, actor, whose(actor, in.Body.User), in.Body.ClientID, in.Body.Reason); err != nil {
		return nil, err
	}
	return out, nil
}
