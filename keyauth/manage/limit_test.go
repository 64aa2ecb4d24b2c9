package manage_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

const (
	many   = 64 // creations at once
	rounds = 50
)

// TestLimitIsExact: 64 creations by two instances against a limit of 10 leave
// exactly 10. All of them reach the store before any is let through, so that no
// round passes by luck.
func TestLimitIsExact(t *testing.T) {
	each(t, func(t *testing.T, here, there store) {
		p := newPlace(t, here)
		for round := range rounds {
			if err := p.limitRound(t, here, there); err != nil {
				t.Fatalf("round %d of %d: %v", round+1, rounds, err)
			}
		}
	})
}

// TestNaiveLimitsFail: the same round tells the naive implementations from the
// sound one, each time.
func TestNaiveLimitsFail(t *testing.T) {
	for name, naive := range map[string]func(store) storage.Keys{
		"count_then_insert": func(s store) storage.Keys { return &countThenInsert{store: s, counted: newMeeting(many)} },
		"insert_where_count": func(s store) storage.Keys {
			return &insertWhereCount{store: s, pool: make(chan struct{}, 16), snapshot: newMeeting(16)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, here, there store) {
				p := newPlace(t, here)
				caught, tries := 0, 5
				if here == there { // in memory, where it costs nothing
					tries = 50
				}
				for range tries {
					broken := naive(here)
					if p.limitRound(t, broken, broken) != nil {
						caught++
					}
				}
				if caught < tries {
					t.Errorf("caught in %d of %d rounds", caught, tries)
				}
			})
		})
	}
}

// limitRound returns what is wrong after 64 creations at once.
func (p *place) limitRound(t *testing.T, here, there storage.Keys) error {
	t.Helper()
	w := p.world(t, avoma)
	gate := newMeeting(many)
	services := []*manage.Service{w.service(&gated{here, gate}), w.service(&gated{there, gate})}
	errs := make([]error, many)
	var done sync.WaitGroup
	for i := range many {
		done.Go(func() { _, errs[i] = services[i%2].Create(w.ctx, w.admin, w.draft()) })
	}
	done.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !refusedWith(err, 409, manage.CodeLimit):
			return fmt.Errorf("a creation failed with %s", told(err))
		}
	}
	held := len(w.list(manage.Filter{Status: storage.Active, Limit: 1000}))
	if won != 10 || held != 10 || w.logged(manage.ActionCreate) != 10 {
		return fmt.Errorf("%d creations succeeded, %d keys, %d entries", won, held, w.logged(manage.ActionCreate))
	}
	return nil
}

// meeting lets goroutines on in groups of n. It opens a race's window without
// sleeping.
type meeting struct {
	mu   sync.Mutex
	n    int
	here int
	open chan struct{}
}

func newMeeting(n int) *meeting { return &meeting{n: n, open: make(chan struct{})} }

func (m *meeting) wait() {
	m.mu.Lock()
	open := m.open
	if m.here++; m.here == m.n {
		m.here, m.open = 0, make(chan struct{})
		close(open)
	}
	m.mu.Unlock()
	<-open
}

// gated holds commits until all have come.
type gated struct {
	storage.Keys
	gate *meeting
}

func (g *gated) Commit(ctx context.Context, m storage.Mutation) error {
	g.gate.wait()
	return g.Keys.Commit(ctx, m)
}

// active counts as the naive do: in a statement of its own.
func active(ctx context.Context, s store, m storage.Mutation) int {
	page, _, err := s.ListKeys(ctx, storage.Query{Organisation: m.Limit.Organisation, Status: storage.Active, Now: m.Now, Limit: 1000})
	if err != nil {
		panic(err)
	}
	return len(page)
}

// countThenInsert is SELECT count(*), then INSERT.
type countThenInsert struct {
	store
	counted *meeting
}

func (s *countThenInsert) Commit(ctx context.Context, m storage.Mutation) error {
	n := active(ctx, s.store, m)
	s.counted.wait()
	if n >= m.Limit.Max {
		return storage.ErrLimit
	}
	m.Limit = nil
	return s.store.Commit(ctx, m)
}

// insertWhereCount is INSERT … WHERE (SELECT count(*)) < max: one statement,
// whose snapshot doesn't show what runs beside it. Sixteen run at a time, as
// over a pool of that size.
type insertWhereCount struct {
	store
	pool     chan struct{}
	snapshot *meeting
}

func (s *insertWhereCount) Commit(ctx context.Context, m storage.Mutation) error {
	s.pool <- struct{}{}
	defer func() { <-s.pool }()
	n := active(ctx, s.store, m)
	s.snapshot.wait()
	if n >= m.Limit.Max {
		return storage.ErrLimit
	}
	m.Limit = nil
	return s.store.Commit(ctx, m)
}
