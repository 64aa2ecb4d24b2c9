package console

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

type listInput struct {
	Status string `query:"status" enum:"active,expired,revoked,unrevoked,all" doc:"Left out: every key that is not revoked"`
	Cursor string `query:"cursor" maxLength:"1000"`
	Limit  int    `query:"limit" minimum:"0" maximum:"1000" doc:"Left out: 50"`
}

type listOutput struct{ Body keyPageJSON }

type keyInput struct {
	ID string `path:"id" maxLength:"200"`
}

type keyOutput struct {
	ETag string `header:"ETag"`
	Body keyJSON
}

type createInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"The request is carried out once under this key, for 24 hours"`
	Body           creationJSON
}

type createdOutput struct {
	Status   int
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     createdJSON
}

type changeInput struct {
	ID      string `path:"id" maxLength:"200"`
	IfMatch string `header:"If-Match" doc:"The ETag that the change is based on; required"`
	Body    changeJSON
}

type rotateInput struct {
	ID             string `path:"id" maxLength:"200"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"The request is carried out once under this key, for 24 hours"`
	Body           struct {
		OverlapSeconds int64 `json:"overlap_seconds" minimum:"0" maximum:"31536000" doc:"How long the old key goes on working; 0: it ends at once"`
	} `contentType:"application/json"`
}

type regenerateInput struct {
	ID      string   `path:"id" maxLength:"200"`
	IfMatch string   `header:"If-Match" doc:"The ETag that the request is based on; left out: whatever the key is like now"`
	Body    *nothing `contentType:"application/json"`
}

type revealInput struct {
	ID   string   `path:"id" maxLength:"200"`
	Body *nothing `contentType:"application/json"`
}

// nothing is the body of writes that need none: {}. The document asks for it, so
// that clients that were made of it say that they send JSON, as writes must; one
// that says so and sends nothing is understood.
type nothing struct{}

type revokeInput struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Reason string `json:"reason,omitempty" doc:"At most 500 characters, for the log"`
	}
}

type revokeManyInput struct {
	Body struct {
		All           bool       `json:"all,omitempty" doc:"Required where no other criterion is set"`
		Creator       string     `json:"creator,omitempty"`
		Owner         string     `json:"owner,omitempty"`
		CreatedBefore *time.Time `json:"created_before,omitempty"`
		Reason        string     `json:"reason,omitempty"`
	}
}

type revokeManyOutput struct {
	Body struct {
		Revoked int `json:"revoked"`
	}
}

type revealOutput struct {
	Body struct {
		Secret string `json:"secret"`
	}
}

func (a *api) register() {
	const bad, gone, clash = http.StatusBadRequest, http.StatusNotFound, http.StatusConflict
	const unpaid, stale, unconditional = http.StatusPaymentRequired, http.StatusPreconditionFailed, http.StatusPreconditionRequired
	get, post := http.MethodGet, http.MethodPost
	handle(a, operation{id: "list-keys", method: get, path: "/keys", summary: "List keys, newest first", refusals: []int{bad}}, a.list)
	handle(a, operation{
		id: "create-key", method: post, path: "/keys", summary: "Create a key", status: http.StatusCreated,
		description: "The secret is in this response and nowhere else. A repetition under the same Idempotency-Key is answered 200, without it.",
		refusals:    []int{bad, unpaid, clash, http.StatusTooManyRequests},
	}, a.create)
	a.repeated("/keys")
	handle(a, operation{id: "get-key", method: get, path: "/keys/{id}", summary: "Get a key", refusals: []int{gone}}, a.get)
	handle(a, operation{
		id: "change-key", method: http.MethodPatch, path: "/keys/{id}", summary: "Rename a key, or change its allowlist, end or metadata",
		refusals: []int{bad, gone, clash, stale, unconditional},
	}, a.change)
	handle(a, operation{
		id: "rotate-key", method: post, path: "/keys/{id}/rotate", summary: "Make a successor; the old key works on for the overlap",
		status: http.StatusCreated, description: "A repetition under the same Idempotency-Key is answered 200, without the secret.",
		refusals: []int{bad, gone, clash, unpaid, http.StatusTooManyRequests},
	}, a.rotate)
	a.repeated("/keys/{id}/rotate")
	handle(a, operation{
		id: "regenerate-key", method: post, path: "/keys/{id}/regenerate", summary: "Replace the secret; the old one is dead at once",
		refusals: []int{bad, gone, clash, stale},
	}, a.regenerate)
	handle(a, operation{id: "revoke-key", method: post, path: "/keys/{id}/revoke", summary: "End a key at once and for ever", refusals: []int{bad, gone}}, a.revoke)
	handle(a, operation{id: "revoke-keys", method: post, path: "/keys/revoke", summary: "End the keys that meet all criteria that are set", refusals: []int{bad}}, a.revokeMany)
	handle(a, operation{
		id: "reveal-key", method: post, path: "/keys/{id}/reveal", summary: "Copy a kept secret",
		description: "Only where the service keeps secrets, and soon after a sign-in.", refusals: []int{gone, clash},
	}, a.reveal)
	a.registerRest()
}

// repeated documents the answer to a request that was carried out before.
func (a *api) repeated(path string) {
	responses := a.huma.OpenAPI().Paths[path].Post.Responses
	before := *responses[strconv.Itoa(http.StatusCreated)]
	before.Description = "The request was carried out before"
	responses[strconv.Itoa(http.StatusOK)] = &before
}

func (a *api) list(ctx context.Context, actor storage.Actor, in *listInput) (*listOutput, error) {
	page, err := a.s.c.Manage.List(ctx, actor, manage.Filter{Status: storage.Status(in.Status), Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: keyPageJSON{
		Data: make([]keyJSON, 0, len(page.Keys)), Next: cursor(page.Next),
		Slots: slotsJSON(page.Slots), Missing: filled(page.Missing),
	}}
	for _, k := range page.Keys {
		out.Body.Data = append(out.Body.Data, wireKey(k))
	}
	return out, nil
}

func (a *api) get(ctx context.Context, actor storage.Actor, in *keyInput) (*keyOutput, error) {
	return answer(a.s.c.Manage.Get(ctx, actor, in.ID))
}

func answer(k manage.Key, err error) (*keyOutput, error) {
	if err != nil {
		return nil, err
	}
	return &keyOutput{ETag: etag(k), Body: wireKey(k)}, nil
}

func (a *api) create(ctx context.Context, actor storage.Actor, in *createInput) (*createdOutput, error) {
	c, err := a.s.creation(in.Body)
	if err != nil {
		return nil, err
	}
	mint := func(ctx context.Context) (createdJSON, error) {
		created, err := a.s.c.Manage.Create(ctx, actor, c)
		return createdJSON{Key: wireKey(created.Key), Secret: created.Secret.Reveal()}, err
	}
	return a.createdOnce(ctx, request{actor: actor, route: "create", key: in.IdempotencyKey, body: in.Body}, mint)
}

func (a *api) rotate(ctx context.Context, actor storage.Actor, in *rotateInput) (*createdOutput, error) {
	mint := func(ctx context.Context) (createdJSON, error) {
		rotated, err := a.s.c.Manage.Rotate(ctx, actor, in.ID, time.Duration(in.Body.OverlapSeconds)*time.Second)
		before := wireKey(rotated.Predecessor)
		return createdJSON{Key: wireKey(rotated.Key), Secret: rotated.Secret.Reveal(), Predecessor: &before}, err
	}
	return a.createdOnce(ctx, request{actor: actor, route: "rotate " + in.ID, key: in.IdempotencyKey, body: in.Body}, mint)
}

// createdOnce answers a request that makes a key, or repeats one that did.
func (a *api) createdOnce(ctx context.Context, q request, mint func(context.Context) (createdJSON, error)) (*createdOutput, error) {
	var body createdJSON
	if q.key == "" {
		var err error
		if body, err = mint(ctx); err != nil {
			return nil, err
		}
		return a.created(http.StatusCreated, body), nil
	}
	target, done, err := a.s.once(ctx, q, func(ctx context.Context) (string, error) {
		var err error
		if body, err = mint(ctx); err != nil {
			return "", err
		}
		return body.Key.ID, nil
	})
	if err != nil {
		return nil, err
	}
	if done {
		return a.created(http.StatusCreated, body), nil
	}
	k, err := a.s.c.Manage.Get(ctx, q.actor, target)
	if err != nil {
		return nil, err
	}
	return a.created(http.StatusOK, createdJSON{Key: wireKey(k), Code: CodeShown}), nil
}

func (a *api) created(status int, body createdJSON) *createdOutput {
	return &createdOutput{
		Status: status, ETag: versionTag(body.Key.Version), Location: a.s.path("/api" + keyPath(body.Key.ID, "")), Body: body,
	}
}

func (a *api) change(ctx context.Context, actor storage.Actor, in *changeInput) (*keyOutput, error) {
	if in.IfMatch == "" {
		return nil, refuse(http.StatusPreconditionRequired, CodeUnconditional, "Send If-Match with the key's ETag, so that nobody else's change is overwritten.")
	}
	c := in.Body
	rest := c.Allow != nil || c.Expires.Sent || c.Metadata != nil
	if c.Name != nil && rest {
		return nil, invalid("name", "change the name apart from the rest")
	}
	version, err := a.matched(ctx, actor, in.ID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	if c.Name != nil {
		return answer(a.s.c.Manage.Rename(ctx, actor, in.ID, *c.Name))
	}
	u := manage.Update{Version: version, Metadata: c.Metadata}
	if c.Expires.Sent {
		u.Expires = &c.Expires.Time
	}
	if c.Allow != nil {
		allow, err := manage.ParseAllow(*c.Allow)
		if err != nil {
			return nil, err
		}
		u.Allow = &allow
	}
	return answer(staleKey(a.s.c.Manage.Update(ctx, actor, in.ID, u)))
}

func (a *api) regenerate(ctx context.Context, actor storage.Actor, in *regenerateInput) (*createdOutput, error) {
	if in.IfMatch != "" {
		if _, err := a.matched(ctx, actor, in.ID, in.IfMatch); err != nil {
			return nil, err
		}
	}
	created, err := a.s.c.Manage.Regenerate(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	return a.created(http.StatusOK, createdJSON{Key: wireKey(created.Key), Secret: created.Secret.Reveal()}), nil
}

func (a *api) revoke(ctx context.Context, actor storage.Actor, in *revokeInput) (*keyOutput, error) {
	return answer(a.s.c.Manage.Revoke(ctx, actor, in.ID, in.Body.Reason))
}

func (a *api) revokeMany(ctx context.Context, actor storage.Actor, in *revokeManyInput) (*revokeManyOutput, error) {
	sel := manage.Selection{All: in.Body.All, Creator: in.Body.Creator, Owner: in.Body.Owner}
	if in.Body.CreatedBefore != nil {
		sel.CreatedBefore = *in.Body.CreatedBefore
	}
	out := &revokeManyOutput{}
	var err error
	out.Body.Revoked, err = a.s.c.Manage.RevokeAll(ctx, actor, sel, in.Body.Reason, nil)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (a *api) reveal(ctx context.Context, actor storage.Actor, in *revealInput) (*revealOutput, error) {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	signedIn, err := a.s.freshSignIn(r)
	if err != nil {
		return nil, err
	}
	secret, err := a.s.c.Manage.Reveal(ctx, actor, in.ID, signedIn)
	if err != nil {
		return nil, err
	}
	out := &revealOutput{}
	out.Body.Secret = secret.Reveal()
	return out, nil
}

// freshSignIn is when the actor last proved who they are; zero: nobody can tell,
// which package manage refuses.
func (s *Console) freshSignIn(r *http.Request) (time.Time, error) {
	if s.c.FreshSignIn == nil {
		return time.Time{}, nil
	}
	return s.c.FreshSignIn(r)
}

// creation reads what is asked for. What is wrong with it package manage says.
func (s *Console) creation(j creationJSON) (manage.Creation, error) {
	allow, err := manage.ParseAllow(j.Allow)
	if err != nil {
		return manage.Creation{}, err
	}
	c := manage.Creation{
		Name: j.Name, Prefix: j.Format, Environment: environment(j.Environment), Access: access(j.Access),
		Owner: j.Owner, Scopes: j.Scopes, NoExpiry: j.NoExpiry, Allow: emptyIsNil(allow), Metadata: j.Metadata,
	}
	if j.Expires != nil {
		c.Expires = *j.Expires
	}
	if formats := s.c.Scheme.Formats(); c.Prefix == "" && len(formats) == 1 {
		c.Prefix = formats[0].Prefix
	}
	return c, nil
}

func emptyIsNil(allow []netip.Prefix) []netip.Prefix {
	if len(allow) == 0 {
		return nil
	}
	return allow
}
