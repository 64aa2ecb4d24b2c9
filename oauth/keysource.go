package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strikeplate/strikeplate"
)

const (
	// fetchPause is the least time between two fetches of one issuer's keys,
	// whatever strangers send.
	fetchPause = time.Second
	// maxWaiting is how many requests may wait for one issuer's keys.
	maxWaiting = 1024
)

// keySource is an issuer's keys as they are at present.
//
// A key id that isn't known makes the keys be fetched, once a second at most, for
// all who want to know together; that a signature is wrong doesn't. While they
// can't be fetched, those that are known count, for a while.
type keySource struct {
	resource *Resource
	issuer   string
	fetch    Fetch
	locate   func(context.Context) (string, error)
	fixed    bool

	current atomic.Pointer[keySet]
	fetched atomic.Int64 // when the current ones were, on the tracker's scale
	waiting atomic.Int64

	one chan struct{} // one fetch at a time, so that an old answer never follows a new one

	mu     sync.Mutex
	next   *round // that a fetch is planned for, not begun; nil: none is
	flight *round // that has begun; nil: none has
	last   time.Duration
	began  bool // there was a fetch: last means something
	err    error
	place  string // where the keys are, once known
}

// round is one fetch, to wait for.
type round struct{ done chan struct{} }

func newKeySource(r *Resource, issuer string, f Fetch) *keySource {
	return &keySource{resource: r, issuer: issuer, fetch: f, one: make(chan struct{}, 1)}
}

// fix sets keys for ever.
func (s *keySource) fix(set *keySet) {
	s.fixed = true
	set.lasts(forever)
	s.current.Store(set)
}

// run keeps the keys fresh until ctx ends.
func (s *keySource) run(ctx context.Context) {
	if s.fixed {
		return
	}
	for ctx.Err() == nil {
		s.plan()
		pause := time.NewTimer(jittered(s.fetch.Refresh))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// jittered keeps the instances of a fleet apart.
func jittered(d time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(d/5)+1))
	if err != nil {
		return d
	}
	return d - d/10 + time.Duration(n.Int64())
}

// usable returns the keys, if they are not too old.
func (s *keySource) usable() *keySet {
	set := s.current.Load()
	if set == nil || s.fixed {
		return set
	}
	_, age := s.resource.clock()
	if age-time.Duration(s.fetched.Load()) > s.fetch.MaxStale {
		return nil
	}
	return set
}

// find returns the key that a token names, waiting for new ones if it isn't known.
func (s *keySource) find(ctx context.Context, id *string, a *algorithm) (*signingKey, error) {
	if set := s.usable(); set != nil {
		k, err := set.find(id, a)
		if err == nil || s.fixed || !errors.Is(err, errUnknownKey) {
			return k, err
		}
	}
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		s.resource.counts.shed.Add(1)
		return nil, &strikeplate.Error{Status: http.StatusServiceUnavailable, Code: strikeplate.CodeUnavailable,
			Message: "Too many requests wait for the issuer's keys. Try again shortly.", RetryAfter: fetchPause}
	}
	defer s.waiting.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, s.fetch.Timeout)
	defer cancel()
	// What is under way may bring the key, though it began before we asked.
	for _, r := range []func() *round{s.underway, s.plan} {
		select {
		case <-r().done:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the keys of %s: %w", s.issuer, ctx.Err())
		}
		if set := s.usable(); set != nil {
			if k, err := set.find(id, a); err == nil {
				return k, nil
			}
		}
	}
	s.mu.Lock()
	failed := s.err
	s.mu.Unlock()
	set := s.usable()
	if set == nil {
		return nil, fmt.Errorf("no keys of %s: %w", s.issuer, failed)
	}
	k, err := set.find(id, a)
	if failed != nil && errors.Is(err, errUnknownKey) {
		return nil, failed // the key may be there, and can't be had
	}
	return k, err
}

var over = func() *round {
	r := &round{done: make(chan struct{})}
	close(r.done)
	return r
}()

// underway returns the round that has begun, or one that is over.
func (s *keySource) underway() *round {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == nil {
		return over
	}
	return s.flight
}

// plan returns a round that begins after now, at the pace that is allowed.
func (s *keySource) plan() *round {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		return s.next
	}
	r := &round{done: make(chan struct{})}
	s.next = r
	var wait time.Duration
	if _, age := s.resource.clock(); s.began {
		wait = max(0, s.last+fetchPause-age)
	}
	if !s.resource.background(func() { s.begin(r, wait) }) {
		s.next, s.err = nil, errClosed
		close(r.done)
	}
	return r
}

// begin fetches the keys after a wait, and ends the round.
func (s *keySource) begin(r *round, wait time.Duration) {
	defer close(r.done)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.resource.closing.Done():
	}
	s.one <- struct{}{}
	defer func() { <-s.one }()
	s.mu.Lock()
	s.next, s.flight = nil, r // who comes from now on needs a later one
	_, s.last = s.resource.clock()
	s.began = true
	place := s.place
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(s.resource.closing, s.fetch.Timeout)
	defer cancel()
	place, err := s.refresh(ctx, place)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.err == nil {
		s.resource.config.Logger.Error("an issuer's signing keys could not be fetched; those that are known count for now",
			"issuer", s.issuer, "error", err)
	}
	s.place, s.err, s.flight = place, err, nil
}

// refresh fetches the keys from where they are. It returns the place only if they
// were there: otherwise they are looked for anew.
func (s *keySource) refresh(ctx context.Context, place string) (string, error) {
	s.resource.counts.fetches.Add(1)
	err := s.load(ctx, &place)
	if err != nil {
		s.resource.counts.fetchFailures.Add(1)
		return "", err
	}
	return place, nil
}

func (s *keySource) load(ctx context.Context, place *string) error {
	if *place == "" {
		found, err := s.locate(ctx)
		if err != nil {
			return err
		}
		if *place = found; found == "" {
			return errors.New("the issuer's metadata has no jwks_uri")
		}
	}
	_, asked := s.resource.clock()
	body, err := s.fetch.get(ctx, *place)
	if err != nil {
		return err
	}
	before := s.current.Load()
	set, err := parseKeySet(body, before)
	if err != nil {
		return fmt.Errorf("GET %s: %w", *place, err)
	}
	set.lasts(asked + s.fetch.MaxStale)
	s.current.Store(set)
	s.fetched.Store(int64(asked))
	if before != nil {
		before.retire(set)
	}
	return nil
}

// ready reports why there are no keys. It waits for a fetch.
func (s *keySource) ready(ctx context.Context) error {
	for _, r := range []func() *round{s.underway, s.plan} {
		if s.usable() != nil {
			return nil
		}
		select {
		case <-r().done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.usable() != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("oauth: no keys of %s: %w", s.issuer, s.err)
}
