// Package mavio has the handlers of Mavio's two example APIs. What each route
// requires is said where it is declared, in the products' routes.go.
//
// Whom a request acts for is in its context. Every handler asks the policies what
// that caller sees, and gives the condition to the query: what is not visible is
// not found, whether it is read, changed or removed.
package mavio

import (
	"context"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/hooks"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/examples/internal/rest"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/storage"
)

// API is the product: meetings, and what belongs to them and to their
// organisation. All fields are required.
type API struct {
	Meetings  *meetings.Store
	Policies  *policies.Engine
	Hooks     *hooks.Sender
	Directory storage.Directory
	Members   func(ctx context.Context, organisation string, limit int) ([]storage.User, error)
	Now       func() time.Time
}

// aliases are what queries call the tables; others belong to a meeting, and are
// asked for by it.
var aliases = map[string]string{"channels": "c", "speakers": "k", "webhooks": "w"}

// visible is the condition for what the caller sees of a resource.
func (a *API) visible(r *http.Request, resource string) (policies.Filter, error) {
	principal, _ := strikeplate.FromContext(r.Context())
	as := a.Meetings.As()
	if alias, own := aliases[resource]; own {
		as = a.Meetings.AsOf(alias)
	}
	return a.Policies.Filter(r.Context(), principal, resource, as)
}

// seen runs a query under what the caller sees of a resource.
func seen[T any](a *API, r *http.Request, resource string, query func(ctx context.Context, visible policies.Filter) (T, error)) (T, error) {
	visible, err := a.visible(r, resource)
	if err != nil {
		var none T
		return none, err
	}
	return query(r.Context(), visible)
}

// changed is seen for a change of what belongs to a meeting: it tells the event to
// the webhooks that may hear of it, in the change's own transaction.
func (a *API) changed(r *http.Request, resource, event string, m meetings.Meeting, ids map[string]string, do func(ctx context.Context, visible policies.Filter, tell []meetings.Delivery) error) error {
	principal, _ := strikeplate.FromContext(r.Context())
	tell, err := a.Hooks.About(r.Context(), principal, event, m, ids)
	if err != nil {
		return err
	}
	_, err = seen(a, r, resource, func(ctx context.Context, visible policies.Filter) (struct{}, error) {
		return struct{}{}, do(ctx, visible, tell)
	})
	if err == nil && len(tell) > 0 {
		a.Hooks.Wake()
	}
	return err
}

// meeting is one that the caller sees.
func (a *API) meeting(r *http.Request, id string) (meetings.Meeting, error) {
	return seen(a, r, "meetings", func(ctx context.Context, visible policies.Filter) (meetings.Meeting, error) {
		return a.Meetings.Meeting(ctx, visible, id)
	})
}

// member reads fields that name members of the caller's organisation.
func member(r *http.Request) func(id string) bool {
	principal, _ := strikeplate.FromContext(r.Context())
	return func(id string) bool { return meetings.Member(principal.Organisation, id) }
}

const isMember = "the id of a member of the organisation"

// Whoami answers who the credential acts for.
func (a *API) Whoami(w http.ResponseWriter, r *http.Request) {
	principal, _ := strikeplate.FromContext(r.Context())
	rest.Answer(w, r, http.StatusOK, principal, nil)
}

// list answers with a page of what the caller sees of a resource.
func list[T any](a *API, w http.ResponseWriter, r *http.Request, resource string, query func(ctx context.Context, visible policies.Filter, at meetings.Place) (meetings.Page[T], error)) {
	var found meetings.Page[T]
	at, err := rest.Place(r.URL.Query())
	if err == nil {
		found, err = seen(a, r, resource, func(ctx context.Context, visible policies.Filter) (meetings.Page[T], error) {
			return query(ctx, visible, at)
		})
	}
	rest.Answer(w, r, http.StatusOK, found, err)
}

// single answers with what the path's id names.
func single[T any](a *API, w http.ResponseWriter, r *http.Request, resource string, query func(ctx context.Context, visible policies.Filter, id string) (T, error)) {
	found, err := seen(a, r, resource, func(ctx context.Context, visible policies.Filter) (T, error) {
		return query(ctx, visible, r.PathValue("id"))
	})
	rest.Answer(w, r, http.StatusOK, found, err)
}

// removed answers the removal of what the path's id names.
func (a *API) removed(w http.ResponseWriter, r *http.Request, resource string, remove func(ctx context.Context, visible policies.Filter, id string) error) {
	_, err := seen(a, r, resource, func(ctx context.Context, visible policies.Filter) (struct{}, error) {
		return struct{}{}, remove(ctx, visible, r.PathValue("id"))
	})
	rest.Answer(w, r, http.StatusNoContent, nil, err)
}

// created answers with what was made: its address is base and the id.
func created[T any](w http.ResponseWriter, r *http.Request, location string, made T, err error) {
	if err == nil && location != "" {
		w.Header().Set("Location", location)
	}
	rest.Answer(w, r, http.StatusCreated, made, err)
}
