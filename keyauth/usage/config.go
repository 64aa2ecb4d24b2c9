package usage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Config wires a [Counter].
type Config struct {
	// Store is required; each backend of package storage is one.
	Store storage.Usage
	// Every is how often counts are stored, and what a killed process loses at
	// most; zero: 10 s. From 100 ms to 5 minutes.
	Every time.Duration
	// Patience bounds one call of the store; zero: 30 s.
	Patience time.Duration
	// Keys is how many credentials are counted singly between two batches; zero:
	// 20,000, at some 700 bytes each.
	Keys int
	// Rows is how many of credential, route and minute there may be; zero:
	// 100,000, at some 200 bytes each. While the store fails, this is what is kept.
	Rows int
	// Keep says for how long; its zero keeps minutes for 2 days, hours for 90 and
	// days for 400.
	Keep Retention
	// Watch raises alarms; its zero raises none.
	Watch Watch
	// Now is the clock; nil: the real one, as the [strikeplate.Exchange] has it.
	Now func() time.Time
	// Logger hears when the store fails or works again, and of the first thing
	// that is dropped; nil: [slog.Default].
	Logger *slog.Logger
}

// Retention is how long each kind of count is kept. Instances agree on one of
// them who removes what is older.
type Retention struct {
	// Minutes, Hours, Days are for counts by minute, hour and day, refusals by hour
	// and day. Zero: 2, 90 and 400 days.
	Minutes, Hours, Days time.Duration
	// Addresses is for addresses and origins that were not seen for so long; zero:
	// 90 days.
	Addresses time.Duration
	// Instances is when one that fell silent is given up: for so long it may come
	// back, and until then nothing is known to be idle. Zero: 24 h.
	Instances time.Duration
}

const (
	leastEvery = 100 * time.Millisecond
	mostEvery  = 5 * time.Minute
	day        = 24 * time.Hour
)

// Counter counts requests. It is safe for concurrent use. Make one with [New].
type Counter struct {
	c      Config
	logger *slog.Logger
	shards []shard
	mask   uint32
	late   atomic.Int64 // requests after Close

	flushing sync.Mutex // guards what follows
	out      outbox
	watching watching
	upkeepAt time.Time

	stats statsCell
	end   context.CancelFunc
	life  context.Context //nolint:containedctx // the background goroutine's
	begun chan struct{}   // closed after the first batch was tried
	done  chan struct{}
}

// New checks c and starts the goroutine that stores counts. Close ends it.
func New(c Config) (*Counter, error) {
	if err := c.settle(); err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	// More shards than processors, so that two requests seldom want the same one.
	shards := 1 << bits.Len(uint(4*runtime.GOMAXPROCS(0)-1))
	u := &Counter{c: c, logger: c.Logger, shards: make([]shard, min(shards, 64)), begun: make(chan struct{}), done: make(chan struct{})}
	u.mask = uint32(len(u.shards) - 1)
	per := bound{keys: max(1, c.Keys/len(u.shards)), rows: max(1, c.Rows/len(u.shards))}
	for i := range u.shards {
		u.shards[i].table, u.shards[i].spare = newTable(per), newTable(per)
	}
	u.out = outbox{pending: newTable(bound{c.Keys, c.Rows})}
	u.out.begin(c.Every)
	u.watching.next = make(map[storage.UsageKey]time.Time)
	u.life, u.end = context.WithCancel(context.Background())
	go u.run()
	return u, nil
}

func (c *Config) settle() error {
	if c.Store == nil {
		return errors.New("a Store is required")
	}
	for _, d := range []struct {
		name        string
		value       *time.Duration
		zero        time.Duration
		least, most time.Duration
	}{
		{"Every", &c.Every, 10 * time.Second, leastEvery, mostEvery},
		{"Patience", &c.Patience, 30 * time.Second, time.Millisecond, time.Hour},
		{"Keep.Minutes", &c.Keep.Minutes, 2 * day, time.Hour, 30 * day},
		{"Keep.Hours", &c.Keep.Hours, 90 * day, day, 1000 * day},
		{"Keep.Days", &c.Keep.Days, 400 * day, day, 10_000 * day},
		{"Keep.Addresses", &c.Keep.Addresses, 90 * day, time.Hour, 10_000 * day},
		{"Keep.Instances", &c.Keep.Instances, day, time.Hour, 30 * day},
	} {
		if *d.value == 0 {
			*d.value = d.zero
		}
		if *d.value < d.least || *d.value > d.most {
			return fmt.Errorf("%s must be within %v and %v", d.name, d.least, d.most)
		}
	}
	if c.Keys < 0 || c.Rows < 0 {
		return errors.New("the bounds Keys and Rows must not be negative")
	}
	if c.Keys == 0 {
		c.Keys = 20_000
	}
	if c.Rows == 0 {
		c.Rows = 100_000
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c.Watch.settle()
}

func (u *Counter) now() time.Time {
	if u.c.Now != nil {
		return u.c.Now()
	}
	return time.Now()
}

// newInstance is a name that no process had before.
func newInstance() string { return rand.Text() }
