package routers

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/strikeplate/strikeplate/scope"
)

// Chi serves the API by chi. Its middlewares are net/http's, so scope.Require is one
// of a route's; the pattern is complete when those run.
func (s *Service) Chi() http.Handler {
	router := chi.NewRouter()
	route := func(method, pattern string, need scope.Requirement, serve func(w http.ResponseWriter, r *http.Request, id string)) {
		router.With(told, scope.Require(s.authorizer, need)).MethodFunc(method, pattern, func(w http.ResponseWriter, r *http.Request) {
			serve(w, r, chi.URLParam(r, "id"))
		})
	}
	route(http.MethodGet, "/v1/meetings/{id}", read, meeting)
	route(http.MethodDelete, "/v1/meetings/{id}", write, nothing)
	router.NotFound(notFound)
	router.MethodNotAllowed(notAllowed)
	return s.Around(router)
}

func told(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tell(r, chi.RouteContext(r.Context()).RoutePattern())
		next.ServeHTTP(w, r)
	})
}
