package keyauth

import (
	"net/http"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
)

// refusals are the answers that depend on the service's formats alone, made once.
type refusals struct {
	missing, invalid         *strikeplate.Error
	missingNoted, strange    *strikeplate.Error // as above, and not ours: another authenticator may know
	invalidBasic, strangeToo *strikeplate.Error
	busy                     *strikeplate.Error
}

const (
	realm      = `Bearer realm="api"`
	basicRealm = `Basic realm="api", charset="UTF-8"`
)

func newRefusals(s *Scheme) refusals {
	params := map[string]string{"prefixes": strings.Join(s.prefixes(), " ")}
	unauthorized := func(code, message string, cause error, basic bool) *strikeplate.Error {
		challenge := []string{realm}
		if code != strikeplate.CodeMissing {
			challenge[0] += invalidToken(message)
		}
		if basic && s.pairs {
			challenge = append(challenge, basicRealm)
		}
		return &strikeplate.Error{Status: http.StatusUnauthorized, Code: code, Message: message,
			Challenge: challenge, Params: params, Err: cause}
	}
	const missing = "No API key was sent. Send one in the Authorization header, as in 'Authorization: Bearer YOUR_KEY'."
	invalid := "Invalid API key. " + s.advice()
	r := refusals{
		invalid:      unauthorized(strikeplate.CodeInvalid, invalid, nil, false),
		invalidBasic: unauthorized(strikeplate.CodeInvalid, invalid, nil, true),
		missing:      unauthorized(strikeplate.CodeMissing, missing, strikeplate.ErrNotMine, false),
		missingNoted: unauthorized(strikeplate.CodeMissing, missing, strikeplate.ErrNotMine, true),
		strange:      unauthorized(strikeplate.CodeInvalid, invalid, strikeplate.ErrNotMine, false),
		strangeToo:   unauthorized(strikeplate.CodeInvalid, invalid, strikeplate.ErrNotMine, true),
	}
	r.busy = &strikeplate.Error{Status: http.StatusServiceUnavailable, Code: strikeplate.CodeUnavailable,
		Message:    "Too many new keys are being checked right now. Try again shortly.",
		RetryAfter: time.Second, Err: errBusy}
	return r
}

// advice tells how a key begins, since that is what people paste wrongly.
func (s *Scheme) advice() string {
	var begins []string
	for _, p := range s.prefixes() {
		begins = append(begins, "'"+p+"'")
	}
	if len(begins) == 0 {
		return "Ensure your key has the form CLIENT_KEY:CLIENT_SECRET and has not been revoked."
	}
	return "Ensure your key starts with " + strings.Join(begins, " or ") + " and has not been revoked."
}

// invalidToken is the rest of a challenge, as RFC 6750 3.1 wants it.
func invalidToken(description string) string {
	return `, error="invalid_token", error_description="` + quotable(description) + `"`
}

// quotable keeps the characters that RFC 6750 3 allows in error_description.
func quotable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, s)
}

// offersBasic says whether a Basic challenge helps the caller: clients that
// wait for one get it, browsers, which would pop up a dialog, don't.
func offersBasic(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Mode") == "" }

// stateRefusal is told only to who proved the secret.
func stateRefusal(status int, code, message, keyID string) *strikeplate.Error {
	e := &strikeplate.Error{Status: status, Code: code, Message: message, Credential: keyID}
	if status == http.StatusUnauthorized {
		e.Challenge = []string{realm + invalidToken(message)}
	}
	return e
}

func revoked(keyID string) *strikeplate.Error {
	return stateRefusal(http.StatusUnauthorized, strikeplate.CodeRevoked,
		"This API key has been revoked. Create a new one.", keyID)
}

func expired(keyID string) *strikeplate.Error {
	return stateRefusal(http.StatusUnauthorized, strikeplate.CodeExpired,
		"This API key has expired. Create a new one.", keyID)
}

func inactive(keyID string) *strikeplate.Error {
	return stateRefusal(http.StatusUnauthorized, strikeplate.CodeInactive,
		"The user this API key was issued to is deactivated. An administrator can reactivate the user or revoke the key.", keyID)
}

// lapsed and wrongAddress refuse a key that is good, so they say whose it is.
func lapsed(p *strikeplate.Principal) *strikeplate.Error {
	e := stateRefusal(http.StatusPaymentRequired, strikeplate.CodeLapsed,
		"An active subscription is required. Renew it, and this key works again.", p.Credential)
	e.Principal = p
	return e
}

func wrongAddress(p *strikeplate.Principal) *strikeplate.Error {
	e := stateRefusal(http.StatusForbidden, strikeplate.CodeAddress,
		"This API key may not be used from your address. An administrator can change its allowlist.", p.Credential)
	e.Principal = p
	return e
}

// unavailable is a check that could not be made; it says nothing against the key.
func unavailable(keyID string, cause error) *strikeplate.Error {
	return &strikeplate.Error{Status: http.StatusServiceUnavailable, Code: strikeplate.CodeUnavailable,
		Message:    "The API key could not be checked. Try again shortly.",
		RetryAfter: time.Second, Credential: keyID, Err: cause}
}

func tooManyFailures(keyID string, wait time.Duration) *strikeplate.Error {
	return &strikeplate.Error{Status: http.StatusTooManyRequests, Code: strikeplate.CodeFailures,
		Message:    "Too many wrong secrets were sent for this key from your address. Check the key, and try again later.",
		RetryAfter: wait, Credential: keyID}
}
