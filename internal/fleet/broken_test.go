package fleet_test

import (
	"slices"
	"strings"
	"testing"
)

// A broken build is the example server with one of the library's promises taken out:
// which one, a file beside it says. Without the file it keeps them all.
const brokenPackage = `package broken

import "os"

var what, _ = os.ReadFile("broken")

func Is(promise string) bool { return string(what) == promise }
`

const (
	importing   = "import (\n"
	importsThat = importing + `	"github.com/strikeplate/strikeplate/internal/broken"` + "\n"
)

var breaking = []edit{
	{"internal/broken/broken.go", "", brokenPackage},
	{"internal/freshness/freshness.go", importing, importsThat},
	{"internal/freshness/freshness.go", "return s.record == t.records[s.recordSlot].Load()",
		`return broken.Is("feed") || s.record == t.records[s.recordSlot].Load()`},
	{"keyauth/state.go", importing, importsThat},
	// The stamp is taken after the record was read, not before, so a change in between
	// goes unnoticed. The time in between is lengthened, for one run to be enough.
	{"keyauth/state.go", "	s.fill(p, key)\n	return a.join(ctx, p, s)", `	s.fill(p, key)
	if broken.Is("fills") {
		time.Sleep(300 * time.Millisecond)
		s.stamp = a.tracker.Stamp(p.keyID, p.organisation)
	}
	return a.join(ctx, p, s)`},
	{"keyauth/state.go", "case !p.Expires.IsZero() && !now.Before(p.Expires):",
		`case !p.Expires.IsZero() && !now.Before(p.Expires) && !broken.Is("expiry"):`},
	{"ratelimit/limiter.go", importing, importsThat},
	{"ratelimit/limiter.go", "if c.InsecureFailOpen {", `if c.InsecureFailOpen || broken.Is("limiter") {`},
}

var brokenBuilds = []struct {
	name, promise string
	inject        func(t testing.TB, f *fleet)
	violates      []string // at least
	short         bool
}{
	{name: "the cache ignores the feed", promise: "feed", inject: oneRevocation, violates: []string{"revoked keys are refused"}, short: true},
	{name: "fills bring revoked keys back", promise: "fills", inject: oneRevocation, violates: []string{"revoked keys are refused"}},
	{name: "the limiter fails open", promise: "limiter", inject: redisStandsStill,
		violates: []string{"limits count every request that passes", "limits hold over all instances"}},
	{name: "nobody looks at the expiry", promise: "expiry", inject: oneRevocation, violates: []string{"expired keys are refused"}},
}

func oneRevocation(t testing.TB, f *fleet) { f.revocation(t, f.members[0], nil) }

// TestBrokenBuilds: the checks fail where they must.
func TestBrokenBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a server")
	}
	alongside(t)
	for _, b := range brokenBuilds {
		t.Run(strings.ReplaceAll(b.name, " ", "-"), func(t *testing.T) {
			if !*full && !b.short {
				t.Skip("only with -full")
			}
			f := startFleet(t, plan{program: build(t, breaking...), instances: 2, pace: pace, broken: b.promise})
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
