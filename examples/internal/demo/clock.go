package demo

import (
	"sync/atomic"
	"time"
)

// Clock is the machine's clock, which scripts can set forward. Each instance has
// its own.
type Clock struct{ ahead atomic.Int64 }

// Now is the time.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// farthest keeps repeated calls from running past what dates can hold.
const farthest = 20 * 365 * 24 * time.Hour

// advance sets the clock forward, and reports whether that is possible.
func (c *Clock) advance(d time.Duration) bool {
	for {
		ahead := c.ahead.Load()
		if d <= 0 || d > farthest || time.Duration(ahead) > farthest-d {
			return false
		}
		if c.ahead.CompareAndSwap(ahead, ahead+int64(d)) {
			return true
		}
	}
}
