package fleet_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rollOut replaces all instances, one after the other, after change is made to each.
// While the fleet is mixed an old instance makes and revokes a key, then the first
// new one does: each key is presented to all.
func rollOut(t testing.TB, f *fleet, change func(m *member)) {
	t.Helper()
	first := f.members[1]
	f.revocation(t, f.members[0], func() {
		change(first)
		restartGracefully(t, first)
	})
	f.revocation(t, first, func() {
		for _, m := range f.members {
			if m != first {
				change(m)
				restartGracefully(t, m)
			}
		}
	})
	f.deadStayDead(t)
}

// deploy names an instance's secrets of one purpose, from its next start on.
func deploy(t testing.TB, m *member, purpose, names string) {
	t.Helper()
	if _, err := m.WriteFile(purpose, names); err != nil {
		t.Fatal(err)
	}
}

// rotateTagKeys follows docs/howto/rotate-tag-keys.md: all accept the fresh key,
// then all sign with it. The retired one stays, as long as keys live that it signed.
func rotateTagKeys(t testing.TB, f *fleet) {
	for _, keys := range []string{"tag key\ntag key two\n", "tag key two\ntag key\n"} {
		rollOut(t, f, func(m *member) { deploy(t, m, "tag key", keys) })
	}
}

// rotateProofs gives the fleet another secret for the proofs that instances share in
// Redis, which is the only secret beside the hashes: argon2id here takes no pepper.
// Entries under the old one are not found, so keys are hashed once more.
func rotateProofs(t testing.TB, f *fleet) {
	rollOut(t, f, func(m *member) { deploy(t, m, "proofs", "proofs two\n") })
}

// upgrade puts a build in place of the fleet's that is this one and a release's
// addition to the tables: a column and an index. Old instances work on with the new
// tables until they are replaced, and can't be started again.
func upgrade(t testing.TB, f *fleet) {
	migrations, err := filepath.Glob("../../storage/postgres/migrations/*.sql")
	if err != nil || len(migrations) == 0 {
		t.Fatal(err, migrations)
	}
	version := len(migrations) + 1
	text := fmt.Sprintf(`ALTER TABLE strikeplate_keys ADD COLUMN of_the_next_release text;
CREATE INDEX strikeplate_next_release ON strikeplate_audit (target, action);
INSERT INTO strikeplate_schema (version) VALUES (%d);
`, version)
	next := build(t, edit{fmt.Sprintf("storage/postgres/migrations/%04d_next_release.sql", version), "", text})
	rollOut(t, f, func(m *member) { m.program = next })

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, f.program, "-addr", "127.0.0.1:0", "-db", f.postgres.URL()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "run a newer one") {
		t.Errorf("a program from before the upgrade, started after it: %v\n%s", err, out)
	}
}
