package scope

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"

	"github.com/strikeplate/strikeplate"
)

// ServeHTTP serves what is declared and refuses everything else.
func (s *Routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.RequestURI == "*" {
		s.mux.ServeHTTP(w, r) // it answers 400
		return
	}
	h, pattern := s.mux.Handler(r)
	switch d, ok := h.(*declared); {
	case ok && d.fixed:
		r.Pattern = pattern
		d.ServeHTTP(w, r)
	case ok:
		s.mux.ServeHTTP(w, r) // once more: nobody else can give r its path values
	case s.redirects(r, h):
		if r.Method != http.MethodConnect { // for which it would be the client's path
			r.Pattern = pattern
		}
		h.ServeHTTP(w, r)
	case pattern == "":
		notThere(w, r, h)
	default:
		s.refuse(w, r, pattern)
	}
}

// Behind puts authenticate, such as what [strikeplate.Require] returned, in front
// of all but the public routes. Paths that don't exist are behind it as well:
//
//	edge.Handler(routes.Behind(strikeplate.Require(keys)))
func (s *Routes) Behind(authenticate func(http.Handler) http.Handler) http.Handler {
	private := authenticate(s)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, _ := s.mux.Handler(r)
		if d, ok := h.(*declared); ok && d.public {
			s.mux.ServeHTTP(w, r)
			return
		}
		private.ServeHTTP(w, r)
	})
}

var redirect = reflect.TypeOf(http.RedirectHandler("/", http.StatusTemporaryRedirect))

// redirects reports whether h is the mux's own redirect, to a clean path or to
// one with a slash at its end, and not one that stands there undeclared: that
// would be the same one when asked again.
func (s *Routes) redirects(r *http.Request, h http.Handler) bool {
	if reflect.TypeOf(h) != redirect {
		return false
	}
	again, _ := s.mux.Handler(r)
	return reflect.TypeOf(again) == redirect && again != h
}

// notThere tells in the dialect what the mux would tell in plain text.
func notThere(w http.ResponseWriter, r *http.Request, h http.Handler) {
	answer := muxAnswer{header: make(http.Header)}
	h.ServeHTTP(&answer, r)
	e := &strikeplate.Error{Status: http.StatusNotFound, Code: strikeplate.CodeNotFound, Message: "There is nothing at this path."}
	if allow := answer.header["Allow"]; answer.status == http.StatusMethodNotAllowed && len(allow) == 1 {
		w.Header()["Allow"] = allow // RFC 9110 15.5.6
		e = &strikeplate.Error{Status: http.StatusMethodNotAllowed, Code: strikeplate.CodeMethod,
			Message: "This path doesn't offer the request's method, only: " + allow[0] + "."}
	}
	if p, ok := strikeplate.FromContext(r.Context()); ok {
		e.Credential = p.Credential
	}
	strikeplate.Fail(w, r, e)
}

// muxAnswer keeps what the mux's own handlers answer apart from the client.
type muxAnswer struct {
	header http.Header
	status int
}

func (a *muxAnswer) Header() http.Header         { return a.header }
func (a *muxAnswer) WriteHeader(status int)      { a.status = status }
func (a *muxAnswer) Write(b []byte) (int, error) { return len(b), nil }

// refuse answers for a handler that nobody declared.
func (s *Routes) refuse(w http.ResponseWriter, r *http.Request, pattern string) {
	s.note(r.Context(), pattern)
	e := &strikeplate.Error{Status: http.StatusForbidden, Code: strikeplate.CodeUndeclared,
		Message: "The service has not declared who may call this route, so nobody may."}
	if x := strikeplate.ExchangeFrom(r.Context()); x != nil {
		x.SetPattern(pattern)
	}
	if p, ok := strikeplate.FromContext(r.Context()); ok {
		e.Credential = p.Credential
	}
	strikeplate.Fail(w, r, e)
}

// note remembers an undeclared pattern and logs it the first time.
func (s *Routes) note(ctx context.Context, pattern string) {
	s.mu.Lock()
	seen := s.undeclared[pattern]
	s.undeclared[pattern] = true
	s.mu.Unlock()
	if seen {
		return
	}
	logger := s.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.ErrorContext(ctx, "a route is refused because its requirement was never declared; register it with scope.Routes", "pattern", pattern)
}
