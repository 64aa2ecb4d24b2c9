package postgres

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/strikeplate/strikeplate/storage"
)

// KeyByLookup implements storage.Keys. It is one probe of a unique index.
func (s *Store) KeyByLookup(ctx context.Context, lookup string) (storage.Key, error) {
	return s.oneKey(ctx, s.sql.byLookup, lookup)
}

// Key implements storage.Keys.
func (s *Store) Key(ctx context.Context, organisation, id string) (storage.Key, error) {
	return s.oneKey(ctx, s.sql.byID, organisation, id)
}

func (s *Store) oneKey(ctx context.Context, sql string, names ...string) (storage.Key, error) {
	args := make([]any, len(names))
	for i, name := range names {
		// Whoever presents a credential chooses this text. What can't be stored
		// isn't there; asking would be an error, and 503 where 401 is right.
		if !storage.ValidText(name) {
			return storage.Key{}, storage.ErrNotFound
		}
		args[i] = name
	}
	k, err := scanKey(s.pool.QueryRow(ctx, sql, args...))
	if errors.Is(err, pgx.ErrNoRows) {
		return storage.Key{}, storage.ErrNotFound
	}
	return k, failed("read a key", err)
}

// ListKeys implements storage.Keys.
func (s *Store) ListKeys(ctx context.Context, q storage.Query) ([]storage.Key, string, error) {
	if !storage.ValidText(q.Organisation + string(q.Status) + q.Lineage) {
		return nil, "", nil
	}
	created, id, err := readCursor(q.Cursor)
	if err != nil {
		return nil, "", err
	}
	// One more than asked for tells whether there is a next page.
	list, args := s.sql.list, []any{q.Organisation, created, id, string(q.Status), micros(q.Now), q.PageSize() + 1}
	if q.Lineage != "" {
		list, args = s.sql.listLineage, append(args, q.Lineage)
	}
	rows, err := s.pool.Query(ctx, list, args...)
	if err != nil {
		return nil, "", failed("list keys", err)
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (storage.Key, error) { return scanKey(row) })
	if err != nil {
		return nil, "", failed("list keys", err)
	}
	page, next := cut(page, q, func(k storage.Key) (time.Time, string) { return k.Created, k.ID })
	return page, next, nil
}

// cut returns the page that was asked for, of a list of one more at the most, and
// the cursor of the next one.
func cut[T any](list []T, q storage.Query, place func(T) (created time.Time, id string)) (page []T, next string) {
	size := q.PageSize()
	if len(list) <= size {
		return orNil(list), ""
	}
	return list[:size], cursor(place(list[size-1]))
}

// cursor names the last record of a page by what the list is ordered by; both
// columns are permanent, so a cursor never goes stale.
func cursor(created time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%s", created.UnixMicro(), id))
}

// readCursor returns the record that a page continues after. The first page
// continues after one of the infinite future.
func readCursor(cursor string) (created pgtype.Timestamptz, id string, err error) {
	if cursor == "" {
		return pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}, "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return created, "", storage.ErrNotFound
	}
	number, id, _ := strings.Cut(string(text), ".")
	n, err := strconv.ParseInt(number, 10, 64)
	at := time.UnixMicro(n).UTC()
	if err != nil || id == "" || !storage.ValidText(id) || !storable(at) {
		return created, "", storage.ErrNotFound
	}
	return pgtype.Timestamptz{Time: at, Valid: true}, id, nil
}

// scanKey reads a row of keyColumns.
func scanKey(row pgx.Row) (storage.Key, error) {
	var k storage.Key
	var allow []string
	var regenerated, expires, revoked *time.Time
	err := row.Scan(&k.ID, &k.Lookup, &k.Lineage, &k.Organisation, &k.Name, &k.Last4, &k.Format, &k.Environment,
		&k.Access, &k.Scopes, &k.Owner, &k.Creator, &allow, &k.Metadata, &k.Hash, &k.Sealed, &k.SecretVersion,
		&k.Version, &k.Created, &regenerated, &expires, &revoked, &k.RevokedBecause)
	if err != nil {
		return storage.Key{}, err
	}
	for _, text := range allow {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return storage.Key{}, fmt.Errorf("networks of key %q: %w", k.ID, err)
		}
		k.Allow = append(k.Allow, network)
	}
	k.Scopes = orNil(k.Scopes)
	k.Sealed = orNil(k.Sealed)
	if len(k.Metadata) == 0 {
		k.Metadata = nil
	}
	k.Created, k.Regenerated, k.Expires, k.Revoked = k.Created.UTC(), utc(regenerated), utc(expires), utc(revoked)
	return k, nil
}

// keyRow is a key in the types of its columns.
type keyRow struct {
	storage.Key
	allow    []string
	metadata string // JSON; text reaches PostgreSQL alike in every protocol

	regenerated, expires, revoked *time.Time
}

func newKeyRow(k storage.Key) (keyRow, error) {
	row := keyRow{Key: k, allow: []string{}, metadata: "{}",
		regenerated: orNull(k.Regenerated), expires: orNull(k.Expires), revoked: orNull(k.Revoked)}
	for _, t := range []time.Time{k.Created, k.Regenerated, k.Expires, k.Revoked} {
		if !storable(t) {
			return keyRow{}, fmt.Errorf("postgres: key %q: a time is outside the years 1 to 9999", k.ID)
		}
	}
	for _, network := range k.Allow {
		if !network.IsValid() {
			return keyRow{}, fmt.Errorf("postgres: key %q: an allowed network is not valid", k.ID)
		}
		row.allow = append(row.allow, network.String())
	}
	if len(k.Metadata) > 0 {
		text, err := json.Marshal(k.Metadata)
		if err != nil {
			return keyRow{}, fmt.Errorf("postgres: metadata of key %q: %w", k.ID, err)
		}
		row.metadata = string(text)
	}
	row.Created = micros(k.Created)
	row.Scopes = orEmpty(k.Scopes)
	row.Sealed = orNil(k.Sealed)
	return row, nil
}

// micros is t as timestamptz keeps it.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// storable keeps to years that every way of writing a time can express.
func storable(t time.Time) bool { return t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 }

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = micros(t)
	return &t
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// orNil: empty slices come back nil, says the contract.
func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// orEmpty: a nil slice would be NULL.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
