package operate_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/operate"
)

// full runs the import at the size that is promised:
//
//	go test ./keyauth/operate -run TestImportMany -full -v
var full = flag.Bool("full", false, "import 100,000 keys")

// TestImportMany: many keys (SHA-256, hexadecimal) import into each backend, and
// a random sample works at its first request. With -full, 100,000 keys in less
// than a minute, and a sample of 1,000.
func TestImportMany(t *testing.T) {
	keys, sample, limit := 3000, 100, time.Duration(0)
	if *full {
		keys, sample, limit = 100_000, 1000, time.Minute
	}
	each(t, func(t *testing.T, w *world) {
		const organisations = 100
		of := func(n int) oldKey {
			return newOldKey(n, func(r *operate.Row) { r.Organisation = organisation(n % organisations) })
		}
		for n := range organisations {
			w.account(account(organisation(n)))
		}
		begin := time.Now()
		report, err := w.Import(w.ctx, migration, func(yield func(operate.Row, error) bool) {
			for n := range keys {
				if !yield(of(n).row, nil) {
					return
				}
			}
		})
		took := time.Since(begin)
		if err != nil || report.Imported != keys || report.Refused != 0 {
			t.Fatalf("got %+v, %v", report, err)
		}
		t.Logf("%d keys in %.1f s: %.0f a second", keys, took.Seconds(), float64(keys)/took.Seconds())
		if limit > 0 && took > limit {
			t.Errorf("took %v", took)
		}
		auth := w.authenticator()
		begin = time.Now()
		for _, n := range rand.Perm(keys)[:sample] {
			if _, err := auth.Verify(w.ctx, of(n).text, w.admin.Client); err != nil {
				t.Fatalf("key %d: %v", n, err)
			}
		}
		t.Logf("%d of them verified in %.1f s", sample, time.Since(begin).Seconds())
		begin = time.Now()
		again, err := w.Import(w.ctx, migration, func(yield func(operate.Row, error) bool) {
			for n := 0; n < keys && yield(of(n).row, nil); n++ {
			}
		})
		if err != nil || again.Unchanged != keys {
			t.Errorf("again: %+v, %v", again, err)
		}
		t.Logf("again, without effect, in %.1f s", time.Since(begin).Seconds())
	})
}

func organisation(n int) string { return "org" + string(rune('0'+n/10)) + string(rune('0'+n%10)) }

// BenchmarkImport is one key, in batches of 1,000.
func BenchmarkImport(b *testing.B) {
	for _, backend := range backends {
		b.Run(backend.name, func(b *testing.B) {
			w := newWorld(b, backend.open(b))
			b.ResetTimer()
			report, err := w.Import(w.ctx, migration, func(yield func(operate.Row, error) bool) {
				for n := 0; n < b.N && yield(newOldKey(n).row, nil); n++ {
				}
			})
			if err != nil || report.Imported != b.N {
				b.Fatalf("got %+v, %v", report, err)
			}
		})
	}
}
