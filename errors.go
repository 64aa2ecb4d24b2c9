package strikeplate

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// The stable codes of the refusals that this module writes. Clients branch on
// them; messages may change.
const (
	CodeMissing     = "missing_api_key"         // 401: no credential was sent
	CodeInvalid     = "invalid_api_key"         // 401: malformed, forged or unknown
	CodeRevoked     = "revoked_api_key"         // 401
	CodeExpired     = "expired_api_key"         // 401
	CodeInactive    = "inactive_owner"          // 401: the key's owner is deactivated
	CodeLapsed      = "subscription_required"   // 402: the key works again on renewal
	CodeAddress     = "ip_not_allowed"          // 403: not in the key's allowlist
	CodeScope       = "insufficient_scope"      // 403
	CodeAccess      = "insufficient_access"     // 403: the route wants another access level
	CodeEnvironment = "wrong_environment"       // 403: a test credential on a live route, or the reverse
	CodeForbidden   = "forbidden"               // 403: a policy denies it
	CodeUndeclared  = "undeclared_route"        // 403: the service doesn't say who may call it
	CodeNotFound    = "not_found"               // 404: no such route
	CodeMethod      = "method_not_allowed"      // 405: the route has other methods, named by Allow
	CodeTooCostly   = "cost_exceeds_limit"      // 403: one request costs more than its limit ever allows
	CodeFailures    = "too_many_failures"       // 429: wrong secrets for one key from one address
	CodeLimited     = "rate_limit_exceeded"     // 429: try again after Retry-After
	CodeConcurrency = "too_many_concurrent"     // 429: too many requests in flight
	CodeUnavailable = "temporarily_unavailable" // 503: could not check, or too busy to
)

// ErrNotMine is what an [Authenticator] returns, bare or inside an [Error],
// for a request that carries no credential of its kind.
var ErrNotMine = errors.New("no credential of this kind")

// Error is a refusal: what the client is told, and what only the log is.
// An Error may be shared between requests, so it is never written after it was
// made.
type Error struct {
	// Status is the HTTP status: 401, 402, 403, 429 or 503. Outside of 400 to 599
	// it is a mistake, and told as 503.
	Status int
	// Code is stable and machine-readable; Message is one English sentence that
	// says what to do. Both are shown to the client.
	Code, Message string
	// Credential is the record's id, where the credential was recognised; for
	// logs and usage.
	Credential string
	// Principal is whom the credential was proven to act for, where the request is
	// refused all the same (402, or 403 for an address), so that limits and usage
	// count it as that Principal's. Dialects don't see it, and no handler does.
	Principal *Principal
	// Rule names the policy rule that decided, if one did.
	Rule string
	// RetryAfter goes into the header field of that name, rounded up to seconds;
	// every 429 and 503 carries at least one second.
	RetryAfter time.Duration
	// Challenge are WWW-Authenticate values (RFC 9110 11.6.1).
	Challenge []string
	// Header are further fields of the response, in canonical spelling, that a
	// client needs to go on, such as DPoP-Nonce (RFC 9449 8).
	Header http.Header
	// Params are facts that a dialect may name, such as "prefixes": the accepted
	// key prefixes, separated by spaces.
	Params map[string]string
	// Err is the cause. It is logged with a status of 500 or more, and never shown:
	// dialects don't see it.
	Err error
}

// Error implements error with the code and the cause. It is for logs.
func (e *Error) Error() string {
	if e == nil {
		return "<nil>"
	}
	if e.Err == nil {
		return e.Code
	}
	return e.Code + ": " + e.Err.Error()
}

// Unwrap returns the cause. A nil *Error in an error, which is easily returned
// by mistake, has none.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

var errNone = errors.New("refused without an error")

// refusal returns what to tell the client of err. Anything that is not an
// *Error with an error's status is a check that could not be made.
func refusal(err error) *Error {
	var e *Error
	switch found := errors.As(err, &e); {
	case err == nil || found && e == nil:
		err = errNone
	case found && e.Status >= 400 && e.Status <= 599:
		return e
	case found:
		err = fmt.Errorf("refused with status %d: %w", e.Status, err)
	}
	return &Error{
		Status:     http.StatusServiceUnavailable,
		Code:       CodeUnavailable,
		Message:    "The request could not be checked. Try again shortly.",
		RetryAfter: time.Second,
		Err:        err,
	}
}
