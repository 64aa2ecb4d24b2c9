package ratelimit

import (
	"fmt"
	"slices"
	"time"
)

// logSlots is how many moments a log tells apart within a Period.
const logSlots = 128

const defaultLogKeys = 1 << 16

// NewSlidingLog returns an engine that remembers when units were taken, so that
// no window of length Period, wherever it begins, sees more than Limit. All of
// the Limit may come at once.
//
// Up to 128 moments within a Period are told apart. Policies with a Limit up to
// 128 are therefore exact. Above, units that were taken within Period/128 of each
// other count as taken together, at the last one's time: they come back up to
// that much later than they might, and never earlier. A Burst is refused. A
// counter takes about 150 bytes and 16 for each moment, so at most about 2,300; Keys is
// 65,536 if it is zero, and full of busy callers that is 150 MB.
func NewSlidingLog(c MemoryConfig) (*Memory, error) {
	return newMemory[slots](slidingLog{time.Now()}, c, defaultLogKeys)
}

// slidingLog tells time from when it was made: a moment is then a number, and
// monotonic.
type slidingLog struct{ start time.Time }

// slots are moments in order, oldest first.
type slots struct {
	taken  []slot
	used   int64 // their sum
	period time.Duration
}

type slot struct {
	at    time.Duration
	units int64
}

func (slidingLog) check(p *Policy) error {
	if p.Burst != 0 {
		return fmt.Errorf("%w: %s: a sliding log cannot honour Burst %d; use a second, shorter policy", ErrPolicy, p.Name, p.Burst)
	}
	return nil
}

func (slidingLog) most(p *Policy) int64   { return p.Limit }
func (slidingLog) fresh(p *Policy) *slots { return &slots{period: p.Period} }
func (slidingLog) copy(_ *Policy, from *slots, _ time.Time) *slots {
	return &slots{taken: slices.Clone(from.taken), used: from.used, period: from.period}
}

// forget drops what is a Period old or more.
func (l *slots) forget(p *Policy, at time.Duration) {
	n := 0
	for ; n < len(l.taken) && l.taken[n].at+p.Period <= at; n++ {
		l.used -= l.taken[n].units
	}
	if n > 0 {
		l.taken = l.taken[:copy(l.taken, l.taken[n:])]
	}
}

func (l *slots) describe(p *Policy, at time.Duration) Decision {
	d := Decision{Limit: p.Limit, Remaining: p.Limit - l.used}
	if n := len(l.taken); n > 0 {
		d.ResetAfter = l.taken[n-1].at + p.Period - at
	}
	return d
}

func (s slidingLog) look(l *slots, p *Policy, cost int64, now time.Time) Decision {
	at := now.Sub(s.start)
	l.forget(p, at)
	d := l.describe(p, at)
	d.Allowed = cost <= d.Remaining
	missing := cost - d.Remaining
	for i := 0; missing > 0; i++ {
		missing -= l.taken[i].units
		d.RetryAfter = l.taken[i].at + p.Period - at
	}
	return d
}

func (s slidingLog) take(l *slots, p *Policy, cost int64, now time.Time) Decision {
	if d := s.look(l, p, cost, now); !d.Allowed {
		return d
	}
	at := now.Sub(s.start)
	l.used += cost
	if last := len(l.taken) - 1; last >= 0 && l.together(last, p, at) {
		l.taken[last] = slot{at, l.taken[last].units + cost}
	} else {
		l.taken = append(l.taken, slot{at, cost})
	}
	d := l.describe(p, at)
	d.Allowed, d.Taken = true, now
	return d
}

// together says whether what is taken now counts as taken with the last slot. A
// limit that cannot have more slots than there are needs no such thing.
func (l *slots) together(last int, p *Policy, at time.Duration) bool {
	if l.taken[last].at == at {
		return true
	}
	step := max(1, p.Period/logSlots)
	return p.Limit > logSlots && l.taken[last].at/step == at/step
}

// refund takes units out of the slots from when they were taken on, and of the
// oldest of those: what stays is counted no shorter than it should be.
func (s slidingLog) refund(l *slots, p *Policy, cost int64, taken, now time.Time) {
	l.forget(p, now.Sub(s.start))
	at := taken.Sub(s.start)
	if at+p.Period <= now.Sub(s.start) {
		return // forgotten by now; what is there is others'
	}
	kept := l.taken[:0]
	for _, slot := range l.taken {
		if slot.at >= at && cost > 0 {
			back := min(cost, slot.units)
			slot.units, l.used, cost = slot.units-back, l.used-back, cost-back
		}
		if slot.units > 0 {
			kept = append(kept, slot)
		}
	}
	l.taken = kept
}

func (s slidingLog) idle(l *slots, now time.Time) bool {
	n := len(l.taken)
	return n == 0 || l.taken[n-1].at+l.period <= now.Sub(s.start)
}
