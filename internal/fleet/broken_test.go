package fleet_test

import (
	"slices"
	"strings"
	"testing"
)

// A broken build is the example server with one of the library's promises taken out.
type brokenBuild struct {
	name     string
	edit     edit
	inject   func(t testing.TB, f *fleet)
	violates []string // at least
	short    bool
}

func oneRevocation(t testing.TB, f *fleet) { f.revocation(t, f.members[0], nil) }

var brokenBuilds = []brokenBuild{
	{
		name: "the cache ignores the feed",
		edit: edit{"internal/freshness/freshness.go",
			"return s.record == t.records[s.recordSlot].Load()", "return true"},
		inject: oneRevocation, violates: []string{"revoked keys are refused"}, short: true,
	},
	{
		// The stamp is taken after the record was read, not before, so a change in
		// between goes unnoticed. The time in between is lengthened, for one run to be
		// enough.
		name: "fills bring revoked keys back",
		edit: edit{"keyauth/state.go",
			"	s.fill(p, key)\n	return a.join(ctx, p, s)",
			"	s.fill(p, key)\n	time.Sleep(300 * time.Millisecond)\n	s.stamp = a.tracker.Stamp(p.keyID, p.organisation)\n	return a.join(ctx, p, s)"},
		inject: oneRevocation, violates: []string{"revoked keys are refused"},
	},
	{
		name: "the limiter fails open", edit: edit{"ratelimit/limiter.go", "if c.InsecureFailOpen {", "if true {"},
		inject: redisStandsStill, violates: []string{"limits count every request that passes", "limits hold over all instances"},
	},
	{
		name:   "nobody looks at the expiry",
		edit:   edit{"keyauth/state.go", "case !p.Expires.IsZero() && !now.Before(p.Expires):", "case false:"},
		inject: oneRevocation, violates: []string{"expired keys are refused"},
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
			f := startFleet(t, build(t, b.edit), 2, pace)
			f.awaitReady(t)
			b.inject(t, f)
			f.stop()
			all := f.ledger.verdicts()
			violated := violations(all)
			for _, v := range all {
				if !v.holds || slices.Contains(b.violates, v.invariant) {
					v.log(t)
				}
			}
			for _, invariant := range b.violates {
				if !slices.Contains(violated, invariant) {
					t.Errorf("a build that is broken (%s) passes: %s", b.name, invariant)
				}
			}
			if !t.Failed() {
				t.Logf("CAUGHT   %s: %s", b.name, strings.Join(violated, "; "))
			}
		})
	}
}
