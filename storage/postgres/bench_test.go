package postgres_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/strikeplate/strikeplate/internal/pairedtest"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/storage/postgres"
)

// BenchmarkKeyByLookup: one index probe, however many keys there are. It
// compares a table of a million keys with one of a thousand, in turn.
func BenchmarkKeyByLookup(b *testing.B) {
	if testing.Short() {
		b.Skip("takes half a minute to fill")
	}
	lookUp := func(keys int) func(int) {
		db := pgtest.Database(b)
		s := open(b, postgres.Config{URL: db})
		fill(b, db, keys)
		return func(n int) {
			// Far apart, so that each look-up takes its own way down the index.
			id := strconv.Itoa(n * 7919 % keys)
			if k, err := s.KeyByLookup(b.Context(), "lookup-"+id); err != nil || k.ID != "k"+id {
				b.Fatalf("found %q, %v", k.ID, err)
			}
		}
	}
	pairedtest.Compare(b, lookUp(1000), lookUp(1_000_000))
}

// BenchmarkCommit: a rename, with its audit entry.
func BenchmarkCommit(b *testing.B) {
	s := open(b, postgres.Config{URL: pgtest.Database(b)})
	k := newKey("acme", "k1")
	commit(b, s, k)
	for n := 0; b.Loop(); n++ {
		k.Version++
		k.Name = fmt.Sprint("name ", n)
		commit(b, s, k)
	}
}

// fill makes keys, a hundred for each organisation, with the triggers silent: a
// million notifications in one transaction are not what is measured.
func fill(b *testing.B, db string, keys int) {
	b.Helper()
	c := connect(b, db)
	execute(b, c, "SET session_replication_role = replica")
	execute(b, c, `INSERT INTO strikeplate_keys
		SELECT 'k' || n, 'lookup-' || n, 'k' || n, 'org' || n / 100, 'key ' || n, 'abcd', 'mvo', 'live', 'org-full',
			'{meetings:read,transcripts:read}', '', 'u1', '{10.0.0.0/8}', '{"team": "billing"}',
			'$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$' || md5(n::text) || md5(n::text), NULL, 1, 1,
			now(), NULL, NULL, ''
		FROM generate_series(0, $1 - 1) AS n`, keys)
	execute(b, c, "VACUUM ANALYZE strikeplate_keys")
	execute(b, c, "CHECKPOINT") // writing it out is not measured either
}
