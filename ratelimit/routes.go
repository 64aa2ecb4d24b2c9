package ratelimit

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/strikeplate/strikeplate"
)

// CostByRoute returns a [Cost] that depends on the route: costs are by patterns as
// [http.ServeMux] takes them, with its rules of which one matches, and what
// matches none costs 1. A limiter stands outside the service's own router, so it
// matches for itself. An invalid pattern, two that conflict, and a negative cost
// are errors.
func CostByRoute(costs map[string]int64) (Cost, error) {
	for pattern, cost := range costs {
		if cost < 0 {
			return nil, fmt.Errorf("%w: route %q: %d", ErrCost, pattern, cost)
		}
	}
	costs = maps.Clone(costs)
	mux, err := newMux(slices.Sorted(maps.Keys(costs)))
	if err != nil {
		return nil, err
	}
	return func(r *http.Request, _ *strikeplate.Principal) int64 {
		if _, pattern := mux.Handler(r); pattern != "" {
			if cost, ok := costs[pattern]; ok {
				return cost
			}
		}
		return 1
	}, nil
}

// newMux returns a mux that tells which pattern a request matches.
func newMux(patterns []string) (mux *http.ServeMux, err error) {
	defer func() {
		if broken := recover(); broken != nil { // how ServeMux refuses a pattern
			mux, err = nil, fmt.Errorf("ratelimit: route: %v", broken)
		}
	}()
	mux = http.NewServeMux()
	for _, pattern := range patterns {
		mux.Handle(pattern, http.NotFoundHandler())
	}
	return mux, nil
}
