package main

import (
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/strikeplate/strikeplate/scope"
)

// exampleRoutes are those of the service that the gateway brings.
//
//go:embed routes.txt
var exampleRoutes string

// route is one line of the file.
type route struct {
	pattern string // as http.ServeMux takes it
	public  bool
	need    scope.Requirement
}

func (o options) readRoutes() ([]route, error) {
	if o.routes == "" {
		return parseRoutes(exampleRoutes)
	}
	content, err := os.ReadFile(o.routes)
	if err != nil {
		return nil, fmt.Errorf("-routes: %w", err)
	}
	all, err := parseRoutes(string(content))
	if err != nil {
		return nil, fmt.Errorf("-routes: %s: %w", o.routes, err)
	}
	return all, nil
}

var (
	methodForm = regexp.MustCompile(`^[A-Z]+$`)
	pathForm   = regexp.MustCompile(`^(/([A-Za-z0-9._~-]+|\{[A-Za-z_][A-Za-z0-9_]*(\.\.\.)?\}|\{\$\})?)+$`)
)

// parseRoutes reads lines of a method, a path and what is required. Anything else is
// an error that names the line: a line that is skipped is a route that isn't
// protected as its author believes.
func parseRoutes(text string) ([]route, error) {
	var all []route
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 0 {
			r, err := parseRoute(fields)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no route in it")
	}
	return all, conflicts(all)
}

func parseRoute(fields []string) (route, error) {
	if len(fields) != 3 {
		return route{}, fmt.Errorf("wants a method, a path, and scopes, any or public; it has %d words", len(fields))
	}
	method, path, requires := fields[0], fields[1], fields[2]
	switch {
	case !methodForm.MatchString(method):
		return route{}, fmt.Errorf("%q is no method, such as GET", method)
	case !pathForm.MatchString(path) || strings.Contains(path, "//"):
		return route{}, fmt.Errorf("%q is no path, such as /v1/meetings/{id}", path)
	case strings.HasPrefix(path, ownPaths):
		return route{}, fmt.Errorf("%s is the gateway's own", ownPaths)
	}
	r := route{pattern: method + " " + path}
	switch {
	case requires == "public":
		r.public = true
		return r, nil
	case requires == "any":
		r.need.Authenticated = true
	case strings.Contains(requires, "|"):
		r.need.AnyOf = strings.Split(requires, "|")
	default:
		r.need.AllOf = strings.Split(requires, ",")
	}
	return r, r.need.Check(nil)
}

// conflicts finds what ServeMux panics for: two patterns of which neither says more
// than the other, and paths that it doesn't take.
func conflicts(all []route) (err error) {
	mux := http.NewServeMux()
	pattern := ""
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%s: %v", pattern, problem)
		}
	}()
	for _, r := range all {
		pattern = r.pattern
		mux.Handle(pattern, http.NotFoundHandler())
	}
	return nil
}
