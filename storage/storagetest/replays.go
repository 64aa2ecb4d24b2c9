package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/storage"
)

// RunReplays checks every promise of [storage.Replays]. open returns an empty
// store, and a new one at each call.
func RunReplays(t *testing.T, open func(*testing.T) storage.Replays) {
	run(t, replayCases, open)
	run(t, replayRaces, func(t *testing.T) replayPair {
		s := open(t)
		return replayPair{s, s}
	})
}

// RunReplaysPair checks what must hold between two store values on the same
// data. open returns both on a new, empty database.
func RunReplaysPair(t *testing.T, open func(*testing.T) (here, there storage.Replays)) {
	run(t, replayRaces, func(t *testing.T) replayPair {
		here, there := open(t)
		return replayPair{here, there}
	})
}

type replayPair struct{ here, there storage.Replays }

func (p replayPair) nth(i int) storage.Replays {
	if i%2 == 0 {
		return p.here
	}
	return p.there
}

var replayCases = []check[storage.Replays]{
	{"ReplayBegun", replayBegun},
	{"ReplayApart", replayApart},
	{"ReplaySettled", replaySettled},
	{"ReplayForgotten", replayForgotten},
	{"ReplayExpired", replayExpired},
	{"ReplaysBounded", replaysBounded},
	{"ReplaysPruned", replaysPruned},
	{"ReplaysErased", replaysErased},
	{"ReplayRefused", replayRefused},
	{"ReplayCancelled", replayCancelled},
}

var replayRaces = []check[replayPair]{
	{"ReplayRace", replayRace},
	{"ReplayBoundRace", replayBoundRace},
}

func newReplay(organisation, request string) storage.Replay {
	return storage.Replay{
		Organisation: organisation, Request: request, Body: "body of " + request,
		Begun: noon.Add(1500 * time.Nanosecond), Expires: noon.Add(time.Hour),
	}
}

// asStored is what comes back: times to the microsecond.
func asStored(r storage.Replay) storage.Replay {
	r.Begun, r.Expires = r.Begun.Truncate(time.Microsecond), r.Expires.Truncate(time.Microsecond)
	return r
}

func begin(t testing.TB, s storage.Replays, r storage.Replay) (storage.Replay, bool) {
	t.Helper()
	known, begun, err := s.BeginReplay(t.Context(), r)
	if err != nil {
		t.Fatalf("BeginReplay: %v", err)
	}
	return known, begun
}

func wantBegun(t testing.TB, s storage.Replays, r storage.Replay, want bool) {
	t.Helper()
	if _, begun := begin(t, s, r); begun != want {
		t.Fatalf("BeginReplay %s of %s: begun %t, want %t", r.Request, r.Organisation, begun, want)
	}
}

func wantKnown(t testing.TB, s storage.Replays, r, want storage.Replay) {
	t.Helper()
	known, begun := begin(t, s, r)
	if begun {
		t.Fatal("a request that is remembered was begun again")
	}
	if diff := cmp.Diff(want, known); diff != "" {
		t.Fatalf("what is remembered (-want +got):\n%s", diff)
	}
}

func settle(t testing.TB, s storage.Replays, r storage.Replay, target string) {
	t.Helper()
	if err := s.SettleReplay(t.Context(), r.Organisation, r.Request, target); err != nil {
		t.Fatalf("SettleReplay: %v", err)
	}
}

func replayBegun(t testing.TB, s storage.Replays) {
	r := newReplay("org", "a")
	wantBegun(t, s, r, true)
	again := r
	again.Body, again.Begun, again.Expires = "another", noon.Add(time.Minute), noon.Add(2*time.Hour)
	wantKnown(t, s, again, asStored(r))
	wantKnown(t, s, again, asStored(r)) // asking changed nothing
}

func replayApart(t testing.TB, s storage.Replays) {
	wantBegun(t, s, newReplay("org", "a"), true)
	wantBegun(t, s, newReplay("org", "b"), true)
	wantBegun(t, s, newReplay("other", "a"), true)
	settle(t, s, newReplay("org", "a"), "key_1")
	for _, r := range []storage.Replay{newReplay("org", "b"), newReplay("other", "a")} {
		wantKnown(t, s, r, asStored(r))
	}
}

func replaySettled(t testing.TB, s storage.Replays) {
	r := newReplay("org", "a")
	wantBegun(t, s, r, true)
	settle(t, s, r, "key_1")
	settled := asStored(r)
	settled.Target = "key_1"
	wantKnown(t, s, r, settled)
	for _, target := range []string{"key_2", ""} { // what was settled stays so
		wantOnly(t, "settled twice", s.SettleReplay(t.Context(), "org", "a", target), storage.ErrNotFound)
	}
	wantKnown(t, s, r, settled)
	wantOnly(t, "settled without a beginning", s.SettleReplay(t.Context(), "org", "b", "key_1"), storage.ErrNotFound)
	wantOnly(t, "another organisation's", s.SettleReplay(t.Context(), "other", "a", "key_1"), storage.ErrNotFound)
}

func replayForgotten(t testing.TB, s storage.Replays) {
	r := newReplay("org", "a")
	wantBegun(t, s, r, true)
	settle(t, s, r, "")
	wantBegun(t, s, r, true)
}

func replayExpired(t testing.TB, s storage.Replays) {
	r := newReplay("org", "a")
	wantBegun(t, s, r, true)
	settle(t, s, r, "key_1")
	later := r
	later.Begun, later.Expires = r.Expires.Add(-time.Microsecond), r.Expires.Add(time.Hour)
	wantBegun(t, s, later, false)
	later.Begun = r.Expires
	wantBegun(t, s, later, true)
	wantKnown(t, s, later, asStored(later)) // with nothing of the old one
}

