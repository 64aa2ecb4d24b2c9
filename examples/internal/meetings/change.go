package meetings

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/storage"
)

// ErrFull means that there are as many of these as the demo keeps.
var ErrFull = errors.New("meetings: no room for more")

// NewID makes an id that nobody guesses.
func NewID(prefix string) string {
	random := make([]byte, 12)
	_, _ = rand.Read(random)
	b := []byte(prefix)
	for _, r := range random {
		b = append(b, "abcdefghjkmnpqrstuvwxyz234567890"[r%32])
	}
	return string(b)
}

// Member reports whether a user is of an organisation.
func Member(organisation, id string) bool {
	for _, u := range Users {
		if u.ID == id {
			return u.Organisation == organisation
		}
	}
	return false
}

// A change writes within one transaction and keeps the first error.
type change struct {
	ctx   context.Context //nolint:containedctx // lives as long as the transaction
	store *Store
	tx    *sql.Tx
	err   error
}

// change runs do in a transaction. Deliveries are part of it: what was changed is
// told, and what was not changed isn't.
func (s *Store) change(ctx context.Context, tell []Delivery, do func(w *change)) error {
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	w := &change{ctx: ctx, store: s, tx: tx}
	do(w)
	w.tell(tell)
	if w.err != nil {
		return w.err
	}
	return tx.Commit()
}

// within is change for what belongs to a meeting. The meeting is locked, so that
// it is still the caller's to see when the change is made.
func (s *Store) within(ctx context.Context, visible policies.Filter, meeting string, tell []Delivery, do func(w *change)) error {
	if !storage.ValidText(meeting) {
		return ErrNotFound
	}
	return s.change(ctx, tell, func(w *change) {
		c := s.where(visible)
		c.and("m.id = ?", meeting)
		w.lock("SELECT 1 FROM demo_meetings AS m WHERE "+c.String(), c.args)
		if w.err == nil {
			do(w)
		}
	})
}

// lock keeps others from changing a row until the transaction ends. SQLite locks
// the whole database when one begins.
func (w *change) lock(text string, args []any) {
	if w.err != nil {
		return
	}
	if w.store.Dialect == policies.PostgreSQL {
		text += " FOR UPDATE"
	}
	var one int
	w.err = w.tx.QueryRowContext(w.ctx, text, args...).Scan(&one)
	if errors.Is(w.err, sql.ErrNoRows) {
		w.err = ErrNotFound
	}
}

// do runs a statement and returns how many rows it changed.
func (w *change) do(text string, args ...any) int64 {
	if w.err != nil {
		return 0
	}
	result, err := w.tx.ExecContext(w.ctx, w.store.Bind(text), args...)
	if err != nil {
		w.err = err
		return 0
	}
	n, err := result.RowsAffected()
	w.err = err
	return n
}

// one is do where exactly that row has to be there.
func (w *change) one(text string, args ...any) {
	if n := w.do(text, args...); n == 0 && w.err == nil {
		w.err = ErrNotFound
	}
}

// room fails with ErrFull where a count is at its bound. Instances that count at
// the same time may exceed it by as many as they are.
func (w *change) room(most int, counted string, args ...any) {
	if w.err != nil {
		return
	}
	var n int
	w.err = w.tx.QueryRowContext(w.ctx, w.store.Bind("SELECT COUNT(*) FROM "+counted), args...).Scan(&n)
	if w.err == nil && n >= most {
		w.err = ErrFull
	}
}

// set changes columns of a row, those whose value is given.
type set struct {
	columns []string
	args    []any
}

func assign[T any](s *set, column string, value *T) {
	if value != nil {
		s.to(column, *value)
	}
}

func (s *set) to(column string, value any) {
	s.columns = append(s.columns, column+" = ?")
	s.args = append(s.args, value)
}

func (w *change) update(table string, s set, id string) {
	if len(s.columns) == 0 {
		return
	}
	text := s.columns[0]
	for _, c := range s.columns[1:] {
		text += ", " + c
	}
	w.one(fmt.Sprintf("UPDATE %s SET %s WHERE id = ?", table, text), append(s.args, id)...)
}
