package sqlite_test

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestGrants(t *testing.T) {
	storagetest.RunGrants(t, func(t *testing.T) storagetest.Granting {
		return open(t, sqlite.Config{Path: copied(t, withPrefix), Prefix: "other_"})
	})
}

func TestGrantsPair(t *testing.T) {
	storagetest.RunGrantsPair(t, func(t *testing.T) (here, there storagetest.Granting) {
		path := copied(t, migrated)
		return open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
	})
}

// TestGrantPlans: no statement reads a whole table, or sorts.
func TestGrantPlans(t *testing.T) {
	path := file(t)
	open(t, sqlite.Config{Path: path})
	db := raw(t, path)
	seen := 0
	for _, text := range sqlite.GrantStatements() {
		args := slicesOf(text)
		if strings.Contains(text, "?10") {
			args = make([]any, 12) // what is beyond is ignored
		}
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		steps := details(t, rows)
		seen += strings.Count(steps, "SEARCH")
		for line := range strings.Lines(steps) {
			if strings.Contains(line, "SCAN") && !strings.Contains(line, "CONSTANT ROW") || strings.Contains(line, "TEMP B-TREE") {
				t.Errorf("%s\n%s", text, steps)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d searches in all plans: too few to tell", seen)
	}
}

func hash(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:]
}

// TestGrantTriggers: another program can't undo what happened once.
func TestGrantTriggers(t *testing.T) {
	path := file(t)
	s := open(t, sqlite.Config{Path: path})
	audit := []storage.Entry{{Organisation: "acme", Action: "grant.changed", At: noon}}
	app := storage.App{ClientID: "app", Organisation: "acme", Source: storage.AppRegistered, Created: noon}
	gone := app
	gone.ClientID, gone.Revoked = "gone", noon
	g := storage.Grant{ID: "a1", ClientID: "app", Organisation: "acme", Created: noon, Expires: noon.Add(time.Hour)}
	code := storage.Code{Hash: [32]byte(hash("code")), Grant: "a1", Expires: noon.Add(time.Minute)}
	token := storage.Token{Hash: [32]byte(hash("refresh")), Kind: storage.RefreshToken, Grant: "a1", Created: noon, Expires: noon.Add(time.Hour)}
	access, next := token, token
	access.Hash, access.Kind, next.Hash = [32]byte(hash("access")), storage.AccessToken, [32]byte(hash("next"))
	ctx := t.Context()
	err := errors.Join(s.CommitApp(ctx, storage.AppMutation{Put: app, Audit: audit}), s.CommitApp(ctx, storage.AppMutation{Put: gone, Audit: audit}),
		s.BeginGrant(ctx, storage.NewGrant{Now: noon, Grant: g, Code: &code, Audit: audit}),
		s.UseCode(ctx, code.Hash, noon, []storage.Token{token}))
	_, _, rotated := s.Rotate(ctx, storage.Rotation{Old: token.Hash, Now: noon, Access: access, Refresh: next})
	if err := errors.Join(err, rotated); err != nil {
		t.Fatal(err)
	}
	db := raw(t, path)
	refused := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err == nil || !strings.Contains(err.Error(), "strikeplate: ") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	for _, statement := range []string{
		"UPDATE strikeplate_apps SET revoked = NULL, version = 9 WHERE client_id = 'gone'",
		"UPDATE strikeplate_apps SET organisation = 'globex', version = 9 WHERE client_id = 'app'",
		"UPDATE strikeplate_apps SET name = 'x' WHERE client_id = 'app'", // without a new version
		"UPDATE strikeplate_codes SET used = NULL",
		"UPDATE strikeplate_tokens SET rotated = NULL, successor = NULL WHERE rotated IS NOT NULL",
		"UPDATE strikeplate_tokens SET expires = expires + 1 WHERE rotated IS NULL",
		"INSERT OR REPLACE INTO strikeplate_codes SELECT hash, grant_id, redirect_uri, redirect_given, challenge, thumbprint, expires, NULL FROM strikeplate_codes",
		"UPDATE strikeplate_grants SET scopes = '[\"all\"]', version = 9",
		"UPDATE strikeplate_grants SET expires = expires + 1, version = 9",
	} {
		refused(statement)
	}
	execute(t, db, "UPDATE strikeplate_grants SET revoked = 1, version = 2")
	refused("UPDATE strikeplate_grants SET revoked = NULL, version = 9")
}

// Tables that are older than the program needs, since somebody put an old file in
// place, are not ready.
func TestOlderSchemaIsNotReady(t *testing.T) {
	path := file(t)
	s := open(t, sqlite.Config{Path: path})
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, raw(t, path), "DELETE FROM strikeplate_schema WHERE version = (SELECT max(version) FROM strikeplate_schema)")
	if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("tables that are too old: %v", err)
	}
}
