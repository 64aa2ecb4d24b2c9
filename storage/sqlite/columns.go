package sqlite

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// encodeLists returns the columns of k that hold JSON. Most keys have empty ones.
func encodeLists(k storage.Key) (scopes, allow, metadata string, err error) {
	scopes, err1 := encode(k.Scopes, len(k.Scopes), "[]")
	allow, err2 := encode(k.Allow, len(k.Allow), "[]")
	metadata, err3 := encode(k.Metadata, len(k.Metadata), "{}")
	return scopes, allow, metadata, errors.Join(err1, err2, err3)
}

func encode(value any, size int, empty string) (string, error) {
	if size == 0 {
		return empty, nil
	}
	text, err := json.Marshal(value)
	return string(text), err
}

// decodeLists fills k's lists; what is empty stays nil.
func decodeLists(k *storage.Key, scopes, allow, metadata string) error {
	err1 := decode(scopes, &k.Scopes)
	var networks []netip.Prefix
	err2 := decode(allow, &networks)
	k.Allow = networks
	err3 := decode(metadata, &k.Metadata)
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("key %q: %w", k.ID, err)
	}
	return nil
}

func decode(text string, to any) error {
	if text == "[]" || text == "{}" {
		return nil
	}
	return json.Unmarshal([]byte(text), to)
}

// micros is a time's column: NULL is the zero time, so that 1970 stays 1970.
func micros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func moment(column sql.NullInt64) time.Time {
	if !column.Valid {
		return time.Time{}
	}
	return time.UnixMicro(column.Int64).UTC()
}

// blob is a column of bytes: NULL where there are none.
func blob(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// text is a column of optional text: NULL where there is none.
func text(b []byte) sql.NullString {
	return sql.NullString{String: string(b), Valid: len(b) > 0}
}
