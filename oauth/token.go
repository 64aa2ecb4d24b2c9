package oauth

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/freshness"
	"github.com/strikeplate/strikeplate/internal/standing"
)

// digest names a token's text without telling it. Tokens can't be guessed, so it
// needs no key.
type digest [32]byte

// facts are what a token says and its issuer stands for.
type facts struct {
	// principal lacks what the directory says. Its Scopes are the token's.
	principal strikeplate.Principal
	binding   binding
	notBefore time.Time
	// leeway is how far the issuer's clock may be off.
	leeway time.Duration
	// acr and authenticated say how and when the user signed in (RFC 9470).
	acr           string
	authenticated time.Time
}

// timely refuses a token outside of its life.
func (f *facts) timely(now time.Time) error {
	switch expires := f.principal.Expires; {
	case !expires.IsZero() && !now.Before(expires.Add(f.leeway)):
		return invalid("The access token has expired. Get a new one.")
	case !f.notBefore.IsZero() && now.Add(f.leeway).Before(f.notBefore):
		return invalid("The access token is not valid yet.")
	}
	return nil
}

// entry is a token that was found good, and for how long that may be believed.
// Only its state changes.
type entry struct {
	facts
	key   *signingKey   // whose signature it has; nil: none
	until time.Duration // by the monotonic clock; the token's own end is in facts
	// followed: the feed tells of changes, and must be healthy for the entry to count.
	followed   bool
	grant, app freshness.Stamp
	state      atomic.Pointer[state]
}

const forever = time.Duration(1<<63 - 1)

// counts reports whether a remembered token may be believed.
func (e *entry) counts(t *freshness.Tracker, age time.Duration) bool {
	switch {
	case age >= e.until || e.key != nil && !e.key.counts(age):
		return false
	case e.followed:
		return t.IsFresh(age) && t.RecordCurrent(&e.grant) && t.RecordCurrent(&e.app)
	}
	return t.RecordUnchanged(&e.grant)
}

// state is a token joined with what the directory says of its account and user.
// It is never changed after it was made.
type state struct {
	principal        strikeplate.Principal
	stamp            freshness.Stamp
	until            time.Duration // when the directory must be asked again
	inactive, lapsed bool
}

// apply adds what the directory says. A token is never stronger than its user
// is at present.
func (f *facts) apply(st standing.Standing, stamp freshness.Stamp) *state {
	s := &state{principal: f.principal, stamp: stamp, until: st.Until, lapsed: st.Lapsed}
	p := &s.principal
	if p.Plan == "" {
		p.Plan = st.Plan
	}
	p.Settings = st.Settings
	if p.Subject == "" {
		return s
	}
	s.inactive = st.Inactive
	if st.Scopes != nil {
		p.Scopes = intersect(p.Scopes, st.Scopes)
	}
	return s
}

// intersect keeps the order of the first.
func intersect(scopes, allowed []string) []string {
	kept := make([]string, 0, len(scopes))
	for _, s := range scopes {
		if slices.Contains(allowed, s) {
			kept = append(kept, s)
		}
	}
	return kept
}
