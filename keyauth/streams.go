package keyauth

import (
	"errors"
	"net/http"

	"github.com/strikeplate/strikeplate"
)

// stream is a request in flight that wants to end when its key does.
type stream struct {
	proof *proof
	from  caller
}

// EndWithKey cancels a request's context when its key is revoked, expires or is
// otherwise refused, with the refusal as its cause. Put it around handlers that
// stream or run for long, inside of [strikeplate.Require]; short requests don't
// need it. Requests without a key of this Authenticator pass unchanged.
func (a *Authenticator) EndWithKey(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := a.proofOf(r)
		if p == nil {
			next.ServeHTTP(w, r)
			return
		}
		a.streams.Serve(next, w, r, stream{proof: p, from: caller{address: caller{request: r}.client()}})
	})
}

// proofOf returns the proof of the key that a request was let in with.
func (a *Authenticator) proofOf(r *http.Request) *proof {
	var s scratch
	if kind := a.find(r, &s); kind == absent || kind == unreadable {
		return nil
	}
	p, _ := a.proofs.GetIfPresent(a.digest(&s))
	return p
}

// recheck returns why a stream must end. That its key could not be checked is
// no reason: new requests are refused then, running ones go on.
func (a *Authenticator) recheck(x stream) error {
	now, age := a.clock()
	if !x.proof.accepts(now) {
		return a.refusals.invalid
	}
	st := x.proof.state.Load()
	if st == nil || !a.mayServe(st, age) {
		var err error
		if st, err = a.refresh(a.closing, x.proof, age); err != nil {
			if errors.Is(err, errOutdated) {
				return a.refusals.invalid
			}
			return nil
		}
	}
	_, err := st.verdict(now, x.from)
	var refusal *strikeplate.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	return nil
}
