package storagetest_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// brokenReplays break one promise each, and name the case that must notice.
var brokenReplays = []struct {
	fault, caught string
	make          func() storage.Replays
}{
	{"every request is new", "ReplayBegun", replaying(replayTwin{begin: func(r storage.Replay) storage.Replay {
		r.Request += r.Body
		return r
	}})},
	{"organisations not apart", "ReplayApart", replaying(replayTwin{begin: func(r storage.Replay) storage.Replay {
		r.Organisation = "all"
		return r
	}})},
	{"looked first and written later", "ReplayRace", func() storage.Replays { return newLooksFirst(&looksFirst{}) }},
	{"counted first and written later", "ReplayBoundRace", func() storage.Replays { return newLooksFirst(&looksFirst{counts: true}) }},
	{"the last target counts", "ReplaySettled", func() storage.Replays { return newLooksFirst(&looksFirst{resettles: true}) }},
	{"what made nothing stays", "ReplayForgotten", replaying(replayTwin{settle: func(target string) string { return target + "?" }})},
	{"the last moment expired", "ReplayExpired", replaying(replayTwin{begin: func(r storage.Replay) storage.Replay {
		r.Expires = r.Expires.Add(-time.Microsecond)
		return r
	}})},
	{"kept beyond the end", "ReplayExpired", replaying(replayTwin{begin: func(r storage.Replay) storage.Replay {
		r.Expires = r.Expires.Add(time.Microsecond)
		return r
	}})},
	{"no bound", "ReplaysBounded", func() storage.Replays { return newLooksFirst(&looksFirst{}) }},
	{"no limit to pruning", "ReplaysPruned", replaying(replayTwin{limit: func(int) int { return 10_000 }})},
	{"erased replays stay", "ReplaysErased", func() storage.Replays { return newLooksFirst(&looksFirst{}) }},
	{"anything is accepted", "ReplayRefused", func() storage.Replays { return newLooksFirst(&looksFirst{}) }},
	{"begun though cancelled", "ReplayCancelled", func() storage.Replays { return newLooksFirst(&looksFirst{}) }},
}

func TestBrokenReplaysFail(t *testing.T) {
	for _, b := range brokenReplays {
		t.Run(strings.ReplaceAll(b.fault, " ", "_"), func(t *testing.T) {
			mustFail(t, func(tb testing.TB) bool { return storagetest.ReplayCase(tb, b.caught, b.make()) })
		})
	}
}

// The cases pass on what the broken stores are made of.
func TestSoundReplaysPass(t *testing.T) {
	done := make(map[string]bool)
	for _, b := range brokenReplays {
		if done[b.caught] {
			continue
		}
		done[b.caught] = true
		if got := failures(t, func(tb testing.TB) { storagetest.ReplayCase(tb, b.caught, replaying(replayTwin{})()) }); len(got) > 0 {
			t.Errorf("a sound store fails %s: %v", b.caught, got)
		}
	}
}

// replayTwin is a memory store of which some arguments are changed.
type replayTwin struct {
	*memory.Store
	begin  func(storage.Replay) storage.Replay
	settle func(string) string
	limit  func(int) int
}

func replaying(t replayTwin) func() storage.Replays {
	return func() storage.Replays {
		t := t
		t.Store = memory.New()
		return &t
	}
}

func (s *replayTwin) BeginReplay(ctx context.Context, r storage.Replay) (storage.Replay, bool, error) {
	if s.begin != nil && r.Check() == nil {
		r = s.begin(r)
	}
	return s.Store.BeginReplay(ctx, r)
}

func (s *replayTwin) SettleReplay(ctx context.Context, organisation, request, target string) error {
	if s.settle != nil {
		target = s.settle(target)
	}
	return s.Store.SettleReplay(ctx, organisation, request, target)
}

func (s *replayTwin) PruneReplays(ctx context.Context, now time.Time, limit int) (int, error) {
	if s.limit != nil {
		limit = s.limit(limit)
	}
	return s.Store.PruneReplays(ctx, now, limit)
}

// looksFirst looks, lets others go on, and writes then.
type looksFirst struct {
	counts, resettles bool

	mu   sync.Mutex
	all  map[[2]string]storage.Replay
	held map[string]int // by organisation
}

func newLooksFirst(s *looksFirst) storage.Replays {
	s.all, s.held = map[[2]string]storage.Replay{}, map[string]int{}
	return s
}

func (s *looksFirst) BeginReplay(_ context.Context, r storage.Replay) (storage.Replay, bool, error) {
	name := [2]string{r.Organisation, r.Request}
	s.mu.Lock()
	known, ok := s.all[name]
	held := s.held[r.Organisation]
	s.mu.Unlock()
	if ok {
		return known, false, nil
	}
	if s.counts && held >= storage.MaxReplays {
		return known, false, storage.ErrReplays
	}
	for range 1000 {
		runtime.Gosched()
	}
	r.Begun, r.Expires = r.Begun.Truncate(time.Microsecond), r.Expires.Truncate(time.Microsecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.all[name]; !ok {
		s.held[r.Organisation]++
	}
	s.all[name] = r
	return r, true, nil
}

func (s *looksFirst) SettleReplay(_ context.Context, organisation, request, target string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := [2]string{organisation, request}
	r, ok := s.all[name]
	if !ok || r.Target != "" && !s.resettles {
		return storage.ErrNotFound
	}
	r.Target = target
	s.all[name] = r
	if target == "" {
		delete(s.all, name)
		s.held[organisation]--
	}
	return nil
}

func (s *looksFirst) PruneReplays(context.Context, time.Time, int) (int, error) { return 0, nil }

func (s *looksFirst) EraseOrganisation(context.Context, string) error { return nil }
