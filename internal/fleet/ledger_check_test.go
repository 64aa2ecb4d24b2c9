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
		return l
	}
	for name, c := range map[string]struct {
		change func(l *ledger)
		holds  bool
	}{
		"nothing":                        {func(*ledger) {}, true},
		"a good key is refused":          {func(l *ledger) { l.good(m, "test", answer{sent: now, status: 401}, true) }, false},
		"a good key can't be checked":    {func(l *ledger) { l.good(m, "test", answer{sent: now, status: 503}, true) }, true},
		"a wrong secret passes":          {func(l *ledger) { l.bad(m, ok) }, false},
		"a revoked key passes late":      {func(l *ledger) { l.dead(m, answer{sent: now.Add(bound + 1), status: 200, counted: true}, now, false) }, false},
		"a revoked key passes here":      {func(l *ledger) { l.dead(m, answer{sent: now.Add(1), status: 200, counted: true}, now, true) }, false},
		"a request passes uncounted":     {func(l *ledger) { l.good(m, "test", answer{sent: now, status: 200}, true) }, false},
		"more passed than were counted":  {func(l *ledger) { l.inWindow, l.mostInWindow = 11, 10 }, false},
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
			if got := l.report(t, true); got != c.holds {
				t.Errorf("all hold: %v, want %v", got, c.holds)
			}
		})
	}
}
