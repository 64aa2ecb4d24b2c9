package meetings

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Place says which part of a list is wanted.
type Place struct {
	// Cursor is a page's Next; empty: from the beginning. Instead of it, Skip is how
	// many rows come before, for those who count pages.
	Cursor string
	Skip   int
	// Limit is the page's size; 0 means 50, and 100 is the most.
	Limit int
}

const (
	defaultLimit = 50
	maxLimit     = 100
	maxText      = 200
)

// order is what a list is sorted by: columns that tell any two rows apart.
type order struct {
	columns    []string
	time       bool // the first column is a time, written by stamp
	number     bool // the last column is a number
	descending bool
}

var newestFirst = order{columns: []string{"m.starts_at", "m.id"}, time: true, descending: true}

func (o order) String() string {
	if o.descending {
		return strings.Join(o.columns, " DESC, ") + " DESC"
	}
	return strings.Join(o.columns, ", ")
}

// page reads a part of a list. from is what stands between SELECT and WHERE, key
// returns a row's values of the order's columns.
func page[T any](ctx context.Context, s *Store, from string, c *conditions, by order, at Place, scan func(scan func(...any) error) (T, error), key func(T) []string) (Page[T], error) {
	if err := c.after(by, at.Cursor); err != nil {
		return Page[T]{}, err
	}
	limit := min(cmp.Or(max(at.Limit, 0), defaultLimit), maxLimit)
	text := fmt.Sprintf("SELECT %s WHERE %s ORDER BY %s LIMIT %d OFFSET %d", from, c, by, limit+1, max(at.Skip, 0))
	found, err := all(ctx, s, text, c.args, scan)
	if err != nil || len(found) <= limit {
		return Page[T]{Data: found}, err
	}
	// A cursor is the place of the last row that is shown, so it tells nothing that
	// the page doesn't. Made up by hand it is a place like any other: what follows
	// is under the caller's filter still.
	next := base64.RawURLEncoding.EncodeToString([]byte(strings.Join(key(found[limit-1]), " ")))
	return Page[T]{Data: found[:limit], Next: &next}, nil
}

const maxCursor = 1000

// after lets only rows follow that come after a cursor's place.
func (c *conditions) after(by order, cursor string) error {
	if cursor == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	args, ok := by.values(string(b))
	if err != nil || !ok || len(cursor) > maxCursor {
		return fmt.Errorf("%w: the cursor is not one of this list's", ErrSearch)
	}
	sign := ">"
	if by.descending {
		sign = "<"
	}
	c.and(fmt.Sprintf("(%s) %s (?%s)", strings.Join(by.columns, ", "), sign, strings.Repeat(", ?", len(args)-1)), args...)
	return nil
}

// values takes a place apart. Spaces are in the first column's value only, if
// anywhere.
func (o order) values(place string) ([]any, bool) {
	if !storage.ValidText(place) {
		return nil, false
	}
	values := make([]any, len(o.columns))
	for i := len(values) - 1; i > 0; i-- {
		at := strings.LastIndexByte(place, ' ')
		if at < 0 {
			return nil, false
		}
		values[i], place = place[at+1:], place[:at]
	}
	values[0] = place
	if _, err := time.Parse(time.RFC3339, place); o.time && err != nil {
		return nil, false
	}
	if last := len(values) - 1; o.number {
		n, err := strconv.ParseInt(values[last].(string), 10, 32)
		if err != nil {
			return nil, false
		}
		values[last] = n
	}
	return values, true
}

// contains adds that a text occurs in a column, whatever its case.
func (c *conditions) contains(column, text string) error {
	if text == "" {
		return nil
	}
	if !storage.ValidText(text) || len([]rune(text)) > maxText {
		return fmt.Errorf("%w: q is no text of at most %d characters", ErrSearch, maxText)
	}
	c.and("LOWER("+column+`) LIKE LOWER(?) ESCAPE '\'`, "%"+literally.Replace(text)+"%")
	return nil
}

// literally makes a text one that LIKE finds as it stands.
var literally = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
