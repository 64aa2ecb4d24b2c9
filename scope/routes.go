package scope

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/strikeplate/strikeplate"
)

// Route is a declared route.
type Route struct {
	// Pattern as registered with http.ServeMux, and the method in it; empty: any.
	Pattern string `json:"pattern"`
	Method  string `json:"method,omitempty"`
	// Public: nobody needs to be known. There is no Requirement then.
	Public      bool        `json:"public,omitempty"`
	Requirement Requirement `json:"requirement,omitzero"`
}

// Routes registers handlers on an http.ServeMux together with what each requires,
// and knows the list. Its methods are safe for concurrent use.
//
// Handlers are guarded whether a request comes through Routes or through the mux
// itself. Routes, being an http.Handler, also sees to it that nothing else is
// served: a pattern that is on the mux but was never declared is refused with 403
// undeclared_route, and paths and methods that are not there are answered 404
// not_found and 405 method_not_allowed in the request's dialect. To know what a
// request will be served by it asks the mux once more than the mux would.
type Routes struct {
	// Logger is told of each undeclared pattern once; nil: [slog.Default]. Set it
	// before requests come.
	Logger *slog.Logger

	authorizer Authorizer
	catalog    *Catalog
	mux        *http.ServeMux

	mu         sync.Mutex
	declared   []Route
	undeclared map[string]bool // as large as the mux at most
}

// NewRoutes panics if a is nil. Requirements may name scopes of the catalog only;
// nil: any. A nil mux means one of its own, on which nothing can stand
// undeclared.
func NewRoutes(a Authorizer, c *Catalog, mux *http.ServeMux) *Routes {
	mustDecide(a)
	if mux == nil {
		mux = http.NewServeMux()
	}
	return &Routes{authorizer: a, catalog: c, mux: mux, undeclared: make(map[string]bool)}
}

// Handle registers h for a pattern of http.ServeMux, behind what [Require] would
// put there. It panics where the mux would, and for a bad requirement; see
// [Requirement.Check]. What h does with paths below a pattern that ends in "/" is
// under the same requirement.
func (s *Routes) Handle(pattern string, need Requirement, h http.Handler) {
	need = need.clone()
	need.mustBeGood(s.catalog, pattern)
	if h == nil {
		panic("scope: nil handler for " + pattern)
	}
	s.declare(Route{Pattern: pattern, Requirement: need},
		&gate{authorizer: s.authorizer, need: need, pattern: pattern, next: h})
}

// HandleFunc is [Routes.Handle] for a function.
func (s *Routes) HandleFunc(pattern string, need Requirement, h func(http.ResponseWriter, *http.Request)) {
	if h == nil {
		panic("scope: nil handler for " + pattern)
	}
	s.Handle(pattern, need, http.HandlerFunc(h))
}

// Public registers h for a route that needs nobody, such as a health check. Where
// an authenticator stands in front of all routes it still wants a credential;
// [Routes.Behind] excepts public routes.
func (s *Routes) Public(pattern string, h http.Handler) {
	if h == nil {
		panic("scope: nil handler for " + pattern)
	}
	s.declare(Route{Pattern: pattern, Public: true}, h)
}

func (s *Routes) declare(r Route, h http.Handler) {
	if space := strings.IndexAny(r.Pattern, " \t"); space > 0 {
		r.Method = r.Pattern[:space]
	}
	s.mux.Handle(r.Pattern, &declared{Route: r, handler: h}) // panics before it is listed
	s.mu.Lock()
	defer s.mu.Unlock()
	s.declared = append(s.declared, r)
}

// All returns the declared routes, sorted by path and method.
func (s *Routes) All() []Route {
	s.mu.Lock()
	all := slices.Clone(s.declared)
	s.mu.Unlock()
	for i := range all {
		all[i].Requirement = all[i].Requirement.clone()
	}
	slices.SortFunc(all, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.path(), b.path()), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Pattern, b.Pattern))
	})
	return all
}

func (r Route) path() string { return strings.TrimLeft(strings.TrimPrefix(r.Pattern, r.Method), " \t") }

// ByScope returns, for each scope, the declared routes that name it. The scopes of
// the catalog are all there: one without routes opens nothing.
func (s *Routes) ByScope() map[string][]Route {
	routes := make(map[string][]Route)
	for _, scope := range s.catalog.Scopes() {
		routes[scope] = nil
	}
	for _, r := range s.All() {
		for _, scope := range r.Requirement.Scopes() {
			routes[scope] = append(routes[scope], r)
		}
	}
	return routes
}

// Undeclared returns the patterns that were asked for and refused because nobody
// declared them, sorted. A test that calls every path of a service wants it to be
// empty.
func (s *Routes) Undeclared() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	patterns := make([]string, 0, len(s.undeclared))
	for p := range s.undeclared {
		patterns = append(patterns, p)
	}
	slices.Sort(patterns)
	return patterns
}

// Find returns the declared route that would serve r.
func (s *Routes) Find(r *http.Request) (Route, bool) {
	h, _ := s.mux.Handler(r)
	d, ok := h.(*declared)
	if !ok {
		return Route{}, false
	}
	found := d.Route
	found.Requirement = found.Requirement.clone()
	return found, true
}

// declared is what stands on the mux. That it is of this type tells it from what
// was put there otherwise.
type declared struct {
	Route
	handler http.Handler
}

func (d *declared) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if x := strikeplate.ExchangeFrom(r.Context()); x != nil {
		x.SetPattern(d.Pattern) // a middleware in between may have copied the request
		defer d.further(x, r)
	}
	d.handler.ServeHTTP(w, r)
}

// further tells the pattern that a mux inside the handler matched, unless
// something told already.
func (d *declared) further(x *strikeplate.Exchange, r *http.Request) {
	if r.Pattern != d.Pattern && x.Pattern() == d.Pattern {
		x.SetPattern(r.Pattern)
	}
}
