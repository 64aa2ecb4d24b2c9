package keyauth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/blake2b"

	"github.com/strikeplate/strikeplate"
)

// digest names a credential's text without telling it: BLAKE2b under a random
// key of this process, cut to 128 bits.
type digest [16]byte

// proof remembers that one text is one key's secret at one version of it. It
// outlives every change of the key's state, so that none of them costs a
// re-hash; state points to what is known of that.
type proof struct {
	organisation, keyID string
	secretVersion       int64
	until               time.Duration // by the monotonic clock
	accepted            time.Time     // a foreign shape's date, by the wall's; zero: for ever
	state               atomic.Pointer[state]
}

// accepts reports whether the key's shape is still accepted.
func (p *proof) accepts(now time.Time) bool {
	return p.accepted.IsZero() || now.Before(p.accepted)
}

func (a *Authenticator) digest(s *scratch) digest {
	copy(s.buffer[:keyRoom], a.proofKey[:])
	sum := blake2b.Sum256(s.buffer[:keyRoom+s.length])
	return digest(sum[:len(digest{})])
}

// errOutdated: the text was once proven, but the key's secret changed since, or
// the key is gone.
var errOutdated = errors.New("the proof is outdated")

// verify answers for one credential: at once if it was proven before and its
// state is known, else after asking the store, and after hashing only if it
// was never proven.
func (a *Authenticator) verify(ctx context.Context, s *scratch, from caller) (*strikeplate.Principal, error) {
	now, age := a.clock()
	d := a.digest(s)
	if p, ok := a.proofs.GetIfPresent(d); ok && age < p.until && p.accepts(now) {
		if st := p.state.Load(); st != nil && a.mayServe(st, age) {
			return st.verdict(now, from)
		}
		st, err := a.refresh(ctx, p, age)
		if err == nil {
			return st.verdict(now, from)
		}
		if !errors.Is(err, errOutdated) {
			return nil, err
		}
		a.proofs.Invalidate(d)
	}
	return a.verifyUnproven(ctx, s.text(), d, from)
}
