package policies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Engine decides by the active revision of the policies. It is safe for
// concurrent use.
type Engine struct {
	c     Config
	specs []entrySpec
	base  *snapshot

	active   atomic.Pointer[revision]
	trial    atomic.Pointer[Trial]
	recorder *recorder // nil: no decision log
	state    state
	counts   counts

	stop context.CancelFunc
	done sync.WaitGroup
}

// state is how loading went. Decisions don't touch it.
type state struct {
	loading sync.Mutex // one load at a time; held while compiling
	mu      sync.Mutex // guards what follows; held for moments
	failed  error      // of the last load
	since   time.Time  // when the active revision became active
}

type counts struct {
	loads, failures, remembered, evaluated, undecided atomic.Uint64
}

// New reads, checks and compiles the policies. It fails if they can't be, or with
// Config.StartUnready waits for a change that mends them. Call Close at the end.
func New(c Config) (*Engine, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	var err error
	if c.Resources, err = settleResources(c.Resources); err != nil {
		return nil, err
	}
	specs, err := entrySpecs(c.Resources)
	if err != nil {
		return nil, err
	}
	base, err := bundledSnapshot()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Engine{c: c, specs: specs, base: base, recorder: newRecorder(&c.Log), stop: stop}
	if err := e.start(ctx); err != nil {
		stop()
		e.done.Wait()
		return nil, err
	}
	return e, nil
}

// start watches before it loads, so that no change between the two is missed.
func (e *Engine) start(ctx context.Context) error {
	if err := e.watch(ctx); err != nil {
		return err
	}
	if err := e.Reload(ctx); err != nil && !e.c.StartUnready {
		return fmt.Errorf("policies: %w", err)
	}
	if e.recorder != nil {
		e.done.Go(func() { e.recorder.run(ctx.Done()) })
	}
	return nil
}

// Reload reads the source again and makes what it finds the active revision. If
// that fails, the active one stays, and the error says why. Changes of a Dir or
// Bundle are found without it, except where the file system doesn't tell.
func (e *Engine) Reload(ctx context.Context) error {
	e.state.loading.Lock()
	defer e.state.loading.Unlock()
	before := e.active.Load()
	rev, err := e.load(ctx, &e.c.Source, before)
	if err == nil && before != nil && rev.id == before.id {
		e.state.settle(nil)
		return nil // nothing changed
	}
	return e.activate(ctx, rev, err)
}

// activate makes rev the active revision, unless it failed.
func (e *Engine) activate(ctx context.Context, rev *revision, err error) error {
	if err != nil {
		e.counts.failures.Add(1)
		if e.state.settle(err) {
			e.c.Logger.LogAttrs(ctx, slog.LevelError, "policies refused; the active revision stays",
				slog.String("active", e.active.Load().name()), slog.Any("error", err))
		}
		return err
	}
	before := e.active.Swap(rev)
	e.counts.loads.Add(1)
	e.state.mu.Lock()
	e.state.since, e.state.failed = e.c.Now(), nil
	e.state.mu.Unlock()
	e.c.Logger.LogAttrs(ctx, slog.LevelInfo, "policies changed", slog.String("active", rev.id), slog.String("before", before.name()))
	return nil
}

// settle notes how a load went, and reports whether that is news.
func (s *state) settle(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.failed == nil || err == nil || s.failed.Error() != err.Error()
	s.failed = err
	return news
}

func (r *revision) name() string {
	if r == nil {
		return "none"
	}
	return r.id
}

// load makes a revision of a source, to follow one that may be nil.
func (e *Engine) load(ctx context.Context, s *Source, before *revision) (*revision, error) {
	read, err := s.read(ctx, limits{e.c.MaxBytes, e.c.MaxFiles})
	if err != nil {
		return nil, err
	}
	if before != nil {
		if name := read.vanished(before.user); name != "" {
			return nil, fmt.Errorf("%w: %s is gone, which may be half of a change; to drop a file on purpose, list the others in %s", ErrSource, name, sums)
		}
	}
	rev, err := e.c.build(ctx, e.specs, e.base, read)
	if err != nil {
		return nil, err
	}
	if err := rev.follows(before); err != nil {
		return nil, err
	}
	return rev, nil
}

// follows refuses signed revisions that don't rise.
func (r *revision) follows(before *revision) error {
	if before == nil || before.number == 0 || r.hash == before.hash && r.number == before.number {
		return nil
	}
	if r.number <= before.number {
		return fmt.Errorf("%w: revision %d of the bundle is not above the active %d; an older bundle is not taken back, sign its content under a new number", ErrSource, r.number, before.number)
	}
	return nil
}

// ErrNotReady is returned while there is no active revision.
var ErrNotReady = errors.New("policies: no revision is active")

// Ready returns nil if decisions are made by the newest policies. An error that
// wraps ErrNotReady means that all is denied; any other that the newest policies
// were refused and an older revision decides.
func (e *Engine) Ready() error {
	e.state.mu.Lock()
	failed := e.state.failed
	e.state.mu.Unlock()
	switch {
	case e.active.Load() != nil:
		return failed
	case failed != nil:
		return fmt.Errorf("%w: %w", ErrNotReady, failed)
	}
	return ErrNotReady
}

// current is the active revision.
func (e *Engine) current() (*revision, error) {
	if rev := e.active.Load(); rev != nil {
		return rev, nil
	}
	e.counts.undecided.Add(1)
	return nil, fmt.Errorf("%w: %w", ErrUndecided, ErrNotReady)
}

// Close stops watching the source and writes out the decision log, as long as
// ctx allows. Decisions can still be made afterwards; they are not recorded.
func (e *Engine) Close(ctx context.Context) error {
	e.stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if t := e.trial.Load(); t != nil {
			t.Stop()
		}
		e.done.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