func replaysBounded(t testing.TB, s storage.Replays) {
	for i := range storage.MaxReplays {
		wantBegun(t, s, newReplay("org", fmt.Sprint(i)), true)
	}
	beyond := newReplay("org", "beyond")
	if _, begun, err := s.BeginReplay(t.Context(), beyond); begun || !errors.Is(err, storage.ErrReplays) {
		t.Fatalf("one more than MaxReplays: %t, %v", begun, err)
	}
	wantBegun(t, s, newReplay("org", "7"), false) // what is remembered is answered
	wantBegun(t, s, newReplay("other", "a"), true)
	settle(t, s, newReplay("org", "7"), "")
	wantBegun(t, s, beyond, true)
	beyond.Request, beyond.Begun, beyond.Expires = "later", noon.Add(time.Hour), noon.Add(2*time.Hour)
	wantBegun(t, s, beyond, true) // all others have expired
	// They are gone: what is left to prune is the other organisation's.
	if n, err := s.PruneReplays(t.Context(), noon.Add(time.Hour), 0); err != nil || n != 1 {
		t.Fatalf("PruneReplays: %d, %v; want 1", n, err)
	}
}

func replaysPruned(t testing.TB, s storage.Replays) {
	for i, organisation := range []string{"a", "a", "b", "b"} {
		r := newReplay(organisation, fmt.Sprint(i))
		r.Expires = noon.Add(time.Duration(i+1) * time.Hour)
		wantBegun(t, s, r, true)
	}
	prune := func(at time.Time, limit, want int) {
		t.Helper()
		if n, err := s.PruneReplays(t.Context(), at, limit); err != nil || n != want {
			t.Fatalf("PruneReplays: %d, %v; want %d", n, err, want)
		}
	}
	prune(noon, 0, 0)
	prune(noon.Add(3*time.Hour), 2, 2)
	prune(noon.Add(3*time.Hour), 2, 1)
	last := newReplay("b", "3")
	wantBegun(t, s, last, false) // not expired yet
	prune(noon.Add(4*time.Hour), 0, 1)
	wantBegun(t, s, last, true)
}

func replaysErased(t testing.TB, s storage.Replays) {
	o, ok := s.(interface {
		EraseOrganisation(ctx context.Context, organisation string) error
	})
	if !ok {
		return // it erases nothing
	}
	wantBegun(t, s, newReplay("org", "a"), true)
	wantBegun(t, s, newReplay("other", "a"), true)
	if err := o.EraseOrganisation(t.Context(), "org"); err != nil {
		t.Fatal(err)
	}
	wantBegun(t, s, newReplay("org", "a"), true)
	wantBegun(t, s, newReplay("other", "a"), false)
}

func replayRefused(t testing.TB, s storage.Replays) {
	for name, change := range map[string]func(*storage.Replay){
		"no organisation": func(r *storage.Replay) { r.Organisation = "" },
		"no request":      func(r *storage.Replay) { r.Request = "" },
		"no body":         func(r *storage.Replay) { r.Body = "" },
		"a NUL byte":      func(r *storage.Replay) { r.Request = "a\x00" },
		"a target":        func(r *storage.Replay) { r.Target = "key_1" },
		"no end":          func(r *storage.Replay) { r.Expires = r.Begun },
		"no beginning":    func(r *storage.Replay) { r.Begun = time.Time{} },
	} {
		r := newReplay("org", "a")
		change(&r)
		if _, begun, err := s.BeginReplay(t.Context(), r); begun || err == nil {
			t.Errorf("%s: %t, %v", name, begun, err)
		}
	}
	wantBegun(t, s, newReplay("org", "a"), true)
}

func replayCancelled(t testing.TB, s storage.Replays) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, begun, err := s.BeginReplay(ctx, newReplay("org", "a")); begun || err == nil {
		t.Errorf("begun though cancelled: %t, %v", begun, err)
	}
	wantBegun(t, s, newReplay("org", "a"), true)
}

// replayRace: of many that begin the same, one does.
func replayRace(t testing.TB, p replayPair) {
	for round := range turns(rounds) {
		won := make([]bool, many)
		errs := together(many, func(i int) error {
			var err error
			_, won[i], err = p.nth(i).BeginReplay(t.Context(), newReplay("org", fmt.Sprint(round)))
			return err
		})
		if n := count(t, won, errs, nil); n != 1 {
			t.Fatalf("round %d: %d of %d began the same request", round, n, many)
		}
	}
}

// replayBoundRace: near the bound, no more begin than there is room for.
func replayBoundRace(t testing.TB, p replayPair) {
	const room = 10
	for i := range storage.MaxReplays - room {
		wantBegun(t, p.here, newReplay("org", fmt.Sprint(i)), true)
	}
	for round := range turns(5) {
		won := make([]bool, many)
		errs := together(many, func(i int) error {
			var err error
			_, won[i], err = p.nth(i).BeginReplay(t.Context(), newReplay("org", fmt.Sprintf("r%d-%d", round, i)))
			return err
		})
		if n := count(t, won, errs, storage.ErrReplays); n != room {
			t.Fatalf("round %d: %d began, where there is room for %d", round, n, room)
		}
		for i, began := range won {
			if began {
				settle(t, p.nth(i+1), newReplay("org", fmt.Sprintf("r%d-%d", round, i)), "")
			}
		}
	}
}

// count tells how many won, and fails the test on an error that is neither nil
// nor allowed.
func count(t testing.TB, won []bool, errs []error, allowed error) (n int) {
	t.Helper()
	for i := range won {
		if won[i] {
			n++
		}
		if errs[i] != nil && (allowed == nil || !errors.Is(errs[i], allowed)) {
			t.Fatalf("BeginReplay: %v", errs[i])
		}
	}
	return n
}
