package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var errBegins = errors.New("sqlite: the watch begins here")

// Watch implements [storage.Feed]. Changes made through this value are told
// once more by the poll that finds them.
func (s *Store) Watch(ctx context.Context, sink storage.Sink) error {
	watching, leave, ok := s.watchers.Join(ctx, sink)
	if !ok {
		return errClosed
	}
	defer leave()

	tick := time.NewTicker(s.config.Poll)
	defer tick.Stop()
	cause := errBegins
	for {
		err := s.follow(watching, sink, tick.C, cause)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case watching.Err() != nil:
			return errClosed
		}
		cause = fmt.Errorf("sqlite: watch: %w", err)
		sink.Lost(cause)
		select {
		case <-tick.C:
		case <-watching.Done():
		}
	}
}

// follow polls over one connection until something fails. cause is why what was
// remembered before cannot be trusted.
func (s *Store) follow(ctx context.Context, sink storage.Sink, tick <-chan time.Time, cause error) error {
	conn, err := s.polls.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	p := poll{conn: conn, prefix: s.config.Prefix}
	began := time.Now()
	if err := p.start(ctx); err != nil {
		return err
	}
	for sink.Lost(cause); ; began = time.Now() {
		if err := p.deliver(ctx, sink); err != nil {
			return err
		}
		sink.Fresh(began)
		select {
		case <-tick:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// poll is a reader's place in the table of changes.
type poll struct {
	conn   *sql.Conn
	prefix string
	data   int64 // PRAGMA data_version: differs when another connection has committed
	last   int64 // the last change delivered
}

// keptChanges is how many the schema's trigger keeps, and more than a reader
// that isn't too late can find.
const keptChanges = 10_100

var errGap = errors.New("more changed than the table of changes keeps")

func (p *poll) start(ctx context.Context) error {
	var err error
	if p.data, err = p.dataVersion(ctx); err != nil {
		return err
	}
	p.last, err = p.newest(ctx)
	return err
}

func (p *poll) dataVersion(ctx context.Context) (version int64, err error) {
	err = p.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version)
	return version, err
}

// newest is the number of the last change ever recorded.
func (p *poll) newest(ctx context.Context) (seq int64, err error) {
	err = p.conn.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?", p.prefix+"changes").Scan(&seq)
	return seq, err
}

// deliver tells the sink of what changed since the last time. Numbers are given
// in the order of commits and without gaps, so a gap means that rows are gone.
func (p *poll) deliver(ctx context.Context, sink storage.Sink) error {
	data, err := p.dataVersion(ctx)
	if err != nil || data == p.data {
		return err
	}
	newest, err := p.newest(ctx) // before read, which may find later ones
	if err != nil {
		return err
	}
	changes, err := p.read(ctx)
	if err != nil {
		return err
	}
	if newest < p.last || newest > p.last && (len(changes) == 0 || changes[0].seq != p.last+1) {
		return errGap
	}
	for _, c := range changes {
		sink.Changed(c.subject, c.organisation, c.id, c.version)
		p.last = c.seq
	}
	p.data = data
	return nil
}

type change struct {
	seq, version     int64
	subject          storage.Subject
	organisation, id string
}

func (p *poll) read(ctx context.Context) ([]change, error) {
	//nolint:gosec // the prefix was checked to be an identifier when the store was opened
	rows, err := p.conn.QueryContext(ctx, "SELECT seq, subject, organisation, id, version FROM "+p.prefix+
		"changes WHERE seq > ? ORDER BY seq LIMIT ?", p.last, keptChanges)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []change
	for rows.Next() {
		var c change
		if err := rows.Scan(&c.seq, &c.subject, &c.organisation, &c.id, &c.version); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}
