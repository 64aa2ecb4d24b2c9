package operate_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/operate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

var migration = operate.Migration{ID: "old-gateway"}

// TestImport: what a row says is in the record, the key works at its first
// request, and the log says who brought it.
func TestImport(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		auth := w.authenticator()
		full := newOldKey(1, func(r *operate.Row) {
			r.Access, r.Owner, r.Scopes = strikeplate.UserFull, "zoe", []string{"meetings:read"}
			r.Expires = w.clock.now().Add(30 * day)
			r.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")}
			r.Metadata = map[string]string{"team": "crm"}
		})
		w.must(w.store.PutUser(w.ctx, storage.User{ID: "zoe", Organisation: "acme", Active: true}))
		bare := oldKey{text: newOldKey(2).text, row: operate.Row{Organisation: "acme", Prefix: "new_", Lookup: newOldKey(2).row.Lookup,
			Hash: newOldKey(2).row.Hash, Access: strikeplate.Legacy}}
		whole := wholeKey("whole_keyWithoutAnyLookUpId")
		report, err := w.Import(w.ctx, migration, rows(full, bare, whole))
		w.must(err)
		if diff := cmp.Diff(operate.ImportReport{Rows: 3, Imported: 3}, report); diff != "" {
			t.Fatalf("%s", diff)
		}
		for _, k := range []oldKey{full, bare, whole} {
			p, err := auth.Verify(w.ctx, k.text, netip.MustParseAddr("192.0.2.77"))
			if err != nil || p.Organisation != "acme" || p.Access != k.row.Access {
				t.Errorf("got %v, %v", p, err)
			}
		}
		if _, err := auth.Verify(w.ctx, full.text, netip.MustParseAddr("198.51.100.1")); !refusedWith(err, strikeplate.CodeAddress) {
			t.Errorf("outside of the allowlist: %v", err)
		}
		entries := w.entries("acme", operate.ActionImport)
		if len(entries) != 3 || entries[0].Actor.User != "ops" || entries[0].Actor.Role != "operator" || entries[0].Before != nil {
			t.Fatalf("log: %+v", entries)
		}
		want := storage.Key{ID: entries[0].Target, Lookup: "id00000001", Organisation: "acme", Name: "Key 1", Last4: full.row.Last4, Format: "new_",
			Environment: strikeplate.Live, Access: strikeplate.UserFull, Scopes: []string{"meetings:read"}, Owner: "zoe", Creator: "ada",
			Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Metadata: map[string]string{"team": "crm", "external_id": "1"},
			SecretVersion: 1, Created: full.row.Created, Expires: full.row.Expires}
		got := w.stored(want.ID)
		got.Hash, got.Lineage, got.Version = "", "", 0
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s", diff)
		}
		var after struct {
			manage.Key
			Migration string
		}
		if err := json.Unmarshal(entries[0].After, &after); err != nil || after.Migration != migration.ID || after.Version != 1 || after.Name != "Key 1" {
			t.Errorf("%s: %v", entries[0].After, err)
		}
	})
}

// wholeKey is one of which the other system kept nothing but the SHA-256.
func wholeKey(text string) oldKey {
	digest := sha256.Sum256([]byte(text))
	return oldKey{text: text, row: operate.Row{Organisation: "acme", Prefix: "new_", Access: strikeplate.Legacy,
		Hash: keyauth.ForeignHash{Kind: keyauth.SHA256, Text: hex.EncodeToString(digest[:])}}}
}

