package strikeplate

import (
	"errors"
	"net/http"
	"reflect"
)

// Authenticator turns a request's credential into a Principal. It is safe for
// concurrent use.
//
// It returns [ErrNotMine], bare or wrapped by an *[Error] that says more, for a
// request without a credential of its shape; then the next one is asked. Any
// other error decides: an *Error is told to the client, anything else is 503.
type Authenticator interface {
	Authenticate(r *http.Request) (*Principal, error)
}

// Require lets only authenticated requests through. The authenticators are
// asked in order, and the first that recognises the credential's shape decides.
// If none does, the first one's account of what is missing is the answer, with
// every one's challenge.
//
// CORS preflights (OPTIONS with Access-Control-Request-Method), which cannot
// carry credentials, are answered 204 without reaching the handler and without
// any permission: mount CORS middleware outside of Require.
//
// The Principal stands over one that a middleware outside put into the context.
// Require panics if an authenticator is nil, or a nil pointer or function.
func Require(first Authenticator, more ...Authenticator) func(http.Handler) http.Handler {
	return newRequirement(first, more, false)
}

// Optional is [Require] for routes that also serve anonymous callers: a request
// that presents nothing goes through without a Principal. One that presents a
// bad credential is still refused, so that a typo is not taken for anonymity.
func Optional(first Authenticator, more ...Authenticator) func(http.Handler) http.Handler {
	return newRequirement(first, more, true)
}

func newRequirement(first Authenticator, more []Authenticator, optional bool) func(http.Handler) http.Handler {
	all := append([]Authenticator{first}, more...)
	for _, a := range all {
		if isNil(a) {
			panic("strikeplate: nil Authenticator")
		}
	}
	return func(next http.Handler) http.Handler {
		return &requirement{authenticators: all, optional: optional, next: next}
	}
}

// isNil also finds the nil pointer that a New returned along with an error.
func isNil(a Authenticator) bool {
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func:
		return v.IsNil()
	default:
		return false
	}
}

type requirement struct {
	authenticators []Authenticator
	optional       bool
	next           http.Handler
}

func (q *requirement) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := ExchangeFrom(r.Context())
	if x == nil {
		bareEdge.serve(w, r, q)
		return
	}
	outside := x.enter(r)
	if isPreflight(r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	p, err := q.authenticate(r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	if p != nil {
		r = as(x, p, r)
	}
	defer x.leave(r, outside)
	q.next.ServeHTTP(w, r)
}

// as puts p on the request. The request is copied only where a middleware inside
// the Edge has put another Principal into the context.
func as(x *Exchange, p *Principal, r *http.Request) *http.Request {
	x.principal.Store(p)
	if seen, _ := FromContext(r.Context()); seen != p {
		return r.WithContext(NewContext(r.Context(), p))
	}
	return r
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// authenticate returns a nil Principal without an error for an anonymous
// request that may pass.
func (q *requirement) authenticate(r *http.Request) (*Principal, error) {
	var strangers []error
	for _, a := range q.authenticators {
		p, err := a.Authenticate(r)
		switch {
		case err == nil && p == nil:
			return nil, errors.New("authenticator returned neither a Principal nor an error")
		case err == nil:
			return p, nil
		case !errors.Is(err, ErrNotMine):
			return nil, err
		}
		strangers = append(strangers, err)
	}
	e := unrecognised(r, strangers)
	if q.optional && e.Code == CodeMissing {
		return nil, nil
	}
	return nil, e
}

// unrecognised makes one refusal of what the authenticators said when none
// recognised a credential. A single one that saw something it couldn't read
// makes the credential invalid rather than missing.
func unrecognised(r *http.Request, strangers []error) *Error {
	var account *Error
	var challenges []string
	silent := false
	for _, err := range strangers {
		var e *Error
		if !errors.As(err, &e) || e == nil {
			silent = true
			continue
		}
		challenges = append(challenges, e.Challenge...)
		if account == nil || account.Code == CodeMissing && e.Code != CodeMissing {
			account = e
		}
	}
	if account == nil || silent && account.Code == CodeMissing && presents(r) {
		account = unspoken(r)
	}
	told := *account
	told.Challenge = challenges
	return &told
}

func presents(r *http.Request) bool { return len(r.Header["Authorization"]) > 0 }

// unspoken is the account of an authenticator that gave none.
func unspoken(r *http.Request) *Error {
	if presents(r) {
		return &Error{Status: http.StatusUnauthorized, Code: CodeInvalid,
			Message: "The credential in the Authorization header is not of a kind accepted here."}
	}
	return &Error{Status: http.StatusUnauthorized, Code: CodeMissing,
		Message: "Authentication is required. Send a credential in the Authorization header."}
}
