package memory

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// listed is a record in a list that is ordered by creation.
type listed[T any] struct {
	created time.Time
	id      string
	record  T
}

func (l listed[T]) older(o listed[T]) int {
	return cmp.Or(l.created.Compare(o.created), strings.Compare(l.id, o.id))
}

// newestFirst returns the page of found that q asks for, and the next one's cursor.
func newestFirst[T any](found []listed[T], q storage.Query, copied func(T) T) ([]T, string, error) {
	slices.SortFunc(found, listed[T].older)
	if q.Cursor != "" {
		created, id, err := readCursor(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		at, _ := slices.BinarySearchFunc(found, listed[T]{created: created, id: id}, listed[T].older)
		found = found[:at]
	}
	var page []T
	for i, l := range slices.Backward(found) {
		page = append(page, copied(l.record))
		if len(page) == q.PageSize() && i > 0 {
			return page, cursor(l.created, l.id), nil
		}
	}
	return page, "", nil
}

// cursor names the last record of a page, by what the list is ordered by.
func cursor(created time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%s", created.UnixMicro(), id))
}

func readCursor(s string) (created time.Time, id string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return time.Time{}, "", storage.ErrNotFound
	}
	number, id, ok := strings.Cut(string(text), ".")
	at, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return time.Time{}, "", storage.ErrNotFound
	}
	return time.UnixMicro(at).UTC(), id, nil
}

// micros returns t as every backend keeps it.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
