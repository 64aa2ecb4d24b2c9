package sqlite_test

import (
	"fmt"
	"testing"

	"github.com/strikeplate/strikeplate/internal/pairedtest"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

// BenchmarkKeyByLookup asks for keys all over the file. The look-up is on the
// way of each request that meets a cold cache, so it must not grow with the
// number of keys: a file of a million is compared with one of a thousand, in
// turn.
func BenchmarkKeyByLookup(b *testing.B) {
	if testing.Short() {
		b.Skip("takes a minute to fill")
	}
	lookUp := func(keys int) func(int) {
		s := filled(b, keys)
		return func(n int) {
			if _, err := s.KeyByLookup(b.Context(), lookup(n*7_919%keys)); err != nil { // a prime: no two neighbours
				b.Fatal(err)
			}
		}
	}
	pairedtest.Compare(b, lookUp(1_000), lookUp(1_000_000))
}

func BenchmarkCommit(b *testing.B) {
	s := open(b, sqlite.Config{Path: file(b)})
	i := 0
	for b.Loop() {
		i++
		m := mutation(newKey(fmt.Sprint("org", i/10), fmt.Sprint("k", i)))
		m.Limit = &storage.Limit{Organisation: m.Put[0].Organisation, Max: 10}
		if err := s.Commit(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// lookup spreads the keys over the index, as random ones would be.
func lookup(i int) string { return fmt.Sprintf("%08x", uint32(i)*2_654_435_761) }

var stores = map[int]*sqlite.Store{} // each size is filled once

func filled(b *testing.B, n int) *sqlite.Store {
	if stores[n] != nil {
		return stores[n]
	}
	path := fmt.Sprintf("%s/%d.db", benchDir, n)
	s, err := sqlite.Open(b.Context(), sqlite.Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	const batch = 10_000
	for from := 0; from < n; from += batch {
		keys := make([]storage.Key, 0, batch)
		for i := from; i < min(from+batch, n); i++ {
			k := newKey(fmt.Sprint("org", i/10), fmt.Sprint("k", i))
			k.Lookup = lookup(i)
			k.Scopes = []string{"meetings:read", "transcripts:read"}
			k.Hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
			keys = append(keys, k)
		}
		if err := s.Commit(b.Context(), mutation(keys...)); err != nil {
			b.Fatal(err)
		}
	}
	stores[n] = s
	return s
}