// TestThreat2ImportHasNoEffectTwice: whatever became of an imported key, neither
// the same migration nor another brings it back.
func TestThreat2ImportHasNoEffectTwice(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		auth := w.authenticator()
		level := func(r *operate.Row) { r.Access = strikeplate.OrganisationFull }
		revoked, regenerated, renamed, kept := newOldKey(1), newOldKey(2, level), newOldKey(3, level), newOldKey(4)
		all := []oldKey{revoked, regenerated, renamed, kept}
		_, err := w.Import(w.ctx, migration, rows(all...))
		w.must(err)
		entries := w.entries("acme", operate.ActionImport)
		_, err = w.manage.Revoke(w.ctx, w.admin, entries[0].Target, "leaked")
		w.must(err)
		_, err = w.manage.Regenerate(w.ctx, w.admin, entries[1].Target)
		w.must(err)
		_, err = w.manage.Rename(w.ctx, w.admin, entries[2].Target, "Renamed")
		w.must(err)
		before := w.keys("acme")

		same, err := w.Import(w.ctx, migration, rows(append(all, newOldKey(5))...))
		w.must(err)
		if diff := cmp.Diff(operate.ImportReport{Rows: 5, Imported: 1, Unchanged: 4}, same); diff != "" {
			t.Errorf("the same migration: %s", diff)
		}
		other, err := w.Import(w.ctx, operate.Migration{ID: "another"}, rows(all...))
		w.must(err)
		if other.Refused != 4 || other.Imported != 0 {
			t.Errorf("another migration: %+v", other)
		}
		elsewhere := make([]oldKey, len(all))
		for i, k := range all {
			elsewhere[i] = k
			elsewhere[i].row.Organisation = "globex"
		}
		stolen, err := w.Import(w.ctx, operate.Migration{ID: "globex"}, rows(elsewhere...))
		w.must(err)
		if stolen.Refused != 4 || stolen.Imported != 0 {
			t.Errorf("another organisation: %+v", stolen)
		}
		after := w.keys("acme")
		if diff := cmp.Diff(before, after[len(after)-4:], cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || len(after) != 5 {
			t.Errorf("records changed: %s", diff)
		}
		for text, code := range map[string]string{revoked.text: strikeplate.CodeRevoked, regenerated.text: strikeplate.CodeInvalid} {
			if _, err := auth.Verify(w.ctx, text, w.admin.Client); !refusedWith(err, code) {
				t.Errorf("got %v, want %s", err, code)
			}
		}
	})
}

// TestThreat2ImportCollisions: a look-up id that any other key has is refused,
// also within one batch and across organisations.
func TestThreat2ImportCollisions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(w.store.Commit(w.ctx, storage.Mutation{Now: w.clock.now(),
			Put: []storage.Key{{ID: "x", Lookup: "id00000001", Lineage: "x", Organisation: "globex", Name: "x", Format: "new_",
				Environment: strikeplate.Live, Access: strikeplate.OrganisationFull, Hash: "$", SecretVersion: 1, Created: w.clock.now()}},
			Audit: []storage.Entry{{Organisation: "globex", Action: "test", Target: "x", At: w.clock.now()}}}))
		globex := func(r *operate.Row) { r.Organisation = "globex" }
		var told []operate.Refusal
		report, err := w.Import(w.ctx, operate.Migration{ID: "m", Refused: func(r operate.Refusal) { told = append(told, r) }},
			rows(newOldKey(0), newOldKey(1), newOldKey(2), newOldKey(2, globex), newOldKey(2), newOldKey(3)))
		w.must(err)
		if report.Imported != 3 || report.Unchanged != 1 || report.Refused != 2 || report.Rows != 6 {
			t.Errorf("got %+v", report)
		}
		want := []operate.Refusal{
			{Row: 1, Organisation: "acme", Lookup: "id00000001", Reason: "lookup: another key has it"},
			{Row: 3, Organisation: "globex", Lookup: "id00000002", Reason: "lookup: another key has it"},
		}
		if diff := cmp.Diff(want, report.Refusals) + cmp.Diff(want, told); diff != "" {
			t.Error(diff)
		}
	})
}

