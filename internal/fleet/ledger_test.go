package fleet_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

// bound is what is promised across instances: keyauth's Cache.Fresh.
const bound = 2 * time.Second

// ledger remembers what was acknowledged and what was answered, and judges.
type ledger struct {
	mu sync.Mutex

	elsewhere, here             time.Duration // the latest request that a revoked key passed with, after its revocation
	revocations, lateAcceptance int
	valid, refusedValid         int // answered 200; 401
	unavailable                 int // a good key's 5xx or no answer
	foreign, acceptedForeign    int
	passed, uncounted           int
	created, revoked            map[string]bool // acknowledged key ids
	answered                    int             // 200 to the key whose usage is compared
	atRisk                      int             // of them, in the last moment of an instance that was killed
	lost, notAudited, doubled   int
	checked                     int
	admitted                    admissions
	expiries, askedExpired      int
	lateExpired                 int
	expired                     time.Duration // the latest request that passed, after its key's expiry; negative: before
	askedDead, resurrected      int           // revoked keys, long after
	usage                       int64
	usageChecked                bool
	notes                       []string
}

func newLedger() *ledger {
	return &ledger{created: map[string]bool{}, revoked: map[string]bool{}, expired: math.MinInt64}
}

// note keeps the first few violations in words.
func (l *ledger) note(format string, args ...any) {
	if len(l.notes) < 8 {
		l.notes = append(l.notes, fmt.Sprintf(format, args...))
	}
}

// good judges the answer to a key that is good.
func (l *ledger) good(m *member, what string, a answer, compared bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts(m, a)
	switch a.status {
	case 401:
		l.refusedValid++
		l.note("%s answered 401 to a good key (%s)", m.name, what)
	case 200:
		l.valid++
		if compared {
			l.answered++
		}
	default:
		l.unavailable++
	}
}

// bad judges the answer to a key with a wrong secret.
func (l *ledger) bad(m *member, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.foreign++
	if a.err == nil && a.status == 200 {
		l.acceptedForeign++
		l.note("%s let a wrong secret pass", m.name)
	}
}

// dead judges the answer to a key that was revoked at a moment, by the instance
// asked or by another.
func (l *ledger) dead(m *member, a answer, revoked time.Time, here bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts(m, a)
	late := a.sent.Sub(revoked)
	if a.err != nil || a.status != 200 || late < 0 {
		return
	}
	allowed := bound
	if here {
		l.here, allowed = max(l.here, late), 0
	} else {
		l.elsewhere = max(l.elsewhere, late)
	}
	if late > allowed {
		l.lateAcceptance++
		l.note("%s let a key pass %v after it was revoked (here: %v)", m.name, late, here)
	}
}

// expiring judges the answer to a key that expires at a moment, by every clock here
// but those that are ahead.
func (l *ledger) expiring(m *member, a answer, expires time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts(m, a)
	late := a.sent.Sub(expires)
	if late >= 0 && a.err == nil {
		l.askedExpired++
	}
	switch {
	case a.err != nil:
	case a.status == 200:
		if l.expired = max(l.expired, late); late >= 0 {
			l.lateExpired++
			l.note("%s let a key pass %v after it expired", m.name, late)
		}
	case a.status == 401 && a.received.Before(expires) && m.ahead == 0:
		l.refusedValid++
		l.note("%s refused a key %v before it expired", m.name, expires.Sub(a.received))
	}
}

// revokedLongAgo judges the answer to a key that was revoked before some change.
func (l *ledger) revokedLongAgo(m *member, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.askedDead++
	if a.err == nil && a.status == 200 {
		l.resurrected++
		l.note("%s let a key pass that was revoked long ago", m.name)
	}
}

// counts looks at the limit. The caller holds mu.
func (l *ledger) counts(m *member, a answer) {
	if a.err != nil || a.status != 200 {
		return
	}
	l.passed++
	if !a.counted {
		l.uncounted++
		l.note("%s let a request pass that no limit counted", m.name)
	}
}

func around(late time.Duration) string {
	if late < 0 {
		return fmt.Sprintf("%v before", -late.Round(time.Microsecond))
	}
	return fmt.Sprintf("%v after", late.Round(time.Microsecond))
}

// verdict is about one invariant.
type verdict struct {
	holds             bool
	invariant, figure string
}

func (v verdict) log(t testing.TB) {
	t.Helper()
	word := "holds"
	if !v.holds {
		word = "VIOLATED"
	}
	t.Logf("%-8s %s: %s", word, v.invariant, v.figure)
}

// judge logs, and fails the test if the invariant doesn't hold.
func (v verdict) judge(t testing.TB) {
	t.Helper()
	if v.log(t); !v.holds {
		t.Errorf("violated: %s", v.invariant)
	}
}

// report prints one line for each invariant, and the first violations. It returns
// the invariants that don't hold.
func (l *ledger) report(t testing.TB) (violated []string) {
	t.Helper()
	all := l.verdicts()
	for _, v := range all {
		v.log(t)
	}
	if len(l.notes) > 0 {
		t.Log("first violations:\n  " + strings.Join(l.notes, "\n  "))
	}
	return violations(all)
}

func violations(all []verdict) (violated []string) {
	for _, v := range all {
		if !v.holds {
			violated = append(violated, v.invariant)
		}
	}
	return violated
}

// judge reports, and fails the test if an invariant doesn't hold.
func (l *ledger) judge(t testing.TB) {
	t.Helper()
	if violated := l.report(t); len(violated) > 0 {
		t.Errorf("violated: %s", strings.Join(violated, "; "))
	}
}

func (l *ledger) verdicts() (all []verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := func(holds bool, invariant, format string, args ...any) {
		all = append(all, verdict{holds, invariant, fmt.Sprintf(format, args...)})
	}
	line(l.lateAcceptance == 0 && l.revocations > 0, "revoked keys are refused",
		"latest pass elsewhere %v after (bound %v), on the revoking instance %v (bound 0); %d revocations",
		l.elsewhere.Round(time.Millisecond), bound, l.here.Round(time.Millisecond), l.revocations)
	if l.askedDead > 0 {
		line(l.resurrected == 0, "revoked keys stay revoked", "%d of %d requests passed", l.resurrected, l.askedDead)
	}
	if l.expiries > 0 {
		line(l.lateExpired == 0 && l.askedExpired > 0, "expired keys are refused", "%d of %d requests passed, the latest sent %s (bound 0); %d expiries",
			l.lateExpired, l.askedExpired, around(l.expired), l.expiries)
	}
	line(l.refusedValid == 0 && l.valid > 0, "good keys are never answered 401", "%d of %d (and %d times unavailable)", l.refusedValid, l.valid, l.unavailable)
	line(l.acceptedForeign == 0 && l.foreign > 0, "wrong secrets never pass", "%d of %d", l.acceptedForeign, l.foreign)
	line(l.uncounted == 0 && l.passed > 0, "limits count every request that passes", "%d of %d uncounted", l.uncounted, l.passed)
	ok, text := l.admitted.judge()
	line(ok, "limits hold over all instances", "%s", text)
	line(l.lost == 0, "nothing acknowledged is lost", "%d of %d changes", l.lost, l.checked)
	line(l.notAudited == 0 && l.doubled == 0, "audit adds up", "%d changes without their entry, %d with several, of %d", l.notAudited, l.doubled, l.checked)
	if l.usageChecked {
		ok := l.usage <= int64(l.answered+l.unavailable) && l.usage >= int64(l.answered-l.atRisk)
		line(ok, "usage adds up", "%d stored, %d answered (%d in the last moment of killed instances)", l.usage, l.answered, l.atRisk)
	}
	return all
}
