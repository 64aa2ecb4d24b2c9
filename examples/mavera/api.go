package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/scope"
)

// api is the product: models to list, and one to talk to.
type api struct {
	keys *keyauth.Authenticator
	gate ratelimit.Gate
	now  func() time.Time
	pace time.Duration // between two pieces of a stream
}

// declare registers the API's routes. A key of Mavera's has no scopes, so a route
// requires the access level that all of them have. Each endpoint serves an
// organisation so many times at once, and stops when the key is revoked.
func declare(routes *scope.Routes, a *api) error {
	anyKey := scope.Requirement{Access: []strikeplate.Access{strikeplate.OrganisationFull}}
	for _, endpoint := range []struct {
		pattern, name string
		most          int
		serve         http.HandlerFunc
	}{
		{"GET /api/v1/models", "models", 10, a.models},
		{"GET /api/v1/models/{model}", "model", 10, a.model},
		{"POST /api/v1/chat/completions", "chat/completions", 5, a.chat},
		{"POST /api/v1/responses", "responses", 3, a.responses},
	} {
		atOnce, err := ratelimit.NewConcurrency(ratelimit.ConcurrencyConfig{Gate: a.gate, Name: endpoint.name, Max: endpoint.most})
		if err != nil {
			return err
		}
		routes.Handle(endpoint.pattern, anyKey, atOnce.Handler(a.keys.EndWithKey(endpoint.serve)))
	}
	routes.HandleFunc("GET /api/v1/whoami", scope.Requirement{Authenticated: true}, a.whoami)
	return nil
}

// model is one that requests may name.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

var models = []model{
	{ID: "mavera-echo", Object: "model", Created: 1767225600, OwnedBy: "mavera"},
	{ID: "mavera-echo-mini", Object: "model", Created: 1767225600, OwnedBy: "mavera"},
}

// modelNamed refuses models that there aren't, naming the parameter where it was one.
func modelNamed(id, param string) (model, error) {
	for _, m := range models {
		if m.ID == id {
			return m, nil
		}
	}
	return model{}, &strikeplate.Error{Status: http.StatusNotFound, Code: "model_not_found", Params: map[string]string{"param": param},
		Message: "There is no such model. GET /api/v1/models lists those that there are."}
}

func (a *api) models(w http.ResponseWriter, r *http.Request) {
	answer(w, r, struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
		Next   *string `json:"next"` // all are on one page
	}{Object: "list", Data: models}, nil)
}

func (a *api) model(w http.ResponseWriter, r *http.Request) {
	found, err := modelNamed(r.PathValue("model"), "model")
	answer(w, r, found, err)
}

func (a *api) whoami(w http.ResponseWriter, r *http.Request) {
	principal, _ := strikeplate.FromContext(r.Context())
	answer(w, r, principal, nil)
}

// answer writes what was made, or why nothing was.
func answer(w http.ResponseWriter, r *http.Request, made any, err error) {
	if err != nil {
		strikeplate.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(made)
}