// TestImportRefuses: each bad row is named with its reason, and the good ones
// around it are imported. No reason tells a hash.
func TestImportRefuses(t *testing.T) {
	catalog, err := scope.NewCatalog(scope.Entry{Scope: "meetings:read", Description: "d"})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, backends[0].open(t))
	s := w.service(func(c *operate.Config) { c.Catalog = catalog })
	bad := map[string]func(*operate.Row){
		"organisation: missing": func(r *operate.Row) { r.Organisation = "" },
		"name: at most":         func(r *operate.Row) { r.Name = strings.Repeat("x", 101) },
		"name: at most 100":     func(r *operate.Row) { r.Name = "a\nb" },
		"last4":                 func(r *operate.Row) { r.Last4 = "12345" },
		"access: \"\"":          func(r *operate.Row) { r.Access = "" },
		"access: \"root\"":      func(r *operate.Row) { r.Access = "root" },
		"owner: a key of this level needs": func(r *operate.Row) {
			r.Access, r.Scopes = strikeplate.UserLimited, []string{"meetings:read"}
		},
		"owner: a key of this level has none": func(r *operate.Row) { r.Owner = "zoe" },
		"scopes: none, so":                    func(r *operate.Row) { r.Access = strikeplate.OrganisationFull },
		"scopes: not in the catalog":          func(r *operate.Row) { r.Scopes = []string{"meetings:write"} },
		"scopes: \"*\" is none":               func(r *operate.Row) { r.Scopes = []string{"*"} },
		"listed twice":                        func(r *operate.Row) { r.Scopes = []string{"meetings:read", "meetings:read"} },
		"created: in the future":              func(r *operate.Row) { r.Created = w.clock.now().Add(time.Hour) },
		"expires: not after":                  func(r *operate.Row) { r.Expires = r.Created },
		"not within 1970":                     func(r *operate.Row) { r.Expires = time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC) },
		"metadata: external_id":               func(r *operate.Row) { r.Metadata = map[string]string{"external_id": "other"} },
		"metadata: an entry":                  func(r *operate.Row) { r.Metadata = map[string]string{"": "x"} },
		"metadata: at most":                   func(r *operate.Row) { r.Metadata = map[string]string{"x": strings.Repeat("x", 5000)} },
		"allow: an entry":                     func(r *operate.Row) { r.Allow = []netip.Prefix{{}} },
		"no foreign shape of format \"new_\"": func(r *operate.Row) { r.Lookup = "a.b" },
		"no foreign shape of format \"xyz_\"": func(r *operate.Row) { r.Prefix = "xyz_" },
		"environment \"test\"":                func(r *operate.Row) { r.Environment = strikeplate.Test },
		"lookup: too long":                    func(r *operate.Row) { r.Lookup = strings.Repeat("x", 600) },
		"neither hexadecimal nor base64":      func(r *operate.Row) { r.Hash.Text = r.Hash.Text[:60] },
		"its kind is unknown":                 func(r *operate.Row) { r.Hash.Kind = "md5" },
		"bcrypt's cost": func(r *operate.Row) {
			r.Hash = keyauth.ForeignHash{Kind: keyauth.Bcrypt, Text: "$2b$15$abcdefghijklmnopqrstuuzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzu"}
		},
		"an import key that the scheme": func(r *operate.Row) { r.Hash.Kind, r.Hash.ImportKey = keyauth.HMACSHA256, "nope" },
	}
	n, hashes := 0, []string{}
	for reason, change := range bad {
		k := newOldKey(n, change)
		hashes = append(hashes, k.row.Hash.Text)
		report, err := s.Import(t.Context(), migration, rows(newOldKey(n+1), k, newOldKey(n+2)))
		n += 3
		if err != nil || report.Imported != 2 || report.Refused != 1 || report.Refusals[0].Row != 1 || !strings.Contains(report.Refusals[0].Reason, reason) {
			t.Errorf("%s: got %+v, %v", reason, report, err)
		}
		for _, text := range hashes {
			if strings.Contains(fmt.Sprintf("%+v", report), text[:12]) {
				t.Errorf("%s: the report tells a hash: %+v", reason, report)
			}
		}
	}
	for _, id := range []string{"", strings.Repeat("x", 101), "a\x00"} {
		if _, err := s.Import(t.Context(), operate.Migration{ID: id}, rows()); err == nil {
			t.Errorf("migration id %q is accepted", id)
		}
	}
}

