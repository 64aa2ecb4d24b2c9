package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/storage"
)

var errConsumer = errors.New("postgres: a consumer's name is empty, not UTF-8, or holds a NUL byte")

// Undelivered implements storage.Operator.
//
// A row for each consumer and organisation says how far the consumer is and how
// many entries there are; the trigger strikeplate_counted keeps the latter. The
// rows that are behind have an index of their own, so that looking for news is
// one probe of an index, empty when there are none. Positions are given under
// the organisation's lock, so whoever sees a count sees all entries up to it,
// and "behind what was acknowledged, by position" skips none.
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
			err = s.register(ctx, consumer)
		case len(c.behind) < limit && c.filled != nil:
			err = s.fill(ctx, consumer, *c.filled)
		case len(c.behind) == 0:
			return nil, nil
		default:
			var page []storage.Entry
			var gone []delivery
			page, gone, err = s.shares(ctx, c.behind, limit)
			if err == nil && len(gone) == 0 {
				return page, s.served(ctx, consumer, c.behind)
			}
			if err == nil { // what would be theirs is the others' now
				err = s.skip(ctx, consumer, gone)
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// consumer is what is stored of one.
type consumer struct {
	known  bool
	filled *string // nil: every organisation has a row
	behind []delivery
}

// delivery is a consumer's place in an organisation's log.
type delivery struct {
	organisation          string
	acknowledged, entries int64
}

// consumer reads where the consumer is behind, beginning after the organisation
// that it was served last.
func (s *Store) consumer(ctx context.Context, name string, limit int) (consumer, error) {
	var c consumer
	b := &pgx.Batch{}
	b.Queue(s.sql.consumer, name).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			c.known = true
			if err := rows.Scan(&c.filled); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	b.Queue(s.sql.behind, name, limit).Query(func(rows pgx.Rows) (err error) {
		c.behind, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (delivery, error) {
			var d delivery
			err := row.Scan(&d.organisation, &d.acknowledged, &d.entries)
			return d, err
		})
		return err
	})
	return c, failed("look for undelivered entries", s.pool.SendBatch(ctx, b).Close())
}

// register makes a consumer known. It waits for the mutations under way, and
// others wait for it: those before are found by fill, those after by the
// trigger. That happens once in a consumer's life.
func (s *Store) register(ctx context.Context, name string) error {
	return s.inTransaction(ctx, "register a consumer", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql.shortWait); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql.stopCounting); err != nil {
			return err
		}
		var known bool
		if err := tx.QueryRow(ctx, s.sql.register, name, storage.MaxConsumers).Scan(&known); err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("there are %d consumers already", storage.MaxConsumers)
		}
		return nil
	})
}

// fill gives the next thousand organisations a row for the consumer.
func (s *Store) fill(ctx context.Context, name, after string) error {
	return s.inTransaction(ctx, "prepare a consumer", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql.fill, name, after)
		return err
	})
}

// shares reads each organisation's share. gone are those of which nothing is
// left to deliver: all entries that were counted were committed, so they have
// been removed since.
func (s *Store) shares(ctx context.Context, behind []delivery, limit int) (page []storage.Entry, gone []delivery, err error) {
	waiting := make([]int64, len(behind))
	organisations, acknowledged := make([]string, len(behind)), make([]int64, len(behind))
	for i, d := range behind {
		waiting[i] = d.entries - d.acknowledged
		organisations[i], acknowledged[i] = d.organisation, d.acknowledged
	}
	rows, err := s.pool.Query(ctx, s.sql.undelivered, organisations, acknowledged, storage.Shares(waiting, limit))
	if err != nil {
		return nil, nil, failed("read undelivered entries", err)
	}
	if page, err = pgx.CollectRows(rows, scanEntry); err != nil {
		return nil, nil, failed("read undelivered entries", err)
	}
	found := make(map[string]bool)
	for _, e := range page {
		found[e.Organisation] = true
	}
	for _, d := range behind {
		if !found[d.organisation] {
			gone = append(gone, d)
		}
	}
	return page, gone, nil
}

// skip acknowledges what was counted, and is gone.
func (s *Store) skip(ctx context.Context, name string, gone []delivery) error {
	organisations, entries := make([]string, len(gone)), make([]int64, len(gone))
	for i, d := range gone {
		organisations[i], entries[i] = d.organisation, d.entries
	}
	return s.inTransaction(ctx, "skip what was trimmed", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql.skip, name, organisations, entries)
		return err
	})
}

// served remembers where the next page begins.
func (s *Store) served(ctx context.Context, name string, behind []delivery) error {
	return s.inTransaction(ctx, "remember who was served", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql.served, name, behind[len(behind)-1].organisation)
		return err
	})
}

// Acknowledge implements storage.Operator.
func (s *Store) Acknowledge(ctx context.Context, consumer, organisation string, position int64) error {
	if consumer == "" || !storage.ValidText(consumer) {
		return errConsumer
	}
	if !storage.ValidText(organisation) || position <= 0 {
		return nil
	}
	for {
		known := false
		err := s.inTransaction(ctx, "acknowledge entries", func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, s.sql.acknowledge, consumer, organisation, position).Scan(&known)
		})
		if err != nil || known {
			return err
		}
		if err := s.register(ctx, consumer); err != nil {
			return err
		}
	}
}
