package console

import (
	"fmt"
	"net/http"

	"github.com/strikeplate/strikeplate"
)

// maxForm bounds what is read of a request's body.
const maxForm = 64 << 10

// Console is the Developer page and its JSON API. It is safe for concurrent use.
type Console struct {
	c       Config
	looks   *looks
	handler http.Handler
}

// New checks c.
func New(c Config) (*Console, error) {
	if err := c.settle(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	s := &Console{c: c}
	var err error
	if s.looks, err = newLooks(&s.c.Product); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	mux := http.NewServeMux()
	s.routePages(mux)
	if err := s.routeAPI(mux); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	s.handler = strikeplate.Edge{Dialect: s.problemPage}.Handler(s.secured(mux))
	return s, nil
}

// ServeHTTP implements [http.Handler]. Requests arrive with the whole path,
// Product.Base included.
func (s *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Console) path(tail string) string { return s.c.Product.Base + tail }

func (s *Console) routePages(mux *http.ServeMux) {
	get := func(pattern string, p page) { mux.Handle("GET "+s.path(pattern), s.visited(p)) }
	post := func(pattern string, p page) { mux.Handle("POST "+s.path(pattern), guarded(s.visited(p))) }
	get("/{$}", s.showKeys)
	if s.c.Product.Base != "" {
		get("", s.showKeys)
	}
	get("/keys/new", s.showCreate)
	post("/keys", s.postCreate)
	get("/keys/{id}", s.showKey)
	post("/keys/{id}/rename", s.postRename)
	get("/keys/{id}/edit", s.showEdit)
	post("/keys/{id}/edit", s.postEdit)
	get("/keys/{id}/rotate", s.showRotate)
	post("/keys/{id}/rotate", s.postRotate)
	get("/keys/{id}/regenerate", s.showRegenerate)
	post("/keys/{id}/regenerate", s.postRegenerate)
	get("/keys/{id}/revoke", s.showRevoke)
	post("/keys/{id}/revoke", s.postRevoke)
	post("/keys/{id}/reveal", s.postReveal)
	get("/keys/{id}/usage", s.showUsage)
	get("/revoke", s.showRevokeMany)
	post("/revoke", s.postRevokeMany)
	get("/audit", s.showAudit)
	get("/audit/export", s.exportAudit)
	if s.c.Apps != nil {
		s.routeApps(get, post)
	}
	mux.HandleFunc("GET "+s.path("/assets/{name}"), s.looks.serve)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { strikeplate.Fail(w, r, nowhere()) })
}

func nowhere() *strikeplate.Error {
	return &strikeplate.Error{Status: http.StatusNotFound, Code: CodeNowhere, Message: "The address may be mistyped, or what it showed is gone."}
}
