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
	c := r.fresh(p)
	return func(cost int64, now time.Time) Decision { return r.take(c, p, cost, now) }
}

// SetFields writes the header fields.
func SetFields(h http.Header, charges []Charge, decisions []Decision, now time.Time) {
	setFields(h, charges, decisions, now)
}

// MaxOverrides is how many an OverrideTable keeps.
const MaxOverrides = maxOverrides
