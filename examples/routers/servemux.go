package routers

import (
	"net/http"

	"github.com/strikeplate/strikeplate/scope"
)

// ServeMux serves the API by net/http's own router. It notes the pattern in the
// request, where the Exchange finds it.
func (s *Service) ServeMux() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, need scope.Requirement, serve func(w http.ResponseWriter, r *http.Request, id string)) {
		mux.Handle(pattern, scope.Require(s.authorizer, need)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			serve(w, r, r.PathValue("id"))
		})))
	}
	route("GET /v1/meetings/{id}", read, meeting)
	route("DELETE /v1/meetings/{id}", write, nothing)
	return s.Around(mux)
}
