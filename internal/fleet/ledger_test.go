package fleet_test

import (
	"fmt"
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
	inWindow, mostInWindow      int
	usage                       int64
	usageChecked                bool
	notes                       []string
}

func newLedger() *ledger {
	return &ledger{created: map[string]bool{}, revoked: map[string]bool{}}
}

// note keeps the first few violations in words.
func (l *ledger) note(format string, args ...any) {
	if len(l.notes) < 20 {
		l.notes = append(l.notes, fmt.Sprintf(format, args...))
	}
}

// good judges the answer to a key that is good.
func (l *ledger) good(m *member, what string, a answer, compared bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts(m, a)
	switch {
	case a.err != nil || a.status >= 500:
		l.unavailable++
	case a.status == 401:
		l.refusedValid++
		l.note("%s answered 401 to a good key (%s)", m.name, what)
	case a.status == 200:
		l.valid++
		if compared {
			l.answered++
		}
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

// report prints one line for each invariant, and fails the test for those that
// don't hold. It returns whether all do.
func (l *ledger) report(t testing.TB, quiet bool) bool {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	holds := true
	line := func(ok bool, format string, args ...any) {
		verdict := "holds"
		if !ok {
			verdict, holds = "VIOLATED", false
		}
		t.Logf("%-8s %s", verdict, fmt.Sprintf(format, args...))
	}
	line(l.lateAcceptance == 0 && l.revocations > 0, "revoked keys are refused: latest pass elsewhere %v after (bound %v), on the revoking instance %v; %d revocations",
		l.elsewhere.Round(time.Millisecond), bound, l.here.Round(time.Millisecond), l.revocations)
	line(l.refusedValid == 0 && l.valid > 0, "good keys are never answered 401: %d of %d (and %d times unavailable)", l.refusedValid, l.valid, l.unavailable)
	line(l.acceptedForeign == 0 && l.foreign > 0, "wrong secrets never pass: %d of %d", l.acceptedForeign, l.foreign)
	line(l.uncounted == 0 && l.passed > 0, "limits count every request that passes: %d of %d uncounted", l.uncounted, l.passed)
	if l.mostInWindow > 0 {
		line(l.inWindow <= l.mostInWindow, "limits hold over all instances: %d passed of at most %d", l.inWindow, l.mostInWindow)
	}
	line(l.lost == 0, "nothing acknowledged is lost: %d of %d changes", l.lost, l.checked)
	line(l.notAudited == 0 && l.doubled == 0, "audit adds up: %d changes without their entry, %d with several, of %d", l.notAudited, l.doubled, l.checked)
	if l.usageChecked {
		ok := l.usage <= int64(l.answered+l.unavailable) && l.usage >= int64(l.answered-l.atRisk)
		line(ok, "usage adds up: %d stored, %d answered (%d in the last moment of killed instances)", l.usage, l.answered, l.atRisk)
	}
	if len(l.notes) > 0 {
		t.Log("first violations:\n  " + strings.Join(l.notes, "\n  "))
	}
	if !holds && !quiet {
		t.Error("an invariant is violated")
	}
	return holds
}