// TestImportResolvesWildcards: what a row's wildcards stand for is what the key has.
func TestImportResolvesWildcards(t *testing.T) {
	entries := []scope.Entry{
		{Scope: "meetings:*", Description: "d"}, {Scope: "meetings:read", Description: "d"},
		{Scope: "notes:read", Description: "d"}, {Scope: "meetings:write", Description: "d"}, {Scope: "many:*", Description: "d"},
	}
	for i := range 201 { // more than a key may have
		entries = append(entries, scope.Entry{Scope: fmt.Sprintf("many:a%d", i), Description: "d"})
	}
	catalog, err := scope.NewCatalog(entries...)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, backends[0].open(t))
	s := w.service(func(c *operate.Config) { c.Catalog = catalog })
	for i, c := range []struct {
		scopes, want []string
		refused      string
	}{
		{[]string{"notes:read", "meetings:*"}, []string{"meetings:read", "notes:read", "meetings:write"}, ""},
		{[]string{"meetings:write", "meetings:*"}, []string{"meetings:read", "meetings:write"}, ""},
		{[]string{"notes:*"}, nil, `scopes: "notes:*" is none`},
		{[]string{"many:*"}, nil, "scopes: the wildcards stand for more than 200"},
	} {
		k := newOldKey(i, func(r *operate.Row) { r.Scopes = c.scopes })
		report, err := s.Import(w.ctx, migration, rows(k))
		w.must(err)
		if c.want == nil {
			if report.Refused != 1 || report.Refusals[0].Reason != c.refused {
				t.Errorf("%q: %+v", c.scopes, report)
			}
			continue
		}
		p, err := w.authenticator().Verify(w.ctx, k.text, w.admin.Client)
		if err != nil || !slices.Equal(p.Scopes, c.want) {
			t.Errorf("%q: got %v, %v, want %q", c.scopes, p, err, c.want)
		}
	}
}

// TestImportExpired: a key that had ended says so, once it is proven.
func TestImportExpired(t *testing.T) {
	w := newWorld(t, backends[0].open(t))
	k := newOldKey(1, func(r *operate.Row) { r.Expires = r.Created.Add(day) })
	_, err := w.Import(w.ctx, migration, rows(k))
	w.must(err)
	if _, err := w.authenticator().Verify(w.ctx, k.text, w.admin.Client); !refusedWith(err, strikeplate.CodeExpired) {
		t.Errorf("got %v", err)
	}
}

// TestImportBeyondLimit (002-73b): import exceeds an organisation's limit, and
// creation then waits for a free slot.
func TestImportBeyondLimit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		small, err := manage.New(manage.Config{Scheme: w.scheme, Keys: w.store, Directory: w.store, MaxKeys: 2, Now: w.clock.now})
		w.must(err)
		_, err = w.Import(w.ctx, migration, rows(newOldKey(1), newOldKey(2), newOldKey(3)))
		w.must(err)
		_, err = small.Create(w.ctx, w.admin, manage.Creation{Name: "n", Prefix: "new_", Access: strikeplate.OrganisationFull})
		if !refusedWith(err, manage.CodeLimit) {
			t.Errorf("got %v", err)
		}
	})
}

// crashing fails or ends the caller's context at the nth commit, after it was
// made: the import doesn't know.
type crashing struct {
	store
	commits, at int
	crash       func()
}

var errCrash = errors.New("the connection was lost")

func (c *crashing) Commit(ctx context.Context, m storage.Mutation) error {
	if err := c.store.Commit(ctx, m); err != nil {
		return err
	}
	if c.commits++; c.commits == c.at {
		c.crash()
		return errCrash
	}
	return nil
}

