package ratelimit

import (
	"net/http"
	"time"
)

// Simulations count in one counter of each engine at times of the caller's choosing.
var Simulations = map[string]func(p Policy) (take func(cost int64, now time.Time) Decision){
	"fixed window": nil, // its library reads the clock itself: see the test in a bubble
	"sliding log":  func(p Policy) func(int64, time.Time) Decision { return simulate(slidingLog{epoch}, p) },
	"GCRA":         func(p Policy) func(int64, time.Time) Decision { return simulate(gcra{}, p) },
}

var epoch = time.Now()

func simulate[T any](r rules[T], p Policy) func(int64, time.Time) Decision {
	c := r.fresh(&p)
	return func(cost int64, now time.Time) Decision { return r.take(c, &p, cost, now) }
}

// SetFields writes the header fields. What is told of the first known policies is
// written before.
func SetFields(h http.Header, charges []Charge, known int, decisions []Decision, now time.Time) {
	var texts []*told
	for i := range charges {
		if i < known {
			texts = append(texts, tell(charges[i].Policy)...)
		} else {
			texts = append(texts, nil)
		}
	}
	setFields(h, charges, texts, decisions, now)
}

// MaxOverrides is how many an OverrideTable keeps.
const MaxOverrides = maxOverrides
