package authserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// The error codes of the protocol that this server answers with.
const (
	CodeRequest       = "invalid_request"           // RFC 6749 4.1.2.1, 5.2
	CodeClient        = "invalid_client"            // 5.2: 401
	CodeGrant         = "invalid_grant"             // 5.2
	CodeUnauthorized  = "unauthorized_client"       // 5.2: the app may not do this
	CodeGrantType     = "unsupported_grant_type"    // 5.2
	CodeResponseType  = "unsupported_response_type" // 4.1.2.1
	CodeScope         = "invalid_scope"             // 5.2
	CodeDenied        = "access_denied"             // 4.1.2.1
	CodeTarget        = "invalid_target"            // RFC 8707 2
	CodeLogin         = "login_required"            // OpenID Connect 3.1.2.6
	CodeConsent       = "consent_required"          // OpenID Connect 3.1.2.6
	CodeRequestObject = "request_not_supported"     // OpenID Connect 3.1.2.6
	CodeRequestURI    = "request_uri_not_supported" // OpenID Connect 3.1.2.6
	CodePushed        = "invalid_request_uri"       // RFC 9126 2.3: unknown, used or expired
	CodeProof         = "invalid_dpop_proof"        // RFC 9449 5
	CodeNonce         = "use_dpop_nonce"            // RFC 9449 8
	CodeRedirectURI   = "invalid_redirect_uri"      // RFC 7591 3.2.2
	CodeMetadata      = "invalid_client_metadata"   // RFC 7591 3.2.2
	CodeSlow          = "slow_down"                 // 429: too many failures, or too many requests
)

// The codes that [Server]'s methods for people add.
const (
	CodeAppNotFound = "app_not_found"     // 404
	CodeConflict    = "conflict"          // 409: the app was changed meanwhile
	CodeRevokedApp  = "revoked_app"       // 409
	CodeAppLimit    = "app_limit_reached" // 409: storage.MaxApps
	CodeUnknown     = "outcome_unknown"   // 503: the change was made, or it wasn't
	CodeBlocked     = "blocked_app"       // 403: an administrator keeps the app out
	CodeSignedOut   = "sign_in_required"  // 401
	CodeCrossOrigin = "cross_origin"      // 403: another site's page sent the form
)

func refuse(status int, code, format string, args ...any) *strikeplate.Error {
	return &strikeplate.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// bad is what a client did wrong.
func bad(code, format string, args ...any) *strikeplate.Error {
	return refuse(http.StatusBadRequest, code, format, args...)
}

// unsure says that something could not be checked.
func unsure(doing string, err error) error { return fmt.Errorf("authserver: %s: %w", doing, err) }

// refusalOf returns the refusal that err is, or nil.
func refusalOf(err error) *strikeplate.Error {
	var e *strikeplate.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// protocol is the dialect of the endpoints that programs call (RFC 6749 5.2).
func protocol(h http.Header, e *strikeplate.Error, _ string) []byte {
	h.Set("Content-Type", "application/json")
	h.Set("Pragma", "no-cache")
	body, err := json.Marshal(map[string]string{"error": e.Code, "error_description": describable(e.Message)})
	if err != nil {
		return nil // two texts can always be marshalled
	}
	return body
}

// describable keeps to the characters that a description may have (RFC 6749 5.2).
func describable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return '?'
		}
		return r
	}, text)
}

// granted turns what the store says of a code, token or grant into a refusal.
func granted(err error, what string) error {
	var e *strikeplate.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrNotFound):
		e = bad(CodeGrant, "The %s is unknown.", what)
	case errors.Is(err, storage.ErrReused):
		e = bad(CodeGrant, "The %s was used before, so everything that it led to is revoked. Ask the user again.", what)
	case errors.Is(err, storage.ErrExpired):
		e = bad(CodeGrant, "The %s has expired. Ask the user again.", what)
	case errors.Is(err, storage.ErrRevoked):
		e = bad(CodeGrant, "What the user granted, or the app, is revoked.")
	case errors.Is(err, storage.ErrBlocked):
		e = bad(CodeGrant, "An administrator keeps the app out of the organisation.")
	default:
		return unsure("using the "+what, err)
	}
	e.Err = err
	return e
}

// unknown is told where nobody knows whether a change was made.
func unknown(err error) error {
	return &strikeplate.Error{
		Status: http.StatusServiceUnavailable, Code: CodeUnknown, RetryAfter: time.Second,
		Message: "It is not known whether the change was made. Look again before you try again.",
		Err:     unsure("commit", err),
	}
}
