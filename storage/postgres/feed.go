package postgres

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strikeplate/strikeplate/storage"
)

const (
	// heartbeat is how often a watch proves that changes would arrive. The
	// contract says 500 ms; the rest is left for the way there and back.
	heartbeat = 400 * time.Millisecond
	// sendTimeout bounds the sending of one heartbeat, so that a stuck connection
	// of the pool leaves time for another try within silence.
	sendTimeout = 900 * time.Millisecond
	// silence is how long no heartbeat may return before the connection counts
	// as broken.
	silence = 2 * time.Second
	// goodbye bounds the closing of a connection that is perhaps already dead.
	goodbye = 200 * time.Millisecond

	firstRetry, lastRetry = 50 * time.Millisecond, time.Second
)

var (
	errClosed  = errors.New("postgres: store is closed")
	errBegins  = errors.New("postgres: the watch begins here")
	errListens = errors.New("postgres: listening; what changed before is unknown")
	errSilent  = fmt.Errorf("postgres: no heartbeat came back within %v", silence)
	errUntold  = errors.New("postgres: a change was announced without its name")
)

// Watch implements storage.Feed: it listens for what the triggers announce, on
// a connection of its own, so that a small pool is not starved and a pooler can
// be gone round (Config.ListenURL).
//
// Silence proves nothing: a half-open connection and a transaction pooler both
// lose notifications without an error. So the watch sends itself a heartbeat the
// way changes travel, through the pool, and receives it on the listening
// connection. PostgreSQL appends the notifications of a transaction to one
// queue in the order in which transactions commit (PreCommit_Notify holds a lock
// until the commit is done), and delivers that queue in order. Hence a heartbeat
// that came back proves that all which was committed before it was sent has been
// delivered, and that is what storage.Sink.Fresh says.
//
// With Config.Poll it looks into the table of changes instead: see polling.
//
// Watch returns before ctx ends only if the store is closed.
func (s *Store) Watch(ctx context.Context, sink storage.Sink) error {
	sink.Lost(errBegins)
	watching, leave, ok := s.watchers.Join(ctx, sink)
	if !ok {
		return errClosed
	}
	defer leave()
	s.watch(watching, sink)
	if err := ctx.Err(); err != nil {
		return err
	}
	return errClosed
}

// watch connects, and connects again, until ctx ends.
func (s *Store) watch(ctx context.Context, sink storage.Sink) {
	follow := s.listening
	if s.polls {
		follow = s.polling
	}
	retry, broken := firstRetry, false
	for ctx.Err() == nil {
		err := follow(ctx, sink, func() {
			if broken {
				s.logger.InfoContext(ctx, "postgres: the change feed works again")
			}
			retry, broken = firstRetry, false
		})
		if ctx.Err() != nil {
			return
		}
		if !broken {
			sink.Lost(err)
			s.logger.WarnContext(ctx, "postgres: the change feed is broken, connecting again", "error", err)
		}
		broken = true
		_ = pause(ctx, retry)
		retry = min(2*retry, lastRetry)
	}
}

// listening connects and delivers until something fails. It calls works when
// the first heartbeat has come back.
func (s *Store) listening(ctx context.Context, sink storage.Sink, works func()) error {
	h := &heartbeats{channel: s.sql.prefix + "beat_" + rand.Text()}
	conn, err := s.listener(ctx, h.channel)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	// What changed before LISTEN took effect was announced to nobody here.
	sink.Lost(errListens)

	beating, stop := context.WithCancel(ctx)
	var sender sync.WaitGroup
	sender.Go(func() { s.beat(beating, h) })
	defer sender.Wait()
	defer stop()
	return s.deliver(ctx, conn, sink, h, works)
}

