package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// callable adds what the keys are for: an API of two calls.
func callable(ctx context.Context, mux *http.ServeMux, scheme *keyauth.Scheme, catalog *scope.Catalog, store *memory.Store, c *clock) error {
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store, Now: c.now})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = keys.Close(context.WithoutCancel(ctx)) })
	routes := scope.NewRoutes(scope.Plain{}, catalog, nil)
	routes.Handle("GET /v1/whoami", scope.Requirement{Authenticated: true}, http.HandlerFunc(whoami))
	routes.Handle("GET /v1/meetings", scope.Requirement{AllOf: []string{"meetings:read"}}, http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			answer(w, map[string]any{"data": []string{}, "next": nil})
		}))
	mux.Handle("/v1/", routes.Behind(strikeplate.Require(keys)))
	return nil
}

func whoami(w http.ResponseWriter, r *http.Request) {
	p, _ := strikeplate.FromContext(r.Context())
	answer(w, map[string]any{"key": p.Credential, "organisation": p.Organisation, "scopes": p.Scopes, "access": p.Access})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the client has gone, and there is nobody to tell
}

// writeCredentials writes, for scripts, where the server is and who there is. The
// file appears at once and complete. No key is in it: they are made on the page.
func writeCredentials(name, url string) error {
	if name == "" {
		return nil
	}
	type person struct {
		ID           string `json:"id"`
		Organisation string `json:"organisation"`
		Role         string `json:"role"`
		Active       bool   `json:"active"`
	}
	users := map[string]person{}
	for _, p := range people {
		users[p.ID] = person{p.ID, p.Organisation, p.Role, p.Active}
	}
	content, err := json.Marshal(map[string]any{"base_url": url[:len(url)-1], "users": users})
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), ".credentials-*") // created 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	if _, err := temporary.Write(content); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}