// TestImportRestarts: after a crash the same rows, from the beginning or from
// the report's Rows, come to the same as an import that was never interrupted.
func TestImportRestarts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var all []oldKey
		for n := range 50 {
			all = append(all, newOldKey(n))
		}
		broken := w.service(func(c *operate.Config) { c.Keys = &crashing{store: w.store, at: 3, crash: func() {}} })
		m := operate.Migration{ID: "m", Batch: 10}
		first, err := broken.Import(w.ctx, m, rows(all...))
		if !errors.Is(err, errCrash) || first.Rows != 20 || first.Imported != 20 {
			t.Fatalf("got %+v, %v", first, err)
		}
		second, err := w.Import(w.ctx, m, rows(all[first.Rows:]...))
		w.must(err)
		if diff := cmp.Diff(operate.ImportReport{Rows: 30, Imported: 20, Unchanged: 10}, second); diff != "" {
			t.Error(diff)
		}
		third, err := w.Import(w.ctx, m, rows(all...))
		w.must(err)
		if diff := cmp.Diff(operate.ImportReport{Rows: 50, Unchanged: 50}, third); diff != "" || len(w.keys("acme")) != 50 {
			t.Error(diff, len(w.keys("acme")))
		}
		if n := len(w.entries("acme", operate.ActionImport)); n != 50 {
			t.Errorf("%d log entries", n)
		}
	})
}

// TestImportEnds: what was read before the source fails or ctx ends is kept.
func TestImportEnds(t *testing.T) {
	w := newWorld(t, backends[0].open(t))
	torn := errors.New("line 3 is torn")
	var source iter.Seq2[operate.Row, error] = func(yield func(operate.Row, error) bool) {
		_ = yield(newOldKey(1).row, nil) && yield(newOldKey(2).row, nil) && yield(operate.Row{}, torn)
	}
	report, err := w.Import(w.ctx, migration, source)
	if !errors.Is(err, torn) || len(w.keys("acme")) != 2 {
		t.Errorf("got %+v, %v", report, err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	report, err = w.Import(ctx, migration, rows(newOldKey(3)))
	if !errors.Is(err, context.Canceled) || report.Rows != 0 || len(w.keys("acme")) != 2 {
		t.Errorf("got %+v, %v", report, err)
	}
}

// TestImportKinds: a key of each kind of hash works at its first request.
func TestImportKinds(t *testing.T) {
	w := newWorld(t, backends[0].open(t))
	auth := w.authenticator()
	secret := "0123456789abcdef"
	sum := func(text string) string { d := sha256.Sum256([]byte(text)); return hex.EncodeToString(d[:]) }
	slow, err := bcrypt.GenerateFromPassword([]byte(secret), 4)
	w.must(err)
	var all []oldKey
	for i, h := range []keyauth.ForeignHash{
		{Kind: keyauth.SHA256, Text: sum(secret)},
		{Kind: keyauth.SHA256, Text: sum("pepper" + secret), Salt: []byte("pepper")},
		{Kind: keyauth.Bcrypt, Text: string(slow)},
	} {
		k := newOldKey(i, func(r *operate.Row) { r.Hash = h })
		k.text = "old_" + k.row.Lookup + "." + secret
		all = append(all, k)
	}
	report, err := w.Import(w.ctx, migration, rows(all...))
	if err != nil || report.Imported != len(all) {
		t.Fatalf("got %+v, %v", report, err)
	}
	for _, k := range all {
		if _, err := auth.Verify(w.ctx, k.text, w.admin.Client); err != nil {
			t.Errorf("%v: %v", k.row.Hash, err)
		}
	}
	for i, e := range w.entries("acme", operate.ActionImport) {
		waitUntil(t, "it is re-hashed", func() bool { return strings.HasPrefix(w.stored(e.Target).Hash, "$argon2id$") })
		if strings.Contains(string(e.After), all[i].row.Hash.Text[8:20]) {
			t.Errorf("the log tells a hash: %s", e.After)
		}
	}
}
