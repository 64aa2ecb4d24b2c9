package keyauth

import (
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
)

// Expiring tells callers that their key is about to expire, in a header field of
// each response:
//
//	X-Api-Key-Expires: Tue, 14 Apr 2026 12:00:00 GMT
//
// with a date as in RFC 9110 5.6.7: the first moment at which the key no longer
// works. There is no standard field for it: Sunset (RFC 8594) is about the
// resource, Expires (RFC 9111) about the response. The zero value is ready to use.
//
//	handler = strikeplate.Edge{}.Handler(strikeplate.Require(keys)(keyauth.Expiring{}.Handler(mux)))
//
// Browsers show the field to scripts of other origins only if your CORS headers
// expose it.
type Expiring struct {
	// Within is how long before its end a key's responses carry the field; zero:
	// 14 days.
	Within time.Duration
	// Header names the field; empty: X-Api-Key-Expires.
	Header string
	// Now is the clock, the same that the Authenticator has; nil: time.Now.
	Now func() time.Time
}

// Handler wraps next. It stands inside of [strikeplate.Require], and does nothing
// for a request without a key.
func (e Expiring) Handler(next http.Handler) http.Handler {
	if e.Within == 0 {
		e.Within = 14 * 24 * time.Hour
	}
	if e.Header == "" {
		e.Header = "X-Api-Key-Expires"
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := strikeplate.FromContext(r.Context())
		if ok && p.Kind == strikeplate.KindKey && !p.Expires.IsZero() && p.Expires.Sub(e.Now()) <= e.Within {
			w.Header().Set(e.Header, p.Expires.UTC().Format(http.TimeFormat))
		}
		next.ServeHTTP(w, r)
	})
}
