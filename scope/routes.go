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
	// Pattern as registered with http.ServeMux, and its parts. An empty Method or
	// Host: any.
	Pattern string `json:"pattern"`
	Method  string `json:"method,omitempty"`
	Host    string `json:"host,omitempty"`
	Path    string `json:"path"`
	// Public: it serves everybody. Otherwise Requires says whom.
	Public   bool        `json:"public,omitempty"`
	Requires Requirement `json:"requires,omitzero"`
}

// split fills what a pattern that the mux accepted consists of.
func (r *Route) split() {
	r.Path = r.Pattern
	if space := strings.IndexAny(r.Path, " \t"); space >= 0 {
		r.Method, r.Path = r.Path[:space], strings.TrimLeft(r.Path[space:], " \t")
	}
	slash := strings.IndexByte(r.Path, '/')
	r.Host, r.Path = r.Path[:slash], r.Path[slash:]
}

// Routes registers handlers on an http.ServeMux together with what each requires,
// and knows the list. Its methods are safe for concurrent use.
//
// Handlers are guarded whether a request comes through Routes or through the mux
// itself. Routes, being an http.Handler, also sees to it that nothing else is
// served: a pattern that is on the mux but was never declared is refused with 403
// undeclared_route, and paths and methods that are not there are answered 404
// not_found and 405 method_not_allowed in the request's dialect. For patterns with
// path values that takes the mux a second search, as only it can fill them in.
type Routes struct {
	// Logger is told of each undeclared pattern once; nil: [slog.Default]. Set it
	// before requests come.
	Logger *slog.Logger

	authorizer Authorizer
	catalog    *Catalog
	mux        *http.ServeMux

	mu         sync.Mutex
	routes     map[string]Route // by pattern
	undeclared map[string]bool  // as large as the mux at most
}

// NewRoutes panics if a is nil. Requirements may name scopes of the catalog only;
// nil: any. A nil mux means one of its own, on which nothing can stand
// undeclared.
func NewRoutes(a Authorizer, c *Catalog, mux *http.ServeMux) *Routes {
	mustDecide(a)
	if mux == nil {
		mux = http.NewServeMux()
	}
	return &Routes{authorizer: a, catalog: c, mux: mux, routes: make(map[string]Route), undeclared: make(map[string]bool)}
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
	s.declare(Route{Pattern: pattern, Requires: need}, &gate{authorizer: s.authorizer, need: need, next: h})
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
	d := &declared{pattern: r.Pattern, public: r.Public, fixed: !strings.Contains(r.Pattern, "{"), handler: h}
	s.mux.Handle(r.Pattern, d) // panics before the route is listed
	r.split()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes[r.Pattern] = r
}

// All returns the declared routes, sorted by path, host and method.
func (s *Routes) All() []Route {
	s.mu.Lock()
	all := make([]Route, 0, len(s.routes))
	for _, r := range s.routes {
		r.Requires = r.Requires.clone()
		all = append(all, r)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Method, b.Method))
	})
	return all
}

// ByScope returns, for each scope, the declared routes that name it. The scopes of
// the catalog are all there: one without routes opens nothing.
func (s *Routes) ByScope() map[string][]Route {
	routes := make(map[string][]Route)
	for _, scope := range s.catalog.Scopes() {
		routes[scope] = nil
	}
	for _, r := range s.All() {
		for _, scope := range r.Requires.Scopes() {
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
	h, pattern := s.mux.Handler(r)
	if _, ok := h.(*declared); !ok {
		return Route{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.routes[pattern]
	found.Requires = found.Requires.clone()
	return found, ok
}

// declared is what stands on the mux. That it is of this type tells it from what
// was put there otherwise.
type declared struct {
	pattern string
	public  bool
	fixed   bool // no path values
	handler http.Handler
}

func (d *declared) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if x := strikeplate.ExchangeFrom(r.Context()); x != nil {
		x.SetPattern(d.pattern) // a middleware in between may have copied the request
		defer d.further(x, r)
	}
	d.handler.ServeHTTP(w, r)
}

// further tells the pattern that a mux inside the handler matched, unless
// something told already.
func (d *declared) further(x *strikeplate.Exchange, r *http.Request) {
	if r.Pattern != d.pattern && x.Pattern() == d.pattern {
		x.SetPattern(r.Pattern)
	}
}
