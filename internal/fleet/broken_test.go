package fleet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A broken build is the example server with one of the library's promises taken out.
type brokenBuild struct {
	name, file, old, new string
	inject               func(t testing.TB, f *fleet)
	short                bool
}

var brokenBuilds = []brokenBuild{
	{
		name: "the cache ignores the feed", file: "internal/freshness/freshness.go",
		old: "return s.record == t.records[s.recordSlot].Load()", new: "return true",
		inject: func(t testing.TB, f *fleet) { f.revocation(t, f.members[0], nil) }, short: true,
	},
	{
		// The stamp is taken after the record was read, not before, so a change in
		// between goes unnoticed. The time in between is lengthened, for one run to be
		// enough.
		name: "fills bring revoked keys back", file: "keyauth/state.go",
		old:    "	s.fill(p, key)\n	return a.join(ctx, p, s)",
		new:    "	s.fill(p, key)\n	time.Sleep(300 * time.Millisecond)\n	s.stamp = a.tracker.Stamp(p.keyID, p.organisation)\n	return a.join(ctx, p, s)",
		inject: func(t testing.TB, f *fleet) { f.revocation(t, f.members[0], nil) },
	},
	{
		name: "the limiter fails open", file: "ratelimit/limiter.go",
		old: "if c.InsecureFailOpen {", new: "if true {", inject: redisStandsStill,
	},
}

// TestBrokenBuilds: the checks fail where they must.
func TestBrokenBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a server for each")
	}
	for _, b := range brokenBuilds {
		t.Run(strings.ReplaceAll(b.name, " ", "-"), func(t *testing.T) {
			if !*full && !b.short {
				t.Skip("only with -full")
			}
			file, err := filepath.Abs(filepath.Join("..", "..", filepath.FromSlash(b.file)))
			if err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(string(content), b.old) != 1 {
				t.Fatalf("%s no longer has the line that this build breaks", b.file)
			}
			f := startFleet(t, build(t, map[string]string{file: strings.Replace(string(content), b.old, b.new, 1)}), 2)
			f.awaitReady(t)
			b.inject(t, f)
			f.stop()
			if f.ledger.report(t, true) {
				t.Error("every invariant holds for a build that is broken")
			}
		})
	}
}
