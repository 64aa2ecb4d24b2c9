package oauth

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
)

// StepUp is how a user must have signed in for a route (RFC 9470). Use it with
// [Resource.StepUp].
type StepUp struct {
	// ACR are the authentication contexts that do, the best first, as the issuer names
	// them. Empty: any does.
	ACR []string
	// MaxAge is how long ago the user may have signed in; zero: ever.
	MaxAge time.Duration
	// Keys lets API keys through, behind which nobody signs in.
	Keys bool
}

// StepUp returns a middleware for routes that want a stronger or more recent
// sign-in than others. It stands inside of [strikeplate.Require]. Requests whose
// token doesn't tell enough are answered 401 insufficient_user_authentication, with
// what to ask the authorization server for (acr_values, max_age).
//
// It panics if s asks for nothing, or for what can't be asked.
func (r *Resource) StepUp(s StepUp) func(http.Handler) http.Handler {
	if err := s.check(); err != nil {
		panic("oauth: StepUp: " + err.Error())
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if err := r.steppedUp(req, &s); err != nil {
				strikeplate.Fail(w, req, err)
				return
			}
			next.ServeHTTP(w, req)
		})
	}
}

func (s *StepUp) check() error {
	switch {
	case len(s.ACR) == 0 && s.MaxAge == 0:
		return errors.New("neither ACR nor MaxAge")
	case s.MaxAge < 0 || s.MaxAge%time.Second != 0:
		return errors.New("MaxAge must be whole seconds")
	case slices.ContainsFunc(s.ACR, func(a string) bool { return !isScopeToken(a) }):
		return errors.New("ACR values have no spaces, quotes or control characters")
	}
	return nil
}

func (r *Resource) steppedUp(req *http.Request, s *StepUp) error {
	p, ok := strikeplate.FromContext(req.Context())
	if ok && p.Kind == strikeplate.KindKey && s.Keys {
		return nil
	}
	c, cred := r.coreOf(req)
	if c == nil {
		return r.insufficient(bearerScheme, s, "This route needs an access token of a user who has signed in.")
	}
	e, err := c.entry(req.Context(), cred.token)
	if err != nil {
		return r.refuse(cred.scheme, err)
	}
	now, _ := r.clock()
	switch {
	case len(s.ACR) > 0 && !slices.Contains(s.ACR, e.acr):
		return r.insufficient(cred.scheme, s, "A stronger sign-in is required.")
	case s.MaxAge > 0 && (e.authenticated.IsZero() || now.After(e.authenticated.Add(s.MaxAge+e.leeway))):
		return r.insufficient(cred.scheme, s, "A more recent sign-in is required.")
	}
	return nil
}

// insufficient is RFC 9470 3's challenge.
func (r *Resource) insufficient(used scheme, s *StepUp, message string) error {
	var params []string
	if len(s.ACR) > 0 {
		params = append(params, `acr_values="`+strings.Join(s.ACR, " ")+`"`)
	}
	if s.MaxAge > 0 {
		params = append(params, `max_age="`+strconv.FormatInt(int64(s.MaxAge/time.Second), 10)+`"`)
	}
	return r.unauthorized(used, CodeStepUp, message, params...)
}
