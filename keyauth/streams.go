package keyauth

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// streamCheck is how often long requests' keys are looked at even if no change
// is reported: expiry is no change.
const streamCheck = 500 * time.Millisecond

// streams are the requests in flight that want to end when their key does.
type streams struct {
	mu     sync.Mutex
	open   map[*stream]struct{}
	wakeUp chan struct{}
}

type stream struct {
	proof  *proof
	from   caller
	cancel context.CancelCauseFunc
}

func (s *streams) init() {
	s.open = make(map[*stream]struct{})
	s.wakeUp = make(chan struct{}, 1)
}

func (s *streams) nudge(storage.Subject, string, string) {
	select {
	case s.wakeUp <- struct{}{}:
	default:
	}
}

func (s *streams) add(x *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[x] = struct{}{}
}

func (s *streams) remove(x *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, x)
}

func (s *streams) all() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*stream, 0, len(s.open))
	for x := range s.open {
		list = append(list, x)
	}
	return list
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
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		x := &stream{proof: p, from: caller{address: caller{request: r}.client()}, cancel: cancel}
		a.streams.add(x)
		defer a.streams.remove(x)
		a.streams.nudge("", "", "") // the key may have ended before we were listed
		next.ServeHTTP(w, r.WithContext(ctx))
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

// watchStreams looks at every open stream's key after each change and each tick.
func (a *Authenticator) watchStreams() {
	tick := time.NewTicker(streamCheck)
	defer tick.Stop()
	for {
		select {
		case <-a.closing.Done():
			return
		case <-tick.C:
		case <-a.streams.wakeUp:
		}
		for _, x := range a.streams.all() {
			if err := a.recheck(x); err != nil {
				x.cancel(err)
			}
		}
	}
}

// recheck returns why a stream must end. That its key could not be checked is
// no reason: new requests are refused then, running ones go on.
func (a *Authenticator) recheck(x *stream) error {
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
