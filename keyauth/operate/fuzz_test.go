package operate_test

import (
	"errors"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/operate"
	"github.com/strikeplate/strikeplate/storage"
)

// FuzzFrom: a place that no report told is refused or goes somewhere harmless.
func FuzzFrom(f *testing.F) {
	w := newWorld(f, backends[0].open(f))
	w.create()
	for _, seed := range []string{"", "?", "AAAA", "YWNtZQA", "YWNtZQAx", "YQ==", "YWNt\nZQA", "000A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, from string) {
		report, err := w.Sweep(t.Context(), operate.Hygiene{From: from})
		if err != nil && !errors.Is(err, storage.ErrNotFound) || err == nil && (report.Next != "" || report.Keys > 1) {
			t.Fatalf("%q: %+v, %v", from, report, err)
		}
	})
}

// FuzzRow: whatever a row says, it is imported as a key that can be read back, or
// refused with a reason; an import never fails because of a row.
func FuzzRow(f *testing.F) {
	w := newWorld(f, backends[0].open(f))
	good := newOldKey(1).row
	f.Add(good.Organisation, good.Name, good.Lookup, good.Hash.Text, "sha256", "", string(good.Access), "old")
	f.Add("", "\x00", "a.b", "$2b$04$", "bcrypt", "salt", "org-full", "")
	f.Add("acme", "n", "x", "$argon2id$v=19$m=8,t=1,p=1$$", "argon2id", "", "root", "")
	f.Fuzz(func(t *testing.T, organisation, name, lookup, hash, kind, salt, access, importKey string) {
		k := newOldKey(1, func(r *operate.Row) {
			r.Organisation, r.Name, r.Lookup, r.Access = organisation, name, lookup, strikeplate.Access(access)
			r.Hash = keyauth.ForeignHash{Kind: keyauth.HashKind(kind), Text: hash, Salt: []byte(salt), ImportKey: importKey}
		})
		report, err := w.Import(t.Context(), migration, rows(k))
		if err != nil || report.Imported+report.Unchanged+report.Refused != 1 {
			t.Fatalf("%+v, %v", report, err)
		}
		if report.Imported == 1 {
			if stored, err := w.store.KeyByLookup(t.Context(), lookup); err != nil || stored.Organisation != organisation {
				t.Fatalf("%+v, %v", stored, err)
			}
		}
	})
}
