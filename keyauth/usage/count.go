package usage

import (
	"net/http"
	"sync"
	"time"
	"unsafe"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// shard is a table of its own lock, padded so that two of them share no cache
// line.
type shard struct {
	mu     sync.Mutex
	table  *table
	closed bool
	spare  *table // the flusher's
	_      [64]byte
}

// Observe counts a complete request. It belongs into [strikeplate.Edge].Done: it
// adds to counters in memory, without an allocation and without waiting for the
// store.
func (u *Counter) Observe(x *strikeplate.Exchange) {
	o := Read(x)
	u.count(&o)
}

// Count counts what came otherwise than by HTTP: a gRPC call, or a job.
func (u *Counter) Count(o Observation) { u.count(&o) }

func (u *Counter) count(o *Observation) {
	if u.c.Now != nil {
		o.At = u.c.Now()
	}
	at := o.At.UnixNano()
	if at <= 0 { // what no store would take would hold up all else
		at = time.Now().UnixNano()
	}
	o.Elapsed = max(o.Elapsed, 0)
	s := u.lock(o.Principal)
	if s.closed {
		u.late.Add(1)
	} else {
		s.table.observe(o, at)
	}
	s.mu.Unlock()
}

// observe adds one request.
func (t *table) observe(o *Observation, at int64) {
	class := o.Class()
	if o.Principal != nil {
		e := t.count(o, class, at)
		if o.Refusal != nil && class > 0 {
			t.refused(o, e.key, true, at)
		}
		if class == 0 {
			t.totals.abandoned++
		}
		return
	}
	key, proven := o.Key()
	switch {
	case o.Refusal == nil:
		t.totals.anonymous++
	case class == 0:
		t.totals.abandoned++
	default:
		if proven {
			key = t.count(o, class, at).key
		}
		t.refused(o, key, proven, at)
	}
}

func (t *table) refused(o *Observation, key storage.UsageKey, proven bool, at int64) {
	id := refusalID{keyID{key.Organisation, key.Credential}, o.Refusal.Code, proven, int32(at / int64(time.Hour))}
	t.refuse(id, refusal{key, 1, at})
}

// lock takes a shard that nobody has. It begins with the same one for the same
// Principal, so that a key's counts lie together; the counts of a busy key
// spread over several by themselves.
func (u *Counter) lock(p *strikeplate.Principal) *shard {
	// The address is no more than a number that differs.
	first := uint32(uintptr(unsafe.Pointer(p)) >> 7) //nolint:gosec // never turned back into a pointer
	for i := range uint32(len(u.shards)) {
		s := &u.shards[(first+i)&u.mask]
		if s.mu.TryLock() {
			return s
		}
	}
	s := &u.shards[first&u.mask]
	s.mu.Lock()
	return s
}

// Browsers notes which credentials come with an Origin, as browsers send it: a
// key in a page's code is everybody's. It stands anywhere between Edge and the
// handler, outside of Require to see what Require refuses.
func (u *Counter) Browsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header["Origin"]
		if len(origin) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		defer u.fromBrowser(r, origin[0])
		next.ServeHTTP(w, r)
	})
}

func (u *Counter) fromBrowser(r *http.Request, origin string) {
	x := strikeplate.ExchangeFrom(r.Context())
	if x == nil {
		return
	}
	o := Observation{Principal: x.Principal(), Refusal: x.Refusal()}
	key, proven := o.Key()
	if !proven {
		return
	}
	if !storable(origin) {
		origin = "(unreadable)"
	}
	at := u.now().UnixNano()
	s := u.lock(o.Principal)
	defer s.mu.Unlock()
	if !s.closed {
		s.table.browser(key, origin, at)
	}
}