// deliver passes on what arrives, until nothing does.
func (s *Store) deliver(ctx context.Context, conn *pgx.Conn, sink storage.Sink, h *heartbeats, works func()) error {
	due := time.Now().Add(silence)
	for {
		n, err := next(ctx, conn, due)
		if err != nil {
			return err
		}
		switch n.Channel {
		case s.channel:
			announce(sink, n.Payload)
		case h.channel:
			if asOf, ok := h.returned(n.Payload); ok {
				due = time.Now().Add(silence)
				works()
				sink.Fresh(asOf)
			}
		}
	}
}

// next waits for a notification until due.
func next(ctx context.Context, conn *pgx.Conn, due time.Time) (*pgconn.Notification, error) {
	waiting, cancel := context.WithDeadline(ctx, due)
	defer cancel()
	n, err := conn.WaitForNotification(waiting)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return nil, errSilent
	}
	return n, failed("listen", err)
}

// listener opens a connection that listens for changes, and for heartbeats on a
// channel of its own. The server filters channels for each session, so that
// however many instances beat, each is sent its own heartbeats alone; and since
// all channels share one queue, the order holds across them.
func (s *Store) listener(ctx context.Context, beats string) (*pgx.Conn, error) {
	config, err := s.listenConfig(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, failed("connect to listen", err)
	}
	// A session that only listens looks idle (PostgreSQL 14 and newer).
	_, err = conn.Exec(ctx, `SELECT set_config('idle_session_timeout', '0', false)
		WHERE current_setting('idle_session_timeout', true) IS NOT NULL;
		LISTEN `+pgx.Identifier{s.channel}.Sanitize()+`; LISTEN `+pgx.Identifier{beats}.Sanitize())
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		_ = conn.Close(ctx)
		return nil, failed("listen", err)
	}
	return conn, nil
}

// listenConfig is how the feed connects: by Config.ListenURL, else like the
// pool, whose hook may bring a password of the day.
func (s *Store) listenConfig(ctx context.Context) (*pgx.ConnConfig, error) {
	if s.listen != nil {
		return s.listen.Copy(), nil
	}
	pool := s.pool.Config()
	config := pool.ConnConfig
	config.OnNotification = nil // the pool's handler would take what is ours
	if pool.BeforeConnect != nil {
		if err := pool.BeforeConnect(ctx, config); err != nil {
			return nil, failed("prepare to connect", err)
		}
	}
	return config, nil
}

// announce passes on what the trigger strikeplate_changed said. What cannot be
// read may have been about anything.
func announce(sink storage.Sink, payload string) {
	var subject storage.Subject
	var organisation, id string
	var version int64
	message := []any{&subject, &organisation, &id, &version}
	if err := json.Unmarshal([]byte(payload), &message); err != nil || len(message) != 4 {
		sink.Lost(errUntold)
		return
	}
	sink.Changed(subject, organisation, id, version)
}

// beat sends heartbeats until ctx ends. An error is not looked at: what counts
// is whether heartbeats come back.
func (s *Store) beat(ctx context.Context, h *heartbeats) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.sendBeat(ctx, h)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (s *Store) sendBeat(ctx context.Context, h *heartbeats) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	_, _ = s.pool.Exec(ctx, "SELECT pg_notify($1, $2)", h.channel, h.leaves())
}

// heartbeats remembers when each one left, by the monotonic clock. At most a few
// are under way: the connection is given up when none returns.
type heartbeats struct {
	channel string

	mu   sync.Mutex
	last uint64
	left map[uint64]time.Time
}

// leaves notes the time before anything is sent: too early is safe.
func (h *heartbeats) leaves() (payload string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	if h.left == nil {
		h.left = make(map[uint64]time.Time)
	}
	h.left[h.last] = time.Now()
	return strconv.FormatUint(h.last, 10)
}

// returned says when a heartbeat left. One that never left, or that was
// overtaken, proves nothing.
func (h *heartbeats) returned(payload string) (asOf time.Time, ok bool) {
	n, err := strconv.ParseUint(payload, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	asOf, ok = h.left[n]
	for older := range h.left {
		if ok && older <= n {
			delete(h.left, older)
		}
	}
	return asOf, ok
}
