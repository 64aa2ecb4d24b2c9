package ratelimit

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A complaint is logged at most once a second: while an engine fails, every
// request has the same thing to say.
type complaint struct {
	logger     *slog.Logger
	mu         sync.Mutex
	last       time.Time
	suppressed int
}

func (c *complaint) log(err error) {
	c.mu.Lock()
	now := time.Now()
	if now.Sub(c.last) < time.Second {
		c.suppressed++
		c.mu.Unlock()
		return
	}
	suppressed := c.suppressed
	c.last, c.suppressed = now, 0
	c.mu.Unlock()
	logger := c.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Error("limits could not be checked; requests pass uncounted", "error", err, "suppressed", suppressed)
}

// once is true once.
type once struct{ done atomic.Bool }

func (o *once) first() bool { return o.done.CompareAndSwap(false, true) }
