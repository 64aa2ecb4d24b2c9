package sqlite

import (
	"database/sql"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// list returns a page of what read returns, which is asked for one record more.
func list[T any](q storage.Query, place func(T) (created time.Time, id string), read func(size int) ([]T, error)) ([]T, string, error) {
	size := q.PageSize()
	page, err := read(size + 1)
	if err != nil || len(page) <= size {
		return page, "", err
	}
	return page[:size], cursor(place(page[size-1])), nil
}

// collect scans rows and closes them.
func collect[T any](rows *sql.Rows, scan func(scanner) (T, error)) ([]T, error) {
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// cursor names the last record of a page, by what the list is ordered by.
func cursor(created time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%s", created.UnixMicro(), id))
}

func readCursor(s string) (created int64, id string, err error) {
	if s == "" {
		return math.MaxInt64, "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return 0, "", storage.ErrNotFound
	}
	micros, id, ok := strings.Cut(string(text), ".")
	created, err = strconv.ParseInt(micros, 10, 64)
	if !ok || err != nil {
		return 0, "", storage.ErrNotFound
	}
	return created, id, nil
}
