package manage

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// Codes of the refusals that this package adds to those of package strikeplate.
const (
	CodeRequest      = "invalid_request"        // 400: Params["field"] is missing or wrong
	CodeForbidden    = "forbidden"              // 403: the actor may not do this
	CodePlan         = "plan_required"          // 403: the plan lacks the feature of Params["field"]
	CodeSignIn       = "fresh_sign_in_required" // 403: sign in again, then repeat
	CodeNotFound     = "key_not_found"          // 404: no such key in the actor's organisation
	CodeLimit        = "key_limit_reached"      // 409: revoke a key first
	CodeConflict     = "conflict"               // 409: the key changed meanwhile
	CodeLegacy       = "legacy_key"             // 409: legacy keys can only be viewed and revoked
	CodeRotated      = "already_rotated"        // 409: Params["successor"] took the key's place
	CodeNoSecret     = "secret_not_kept"        // 409: there is nothing to reveal
	CodeUnknown      = "outcome_unknown"        // 503: the change was made, or it wasn't
	maxNamedUnknowns = 10                       // in a message
)

func refuse(status int, code, format string, args ...any) *strikeplate.Error {
	return &strikeplate.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// invalid says what is wrong with a field.
func invalid(field, format string, args ...any) *strikeplate.Error {
	e := refuse(http.StatusBadRequest, CodeRequest, field+": "+format+".", args...)
	e.Params = map[string]string{"field": field}
	return e
}

func forbidden(format string, args ...any) *strikeplate.Error {
	return refuse(http.StatusForbidden, CodeForbidden, format, args...)
}

func notFound() *strikeplate.Error {
	return refuse(http.StatusNotFound, CodeNotFound, "There is no such API key in your organisation.")
}

func conflict() *strikeplate.Error {
	return refuse(http.StatusConflict, CodeConflict, "The key was changed by somebody else meanwhile. Look at it again.")
}

func revoked() *strikeplate.Error {
	return refuse(http.StatusConflict, strikeplate.CodeRevoked, "The key is revoked, and revoked keys never change. Create a new key.")
}

func expired(doing string) *strikeplate.Error {
	return refuse(http.StatusConflict, strikeplate.CodeExpired, "The key has expired and can't be %s. Create a new key.", doing)
}

func legacy() *strikeplate.Error {
	return refuse(http.StatusConflict, CodeLegacy,
		"Legacy keys can only be viewed and revoked. Create a new key, put it to use, then revoke this one.")
}

// told turns a store's sentinels into what to tell the actor.
func told(err error, doing string) error {
	var e *strikeplate.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrNotFound):
		e = notFound()
	case errors.Is(err, storage.ErrConflict):
		e = conflict()
	case errors.Is(err, storage.ErrRevoked):
		e = revoked()
	default:
		return fmt.Errorf("manage: %s: %w", doing, err)
	}
	e.Err = err
	return e
}

// unknown is told where nobody knows whether a change was made.
func unknown(err error) error {
	return &strikeplate.Error{
		Status: http.StatusServiceUnavailable, Code: CodeUnknown, RetryAfter: time.Second,
		Message: "It is not known whether the change was made. Look at your keys before you try again.",
		Err:     fmt.Errorf("manage: commit: %w", err),
	}
}

// quoted lists texts that came from outside, cut to a readable number.
func quoted(texts []string) string {
	var b strings.Builder
	for i, text := range texts {
		if i == maxNamedUnknowns {
			fmt.Fprintf(&b, " and %d more", len(texts)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q", text)
	}
	return b.String()
}
