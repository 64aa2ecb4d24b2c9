package authserver

import (
	"net/netip"
	"sync"
	"time"
)

// guard counts what callers do too often, by name and address, in windows of a
// minute of the real clock. Neither a name nor an address alone is shut out: names
// are public, and addresses are shared.
type guard struct {
	most int
	mu   sync.Mutex
	seen map[counted]*window
}

type counted struct {
	name    [32]byte // a digest: names are strangers' texts, of any length
	address netip.Prefix
}

type window struct {
	since time.Time
	count int
}

const (
	guardWindow = time.Minute
	guardRoom   = 8192
)

// Limits of a minute.
const (
	mostFailures      = 10  // wrong secrets of one client from one address
	mostPushed        = 120 // pushed requests of one client from one address
	mostOwn           = 60  // tokens for itself, of one client
	mostRegistrations = 5   // of one address
	mostDocuments     = 20  // that one address has fetched
)

func newGuard(most int) *guard { return &guard{most: most, seen: make(map[counted]*window)} }

// network is whom an address stands for: IPv6 customers have a /64 at least.
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero Prefix for no address
	return p
}

// over says how long the caller has to wait; 0: not at all.
func (g *guard) over(name string, a netip.Addr) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.seen[counted{digest(name), network(a)}]
	if w == nil || w.count < g.most {
		return 0
	}
	return max(0, guardWindow-time.Since(w.since))
}

// charge counts one, and says how long the caller has to wait for it: 0, if it
// wasn't too many.
func (g *guard) charge(name string, a netip.Addr) time.Duration {
	key, now := counted{digest(name), network(a)}, time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.seen[key]
	if w == nil || now.Sub(w.since) >= guardWindow {
		g.makeRoom(now)
		w = &window{since: now}
		g.seen[key] = w
	}
	if w.count >= g.most {
		return guardWindow - now.Sub(w.since)
	}
	w.count++
	return 0
}

// makeRoom forgets windows that are over, and where that isn't enough, any: who
// has thousands of addresses is not stopped by counting per address.
func (g *guard) makeRoom(now time.Time) {
	if len(g.seen) < guardRoom {
		return
	}
	for key, w := range g.seen {
		if now.Sub(w.since) >= guardWindow {
			delete(g.seen, key)
		}
	}
	for key := range g.seen {
		if len(g.seen) < guardRoom {
			return
		}
		delete(g.seen, key)
	}
}
