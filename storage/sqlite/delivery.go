package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/strikeplate/strikeplate/storage"
)

var errConsumer = errors.New("sqlite: a consumer's name is empty, not UTF-8, or holds a NUL byte")

// Undelivered implements [storage.Operator].
//
// A row for each consumer and organisation says how far the consumer is and how
// far the log; a trigger keeps the latter. The rows that are behind have an index
// of their own, so that looking for news is one probe of an index, empty when
// there are none.
func (s *Store) Undelivered(ctx context.Context, consumer string, limit int) ([]storage.Entry, error) {
	if consumer == "" || !storage.ValidText(consumer) {
		return nil, errConsumer
	}
	limit = storage.BatchSize(limit)
	for {
		c, err := s.consumer(ctx, consumer, limit)
		switch {
		case err != nil:
			return nil, err
		case !c.known:
			if err := s.write(ctx, func(tx *sql.Tx) error { return s.register(ctx, tx, consumer) }); err != nil {
				return nil, err
			}
		case len(c.behind) < limit && c.filled.Valid:
			if err := s.write(ctx, func(tx *sql.Tx) error { return s.fill(ctx, tx, consumer) }); err != nil {
				return nil, err
			}
		case len(c.behind) == 0:
			return nil, nil
		default:
			page, err := s.shares(ctx, c.behind, limit)
			if err != nil {
				return nil, err
			}
			if err := s.served(ctx, consumer, c.behind); err != nil || len(page) > 0 {
				return page, err
			}
			// All that these organisations had was trimmed, and is noted now.
		}
	}
}

// consumer is what is stored of one.
type consumer struct {
	known  bool
	filled sql.NullString // not valid: every organisation has a row
	behind []*delivery
}

// delivery is a consumer's place in an organisation's log, and what is delivered
// of it.
type delivery struct {
	organisation         string
	acknowledged, newest int64
	page                 []storage.Entry
}

// consumer reads where the consumer is behind, beginning after the organisation
// that it was served last.
func (s *Store) consumer(ctx context.Context, name string, limit int) (consumer, error) {
	var c consumer
	var served string
	err := s.sql.consumer.QueryRowContext(ctx, name).Scan(&served, &c.filled)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err != nil {
		return c, s.failed("undelivered", err)
	}
	c.known = true
	for _, from := range []struct {
		stmt *sql.Stmt
	}{{s.sql.behindAfter}, {s.sql.behindUpTo}} {
		rows, err := from.stmt.QueryContext(ctx, name, served, limit-len(c.behind))
		if err != nil {
			return c, s.failed("undelivered", err)
		}
		if c.behind, err = deliveries(rows, c.behind); err != nil {
			return c, s.failed("undelivered", err)
		}
	}
	return c, nil
}

func deliveries(rows *sql.Rows, all []*delivery) ([]*delivery, error) {
	defer rows.Close()
	for rows.Next() {
		var d delivery
		if err := rows.Scan(&d.organisation, &d.acknowledged, &d.newest); err != nil {
			return nil, err
		}
		all = append(all, &d)
	}
	return all, rows.Err()
}

// register makes a consumer known. Nobody else writes meanwhile: what came
// before is found by fill, what comes after by the trigger.
func (s *Store) register(ctx context.Context, tx *sql.Tx, name string) error {
	_, err := tx.StmtContext(ctx, s.sql.register).ExecContext(ctx, name, storage.MaxConsumers)
	if err != nil {
		return err
	}
	var known bool
	if err := tx.StmtContext(ctx, s.sql.known).QueryRowContext(ctx, name).Scan(&known); err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("there are %d consumers already", storage.MaxConsumers)
	}
	return nil
}

// fill gives the next thousand organisations a row for the consumer.
func (s *Store) fill(ctx context.Context, tx *sql.Tx, name string) error {
	var after sql.NullString
	if err := tx.StmtContext(ctx, s.sql.filled).QueryRowContext(ctx, name).Scan(&after); err != nil || !after.Valid {
		return err
	}
	rows, err := tx.StmtContext(ctx, s.sql.logsAfter).QueryContext(ctx, after.String, piece)
	if err != nil {
		return err
	}
	names, err := texts(rows)
	if err != nil {
		return err
	}
	for _, organisation := range names {
		if _, err := tx.StmtContext(ctx, s.sql.await).ExecContext(ctx, organisation, name); err != nil {
			return err
		}
	}
	after = sql.NullString{}
	if len(names) == piece {
		after = sql.NullString{String: names[piece-1], Valid: true}
	}
	_, err = tx.StmtContext(ctx, s.sql.fill).ExecContext(ctx, name, after)
	return err
}

// shares divides limit as [storage.Shares] does, without counting first: it
// reads the same from each, and divides what is left among those that had it.
func (s *Store) shares(ctx context.Context, behind []*delivery, limit int) ([]storage.Entry, error) {
	for open := behind; len(open) > 0 && limit > 0; {
		each := max(limit/len(open), 1)
		var more []*delivery
		for _, d := range open {
			share := min(each, limit)
			n, err := s.read(ctx, d, share)
			if err != nil {
				return nil, err
			}
			if limit -= n; n == share && n > 0 {
				more = append(more, d)
			}
		}
		open = more
	}
	var page []storage.Entry
	for _, d := range behind {
		page = append(page, d.page...)
	}
	return page, nil
}

// read adds up to n entries to d's page.
func (s *Store) read(ctx context.Context, d *delivery, n int) (int, error) {
	if n == 0 {
		return 0, nil
	}
	seen := d.acknowledged
	if len(d.page) > 0 {
		seen = d.page[len(d.page)-1].Position
	}
	rows, err := s.sql.entries.QueryContext(ctx, d.organisation, seen, n)
	if err != nil {
		return 0, s.failed("undelivered", err)
	}
	defer rows.Close()
	before := len(d.page)
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return 0, s.failed("undelivered", err)
		}
		d.page = append(d.page, e)
	}
	if err := rows.Err(); err != nil {
		return 0, s.failed("undelivered", err)
	}
	return len(d.page) - before, nil
}

// served remembers where the next page begins, and acknowledges what is gone: a
// log that had news and has none was trimmed.
func (s *Store) served(ctx context.Context, name string, behind []*delivery) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for _, d := range behind {
			if len(d.page) > 0 {
				continue
			}
			if _, err := tx.StmtContext(ctx, s.sql.acknowledge).ExecContext(ctx, name, d.organisation, d.newest); err != nil {
				return err
			}
		}
		_, err := tx.StmtContext(ctx, s.sql.served).ExecContext(ctx, name, behind[len(behind)-1].organisation)
		return err
	})
}

// Acknowledge implements [storage.Operator].
func (s *Store) Acknowledge(ctx context.Context, consumer, organisation string, position int64) error {
	if consumer == "" || !storage.ValidText(consumer) {
		return errConsumer
	}
	if !storage.ValidText(organisation) || position <= 0 {
		return nil
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := s.register(ctx, tx, consumer); err != nil {
			return err
		}
		// A consumer that is not filled yet may have no row here.
		if _, err := tx.StmtContext(ctx, s.sql.await).ExecContext(ctx, organisation, consumer); err != nil {
			return err
		}
		_, err := tx.StmtContext(ctx, s.sql.acknowledge).ExecContext(ctx, consumer, organisation, position)
		return err
	})
}
