// Package storagetest checks a storage backend, or a wrapper around one,
// against the contracts of package storage. A backend's test is one call:
//
//	func TestKeys(t *testing.T) {
//		storagetest.RunKeys(t, func(t *testing.T) storagetest.Store {
//			return openEmpty(t) // closed by t.Cleanup
//		})
//	}
//
// [RunDirectory] does the same for an editable directory, [RunOperator] for the
// service's own upkeep, [RunUsage] for counts, [RunReplays] for requests that are
// sent again, [RunGrants] for OAuth apps and grants, and [RunPair] and its like for
// two store values on the same data, as two processes of a fleet would have them.
// Each case opens a fresh, empty store.
//
// The suite is itself tested by broken stores, each of which must fail in 20 of
// 20 runs. Races are provoked by 64 goroutines that start together, so give a
// backend's connection pool room for them, or a queue. Most are run 50 times; under
// the race detector one that is slow ends sooner, so run the suite without it as well.
package storagetest

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage"
)

// Store is what the suite checks: keys, their audit log, and the feed of their
// changes, from one value.
type Store interface {
	storage.Keys
	storage.Audit
	storage.Feed
}

// RunKeys checks every promise of [storage.Keys], [storage.Audit] and
// [storage.Feed]. open returns an empty store, and a new one at each call.
func RunKeys(t *testing.T, open func(*testing.T) Store) {
	run(t, keyCases, open)
	run(t, raceCases, func(t *testing.T) pair {
		s := open(t)
		return pair{s, s}
	})
}

// RunPair checks what must hold between two store values on the same data: the
// limit, compare-and-set, the audit log, and that changes made through one
// reach the watchers of the other. open returns both on a new, empty database.
func RunPair(t *testing.T, open func(*testing.T) (here, there Store)) {
	opened := func(t *testing.T) pair {
		here, there := open(t)
		return pair{here, there}
	}
	run(t, raceCases, opened)
	run(t, pairCases, opened)
}

// RunFeed checks what [RunKeys] and [RunPair] check of [storage.Feed], and nothing
// else: for a store whose changes travel another way than those that were checked in
// whole. open returns both values on a new, empty database.
func RunFeed(t *testing.T, open func(*testing.T) (here, there Store)) {
	run(t, feedCases, func(t *testing.T) Store {
		here, _ := open(t)
		return here
	})
	run(t, pairCases, func(t *testing.T) pair {
		here, there := open(t)
		return pair{here, there}
	})
}

// RunDirectory checks every promise of [storage.EditableDirectory], and that
// changes reach the feed where the store is a [storage.Feed] as well.
func RunDirectory(t *testing.T, open func(*testing.T) storage.EditableDirectory) {
	run(t, directoryCases, open)
}

// check is one case. It takes a testing.TB so that the suite's own test can
// watch it fail.
type check[S any] struct {
	name string
	run  func(t testing.TB, s S)
}

func run[S any](t *testing.T, checks []check[S], open func(*testing.T) S) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// pair is two store values on the same data; they may be one.
type pair struct{ here, there Store }

// nth alternates between the two.
func (p pair) nth(i int) Store {
	if i%2 == 0 {
		return p.here
	}
	return p.there
}
