package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

const (
	// pollTimeout bounds one look, so that a stuck connection of the pool leaves
	// time for another within silence.
	pollTimeout = 900 * time.Millisecond
	// pollSpacing is the least time between looks, however often the bell rings.
	pollSpacing = 25 * time.Millisecond
	// mostChanges is how many one look reads. More at once are cheaper forgotten.
	mostChanges = 10_000
)

var (
	errPolls     = errors.New("postgres: looking for changes; what changed before is unknown")
	errGap       = errors.New("postgres: more changed, or earlier, than the table of changes tells")
	errElsewhere = errors.New("postgres: another server answers than before, or it was restarted")
	errReplica   = errors.New("postgres: Config.URL leads to a replica, which can't tell what changed")
)

// Bell tells instances that look for changes (Config.Poll) to look now. It is a
// hint: what changed is read from PostgreSQL, whoever rings, and where no ring
// arrives the next look is at most 400 ms away. storage/redis has one.
type Bell interface {
	// Ring is called after something was committed here.
	Ring(ctx context.Context) error
	// Hear calls heard, which returns at once, whenever somebody rang, until ctx
	// ends. It mends lost connections itself.
	Hear(ctx context.Context, heard func()) error
}

// place is where a reader of the table of changes has got to.
type place struct {
	snapshot string // of the last look
	server   string // when the server that answered was started
}

// polling looks for changes until something fails. It calls works when the first
// look has succeeded.
//
// Each look is one statement, and its snapshot holds everything that was committed
// before it was sent; what the snapshot before didn't hold has been delivered when
// it returns. That is what storage.Sink.Fresh says. A look that fails misses
// nothing, since the next begins where the last that succeeded ended.
func (s *Store) polling(ctx context.Context, sink storage.Sink, works func()) error {
	rang, stop := s.hear(ctx)
	defer stop()
	last := time.Now()
	at, err := s.begins(ctx)
	if err != nil {
		return err
	}
	sink.Lost(errPolls)
	sink.Fresh(last)
	works()
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for began := last; ; {
		select {
		case <-tick.C:
		case <-rang:
			if err := wait(ctx, pollSpacing-time.Since(began)); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		began = time.Now()
		switch err := s.look(ctx, sink, &at); {
		case err == nil:
			last = began
			sink.Fresh(began)
		case ctx.Err() != nil || errors.Is(err, errGap) || errors.Is(err, errElsewhere) || time.Since(last) > silence:
			return err
		}
	}
}

// begins takes the first snapshot, of a server that can tell what changed.
func (s *Store) begins(ctx context.Context) (place, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var at place
	var replica bool
	err := s.pool.QueryRow(ctx, s.sql.begins).Scan(&at.snapshot, &at.server, &replica)
	if err == nil && replica {
		return at, errReplica
	}
	return at, failed("begin to look for changes", err)
}

// look delivers what was committed since the last look.
func (s *Store) look(ctx context.Context, sink storage.Sink, at *place) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, s.sql.look, at.snapshot, mostChanges+1)
	if err != nil {
		return failed("look for changes", err)
	}
	now, messages := place{}, []string(nil)
	var gap bool
	var message *string // null: there is none
	_, err = pgx.ForEachRow(rows, []any{&now.snapshot, &now.server, &gap, &message}, func() error {
		if message != nil {
			messages = append(messages, *message)
		}
		return nil
	})
	switch {
	case err != nil:
		return failed("look for changes", err)
	case now.server != at.server:
		return errElsewhere
	case gap || len(messages) > mostChanges:
		return errGap
	}
	for _, m := range messages {
		announce(sink, m)
	}
	at.snapshot = now.snapshot
	return nil
}

// hear lets the bell be heard until stop, which returns when it no longer is.
// Without one nothing ever rings.
func (s *Store) hear(ctx context.Context) (rang <-chan struct{}, stop func()) {
	if s.bell == nil {
		return nil, func() {}
	}
	rings := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	var hearing sync.WaitGroup
	hearing.Go(func() {
		for ctx.Err() == nil {
			if err := s.bell.Hear(ctx, func() { signal(rings) }); err != nil && ctx.Err() == nil {
				s.logger.WarnContext(ctx, "postgres: the bell is not heard, changes arrive with the next look", "error", err)
				_ = pause(ctx, lastRetry)
			}
		}
	})
	return rings, func() {
		cancel()
		hearing.Wait()
	}
}

// ringer is a watcher of this store's own changes that rings the bell. Changes of
// one moment are one ring.
type ringer struct{ changed chan struct{} }

func (r ringer) Changed(storage.Subject, string, string, int64) { signal(r.changed) }
func (ringer) Fresh(time.Time)                                  {}
func (ringer) Lost(error)                                       {}

// ring rings until the store is closed. Nobody waits for it: a commit is done
// whether or not others hear of it early.
func (s *Store) ring() {
	r := ringer{changed: make(chan struct{}, 1)}
	open, leave, ok := s.watchers.Join(context.Background(), r)
	if !ok {
		return
	}
	go func() {
		defer leave()
		broken := false
		for {
			select {
			case <-r.changed:
			case <-open.Done():
				return
			}
			ctx, cancel := context.WithTimeout(open, sendTimeout)
			err := s.bell.Ring(ctx)
			cancel()
			if err != nil && !broken && open.Err() == nil {
				s.logger.Warn("postgres: the bell can't be rung, others hear of changes with their next look", "error", err)
			}
			broken = err != nil
		}
	}()
}

// signal says that there is something, if that isn't said already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// wait waits for d, if that is anything.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("postgres: %w", ctx.Err())
	}
}
