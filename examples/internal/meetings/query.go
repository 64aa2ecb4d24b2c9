package meetings

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/storage"
)

// What queries return to branch on.
var (
	// ErrNotFound: there is no such thing, or the caller may not see it. Nobody can
	// tell which.
	ErrNotFound = errors.New("meetings: not found")
	// ErrSearch: a cursor or a text that no list can be asked for.
	ErrSearch = errors.New("meetings: bad search")
)

// conditions are what rows have to meet. They begin with the filter, so that no
// query is written without one.
type conditions struct {
	dialect string
	texts   []string
	args    []any
}

func (s *Store) where(visible policies.Filter) *conditions {
	return &conditions{dialect: s.Dialect, texts: []string{visible.Where}, args: append([]any(nil), visible.Args...)}
}

// and adds a condition with "?" for each argument.
func (c *conditions) and(text string, args ...any) {
	c.texts = append(c.texts, bind(c.dialect, text, len(c.args)+1))
	c.args = append(c.args, args...)
}

func (c *conditions) String() string { return strings.Join(c.texts, " AND ") }

// Bind writes a statement's "?" as the store's database wants them.
func (s *Store) Bind(text string) string { return bind(s.Dialect, text, 1) }

func bind(dialect, text string, first int) string {
	if dialect != policies.PostgreSQL {
		return text
	}
	parts := strings.Split(text, "?")
	var b strings.Builder
	for i, part := range parts[:len(parts)-1] {
		b.WriteString(part + "$" + strconv.Itoa(first+i))
	}
	return b.String() + parts[len(parts)-1]
}

// all reads the rows of a query.
func all[T any](ctx context.Context, s *Store, text string, args []any, scan func(scan func(...any) error) (T, error)) ([]T, error) {
	rows, err := s.DB.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := []T{} // JSON's [], not null
	for rows.Next() {
		one, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// single is the row of a query that has one.
func single[T any](found []T, err error) (T, error) {
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return found[0], nil
}

// see fails with ErrNotFound unless there is such a meeting and the caller sees it.
func (s *Store) see(ctx context.Context, visible policies.Filter, id string) error {
	if !storage.ValidText(id) { // PostgreSQL has no text with a NUL byte, so no id either
		return ErrNotFound
	}
	c := s.where(visible)
	c.and("m.id = ?", id)
	var one int
	err := s.DB.QueryRowContext(ctx, "SELECT 1 FROM demo_meetings AS m WHERE "+c.String(), c.args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
