package storagetest

import (
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// limitCases: how many active keys an organisation may hold.
var limitCases = []check[Store]{
	{"Limit", limit},
	{"LimitCountsActive", limitCountsActive},
	{"LimitAfterPut", limitAfterPut},
	{"RevokingFreesASlot", revokingFreesASlot},
}

func limit(t testing.TB, s Store) {
	p := probe{t, s}
	p.refused("Max 0", limited(0, newKey("acme", "k1")), storage.ErrLimit)
	p.commit(limited(2, newKey("acme", "k1")))
	p.commit(limited(2, newKey("acme", "k2")))
	p.refused("a third of two", limited(2, newKey("acme", "k3")), storage.ErrLimit)
	p.commit(limited(1, newKey("globex", "g1"))) // another organisation has its own
	p.commit(mutation(newKey("acme", "k3")))     // an operator's import has none
	p.refused("a fifth of four at once", limited(4, newKey("acme", "k4"), newKey("acme", "k5")), storage.ErrLimit)
	p.commit(limited(5, newKey("acme", "k4"), newKey("acme", "k5")))
}

// limitCountsActive: expired and revoked keys don't count, judged at Now.
func limitCountsActive(t testing.TB, s Store) {
	p := probe{t, s}
	expired, revoked := newKey("acme", "expired"), newKey("acme", "revoked")
	expired.Expires, revoked.Revoked = noon, noon
	p.commit(limited(0, expired, revoked))
	p.commit(limited(1, newKey("acme", "k1")))

	early := limited(2, newKey("acme", "k2"))
	early.Now = noon.Add(-time.Microsecond) // expired is still active then
	p.refused("before the expiry", early, storage.ErrLimit)
	early.Now = noon
	p.commit(early)

	later := limited(2, newKey("acme", "k3"))
	later.Put[0].Expires = noon.Add(time.Hour)
	later.Now = noon.Add(time.Hour) // born expired: takes no slot
	p.commit(later)
}

// limitAfterPut: what the mutation itself frees or fills counts.
func limitAfterPut(t testing.TB, s Store) {
	p := probe{t, s}
	stored := p.create(newKey("acme", "k1"), newKey("acme", "k2"))
	swapped := stored[0]
	swapped.Revoked = noon
	p.commit(limited(2, newKey("acme", "k3"), swapped))

	overlap := stored[1] // rotation: the predecessor still counts
	overlap.Expires = noon.Add(24 * time.Hour)
	p.refused("successor in the overlap", limited(2, overlap, newKey("acme", "k4")), storage.ErrLimit)
	overlap.Expires = noon
	p.commit(limited(2, overlap, newKey("acme", "k4")))

	ended := p.key("acme", "k2") // renewing an expired key takes a slot again
	ended.Expires = time.Time{}
	p.refused("renewal at the limit", limited(2, ended), storage.ErrLimit)
}

func revokingFreesASlot(t testing.TB, s Store) {
	p := probe{t, s}
	k := p.create(newKey("acme", "k1"))[0]
	p.refused("at the limit", limited(1, newKey("acme", "k2")), storage.ErrLimit)
	k.Revoked = noon
	p.commit(mutation(k))
	p.commit(limited(1, newKey("acme", "k2")))
}
