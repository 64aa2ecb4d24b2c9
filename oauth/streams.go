package oauth

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// streamCheck is how often long requests' tokens are looked at even if no change
// is reported: expiry is no change.
const streamCheck = 500 * time.Millisecond

// streams are the requests in flight that want to end when their token does.
type streams struct {
	mu     sync.Mutex
	open   map[*stream]struct{}
	wakeUp chan struct{}
}

type stream struct {
	core   *core
	cred   credential
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

// EndWithToken cancels a request's context when its token expires, is revoked or
// is otherwise refused, with the refusal as its cause. Put it around handlers that
// stream or run for long, inside of [strikeplate.Require]; short requests don't
// need it. Requests without a token of this Resource pass unchanged.
func (r *Resource) EndWithToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c, cred := r.coreOf(req)
		if c == nil {
			next.ServeHTTP(w, req)
			return
		}
		ctx, cancel := context.WithCancelCause(req.Context())
		defer cancel(nil)
		x := &stream{core: c, cred: cred, cancel: cancel}
		r.streams.add(x)
		defer r.streams.remove(x)
		r.streams.nudge("", "", "") // the token may have ended before we were listed
		next.ServeHTTP(w, req.WithContext(ctx))
	})
}

// coreOf returns the authenticator that let a request in, and what it presented;
// nil if it came with something else than a token.
func (r *Resource) coreOf(req *http.Request) (*core, credential) {
	if p, ok := strikeplate.FromContext(req.Context()); !ok || p.Kind != strikeplate.KindToken {
		return nil, credential{}
	}
	cred, kind := r.find(req)
	if kind != readable {
		return nil, credential{}
	}
	var claiming *core
	for _, c := range r.all() {
		if !c.source.claims(cred.token) {
			continue
		}
		if _, ok := c.tokens.GetIfPresent(digestOf(cred.token)); ok {
			return c, cred
		}
		if claiming == nil {
			claiming = c
		}
	}
	return claiming, cred
}

// watchStreams looks at every open stream's token after each change and each tick.
func (r *Resource) watchStreams() {
	tick := time.NewTicker(streamCheck)
	defer tick.Stop()
	for {
		select {
		case <-r.closing.Done():
			return
		case <-tick.C:
		case <-r.streams.wakeUp:
		}
		for _, x := range r.streams.all() {
			if err := r.recheck(x); err != nil {
				x.cancel(err)
			}
		}
	}
}

// recheck returns why a stream must end. That its token could not be checked is
// no reason: new requests are refused then, running ones go on. A proof of
// possession was given at the beginning, and counts for the whole request.
func (r *Resource) recheck(x *stream) error {
	_, err := x.core.judge(r.closing, &x.cred)
	var refusal *strikeplate.Error
	if errors.As(err, &refusal) && refusal.Status < http.StatusInternalServerError {
		return refusal
	}
	return nil
}
