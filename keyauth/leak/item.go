package leak

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/strikeplate/strikeplate/keyauth"
)

// digest names a token without telling it: HMAC-SHA256 under a key of this
// process.
type digest [32]byte

// item is one distinct token on its way to being judged.
type item struct {
	digest digest
	parsed keyauth.Parsed
	leak   Leak
	client netip.Addr
	since  time.Time // by the monotonic clock

	troubled atomic.Bool   // the store failed, at least once
	done     chan struct{} // closed when label stands
	label    label
}

func newItem(d digest, p keyauth.Parsed) *item {
	return &item{digest: d, parsed: p, since: time.Now(), done: make(chan struct{})}
}

// settled is an item that needs no work.
func settled(l label) *item {
	it := &item{label: l, done: make(chan struct{})}
	close(it.done)
	return it
}

// wait returns what the token turned out to be by the time that ctx ends.
func (it *item) wait(ctx context.Context) label {
	select {
	case <-it.done:
		return it.label
	default:
	}
	select {
	case <-it.done:
		return it.label
	case <-ctx.Done():
		return unknown
	}
}
