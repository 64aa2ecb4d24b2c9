package authserver

import (
	"context"
	"fmt"
	"time"
)

// keepEnded is how long what has ended is kept, so that a person who looks soon
// afterwards still finds it among their grants, and a late reuse is noticed.
const keepEnded = 30 * day

// Prune removes codes, tokens, requests and grants that ended or were revoked more
// than 30 days ago, and apps that nobody of an organisation registered and that no
// grant is left of. It returns how many records it removed. Call it every hour or
// so, on any instance, or on all of them: storage grows otherwise.
//
// It works in short transactions until nothing is left to remove, or ctx ends.
func (s *Server) Prune(ctx context.Context) (removed int, err error) {
	before := s.now().Add(-keepEnded)
	for _, step := range []struct {
		what  string
		prune func(context.Context, time.Time, int) (int, error)
	}{
		{"grants", s.c.Store.PruneGrants},
		{"apps", s.c.Store.PruneApps},
	} {
		for {
			n, err := step.prune(ctx, before, 0)
			removed += n
			if err != nil {
				return removed, fmt.Errorf("authserver: pruning %s: %w", step.what, err)
			}
			if n == 0 {
				break
			}
		}
	}
	return removed, nil
}
