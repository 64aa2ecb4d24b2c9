// Package strikeplatetest stands in for a service's real authenticators in
// tests: [Keys] knows a few keys by heart, and [As] skips credentials
// altogether.
//
//	h := strikeplatetest.As(&strikeplate.Principal{Organisation: "org_1"})(handler)
//	h.ServeHTTP(recorder, httptest.NewRequest("GET", "/v1/meetings", nil))
//
// # Security notes
//
// Nothing here checks anything worth the name: keys stand in plain text and are
// compared in varying time. Keep it in files that end in _test.go.
package strikeplatetest

import (
	"net/http"
	"strings"

	"github.com/strikeplate/strikeplate"
)

// Keys is a [strikeplate.Authenticator] that knows each bearer text's Principal.
// It answers as package keyauth does: no Authorization field is 401
// missing_api_key, one that isn't a single "Bearer TEXT" is 401 invalid_api_key,
// and both leave other authenticators their turn; a text that isn't in the map,
// or is there with nil, is 401 invalid_api_key, and that decides.
//
// It is safe for concurrent use while nobody writes the map.
type Keys map[string]*strikeplate.Principal

// Authenticate implements [strikeplate.Authenticator].
func (k Keys) Authenticate(r *http.Request) (*strikeplate.Principal, error) {
	fields := r.Header["Authorization"]
	if len(fields) == 0 {
		return nil, unauthorized(strikeplate.CodeMissing, "No API key was sent.", strikeplate.ErrNotMine)
	}
	scheme, text, _ := strings.Cut(fields[0], " ")
	if len(fields) > 1 || !strings.EqualFold(scheme, "Bearer") || text == "" {
		return nil, unauthorized(strikeplate.CodeInvalid, "Invalid API key.", strikeplate.ErrNotMine)
	}
	if p := k[text]; p != nil {
		return p, nil
	}
	return nil, unauthorized(strikeplate.CodeInvalid, "Invalid API key.", nil)
}

func unauthorized(code, message string, cause error) *strikeplate.Error {
	challenge := "Bearer"
	if code == strikeplate.CodeInvalid {
		challenge += ` error="invalid_token"` // RFC 6750 3.1
	}
	return &strikeplate.Error{Status: http.StatusUnauthorized, Code: code, Message: message,
		Challenge: []string{challenge}, Err: cause}
}

// As returns a middleware that lets every request act for p, whatever it
// presents. It is [strikeplate.Require] in all else: the Principal is in the
// context and in the [strikeplate.Exchange], and CORS preflights don't reach the
// handler. It panics if p is nil.
func As(p *strikeplate.Principal) func(http.Handler) http.Handler {
	if p == nil {
		panic("strikeplatetest: nil Principal")
	}
	return strikeplate.Require(always{p})
}

type always struct{ principal *strikeplate.Principal }

func (a always) Authenticate(*http.Request) (*strikeplate.Principal, error) {
	return a.principal, nil
}
