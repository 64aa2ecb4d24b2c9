package oauth

import (
	"errors"
	"net/http"

	"github.com/strikeplate/strikeplate"
)

// stream is a request in flight that wants to end when its token does.
type stream struct {
	core *core
	cred credential
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
		r.streams.Serve(next, w, req, stream{c, cred})
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

// recheck returns why a stream must end. That its token could not be checked is
// no reason: new requests are refused then, running ones go on. A proof of
// possession was given at the beginning, and counts for the whole request.
func (r *Resource) recheck(x stream) error {
	_, err := x.core.judge(r.closing, &x.cred)
	var refusal *strikeplate.Error
	if errors.As(err, &refusal) && refusal.Status < http.StatusInternalServerError {
		return refusal
	}
	return nil
}
