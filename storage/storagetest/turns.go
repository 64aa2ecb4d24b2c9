package storagetest

import (
	"iter"
	"time"
)

// everyRound makes the race detector no reason to run fewer. The broken stores need
// it: each must fail, however late.
var everyRound bool

// turns counts the n rounds of a race. Under the race detector, which makes a database
// that is written in Go ten times slower, a race ends once it took a second, though
// not before a fifth of its rounds. Without it each runs all of them.
func turns(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		began := time.Now()
		for round := range n {
			enough := hurries() && round >= max(2, n/5)
			if enough && time.Since(began) > time.Second || !yield(round) {
				return
			}
		}
	}
}

// hurries tells a race without rounds to let each goroutine do less.
func hurries() bool { return raceDetector && !everyRound }
