package fleet_test

import (
	"testing"
	"time"
)

// TestLedger: each kind of violation is one, and what is allowed isn't.
func TestLedger(t *testing.T) {
	m := &member{name: "instance"}
	now := time.Now()
	ok := answer{sent: now, status: 200, counted: true}
	sound := func() *ledger {
		l := newLedger()
		l.revocations = 1
		l.good(m, "test", ok, true)
		l.bad(m, answer{sent: now, status: 401})
		l.dead(m, answer{sent: now.Add(bound), status: 200, counted: true}, now, false)
		l.dead(m, answer{sent: now.Add(time.Hour), status: 401}, now, false)
		l.dead(m, answer{sent: now, status: 401}, now, true)
		l.expiries = 1
		l.expiring(m, answer{sent: now.Add(-1), received: now, status: 401}, now)
		l.expiring(m, answer{sent: now.Add(-1), received: now.Add(1), status: 200, counted: true}, now)
		l.expiring(m, answer{sent: now, received: now, status: 401}, now)
		l.revokedLongAgo(m, answer{status: 401})
		l.spent(m, answer{status: 429})
		for i := range 2 * spentLimit {
			at := now.Add(time.Duration(i) * spentPeriod / (2 * spentLimit))
			l.spent(m, answer{sent: at.Add(spentPeriod / 2), received: at.Add(spentPeriod / 2), status: 200, counted: true})
		}
		l.spent(m, answer{sent: now.Add(9 * spentPeriod), received: now.Add(9 * spentPeriod), status: 200, counted: true})
		return l
	}
	for name, c := range map[string]struct {
		change func(l *ledger)
		holds  bool
	}{
		"nothing":                     {func(*ledger) {}, true},
		"a good key is refused":       {func(l *ledger) { l.good(m, "test", answer{sent: now, status: 401}, true) }, false},
		"a good key can't be checked": {func(l *ledger) { l.good(m, "test", answer{sent: now, status: 503}, true) }, true},
		"a wrong secret passes":       {func(l *ledger) { l.bad(m, ok) }, false},
		"a revoked key passes late":   {func(l *ledger) { l.dead(m, answer{sent: now.Add(bound + 1), status: 200, counted: true}, now, false) }, false},
		"a revoked key passes here":   {func(l *ledger) { l.dead(m, answer{sent: now.Add(1), status: 200, counted: true}, now, true) }, false},
		"a request passes uncounted":  {func(l *ledger) { l.good(m, "test", answer{sent: now, status: 200}, true) }, false},
		"an expired key passes":       {func(l *ledger) { l.expiring(m, ok, now) }, false},
		"a key expires too early": {func(l *ledger) {
			l.expiring(m, answer{sent: now, received: now, status: 401}, now.Add(1))
		}, false},
		"no expired key is presented":     {func(l *ledger) { l.askedExpired = 0 }, false},
		"a revoked key comes back":        {func(l *ledger) { l.revokedLongAgo(m, ok) }, false},
		"more pass than two windows hold": {func(l *ledger) { flood(l, m, now, 2*spentLimit+1) }, false},
		"the counters were lost": {func(l *ledger) {
			flood(l, m, now, 3*spentLimit)
			l.admitted.losses = []time.Time{now.Add(5*spentPeriod + time.Millisecond)}
		}, true},
		"the counters were lost before": {func(l *ledger) {
			flood(l, m, now, 3*spentLimit)
			l.admitted.losses = []time.Time{now.Add(-time.Millisecond)}
		}, false},
		"more pass than all windows hold": {func(l *ledger) {
			for i := range 10 {
				flood(l, m, now.Add(time.Duration(i)*spentPeriod), 2*spentLimit)
			}
		}, false},
		"the limit is never reached":     {func(l *ledger) { l.admitted.refused = 0 }, false},
		"a change is lost":               {func(l *ledger) { l.lost = 1 }, false},
		"a change is not in the audit":   {func(l *ledger) { l.notAudited = 1 }, false},
		"a change is in the audit twice": {func(l *ledger) { l.doubled = 1 }, false},
		"usage is missing":               {func(l *ledger) { l.usageChecked, l.usage, l.answered = true, 1, 2 }, false},
		"usage is missing after a kill":  {func(l *ledger) { l.usageChecked, l.usage, l.answered, l.atRisk = true, 1, 2, 1 }, true},
		"usage is counted twice":         {func(l *ledger) { l.usageChecked, l.usage, l.answered = true, 3, 2 }, false},
		"nothing was tried":              {func(l *ledger) { l.valid, l.foreign, l.passed = 0, 0, 0 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := sound()
			c.change(l)
			if violated := violations(l.verdicts()); len(violated) == 0 != c.holds {
				t.Errorf("violated: %q, want all to hold: %v", violated, c.holds)
			}
		})
	}
}

// flood has n requests pass within a moment, long after all others.
func flood(l *ledger, m *member, now time.Time, n int) {
	for range n {
		at := now.Add(5 * spentPeriod)
		l.spent(m, answer{sent: at, received: at, status: 200, counted: true})
	}
}
