package oauth

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
)

// The codes of refusals that tokens have besides those of package strikeplate.
// The first is also the error of the challenge (RFC 6750 3.1); a client that
// gets it asks for a new token.
const (
	CodeToken  = "invalid_token"                    // 401: malformed, forged, ended, revoked, or for somebody else
	CodeProof  = "invalid_dpop_proof"               // 401: RFC 9449 7.1
	CodeNonce  = "use_dpop_nonce"                   // 401: try again with the nonce in DPoP-Nonce, RFC 9449 8
	CodeStepUp = "insufficient_user_authentication" // 401: the user must sign in anew, or better, RFC 9470 3
)

// scheme is how a token was presented.
type scheme int

const (
	anyScheme scheme = iota // in no way
	bearerScheme
	dpopScheme
)

func (s scheme) String() string { return [...]string{"", "Bearer", "DPoP"}[s] }

// invalid is what is wrong with a token, in words for whoever presents it: they
// hold nothing that isn't in the token. Anything else that goes wrong is a check
// that could not be made.
type invalid string

func (i invalid) Error() string { return string(i) }

// challenges offers what the resource accepts. The error goes to the scheme that
// was used. None was sent: no error (RFC 6750 3.1).
func (r *Resource) challenges(used scheme, code, description string, more ...string) []string {
	var all []string
	for _, s := range [...]scheme{bearerScheme, dpopScheme} {
		if s == bearerScheme && r.dpopOnly() || s == dpopScheme && r.config.DPoP == nil {
			continue
		}
		params := []string{`realm="api"`}
		if code != "" && (s == used || used == bearerScheme && r.dpopOnly() || used == dpopScheme && r.config.DPoP == nil) {
			params = append(params, `error="`+code+`"`, `error_description="`+quotable(description)+`"`)
			params = append(params, more...)
		}
		if ask := r.config.Metadata.Ask; len(ask) > 0 {
			params = append(params, `scope="`+strings.Join(ask, " ")+`"`)
		}
		if s == dpopScheme {
			params = append(params, `algs="`+strings.Join(r.config.DPoP.algorithms.names(), " ")+`"`)
		}
		params = append(params, `resource_metadata="`+r.metadataURL+`"`)
		all = append(all, s.String()+" "+strings.Join(params, ", "))
	}
	return all
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

// isScopeToken is RFC 6749 3.3's scope-token.
func isScopeToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// missing answers a request that sent nothing.
func (r *Resource) missing() *strikeplate.Error {
	return &strikeplate.Error{Status: http.StatusUnauthorized, Code: strikeplate.CodeMissing,
		Message:   "No access token was sent. Send one in the Authorization header, as in 'Authorization: Bearer YOUR_TOKEN'.",
		Challenge: r.offers, Err: strikeplate.ErrNotMine}
}

// strange answers what is no token of this authenticator's kind.
func (r *Resource) strange(used scheme) *strikeplate.Error {
	const message = "The credential in the Authorization header is no access token that is accepted here."
	return &strikeplate.Error{Status: http.StatusUnauthorized, Code: CodeToken, Message: message,
		Challenge: r.challenges(used, CodeToken, message), Err: strikeplate.ErrNotMine}
}

// refuse says what is wrong with a token, or that it could not be checked.
func (r *Resource) refuse(used scheme, err error) *strikeplate.Error {
	var refusal *strikeplate.Error
	var wrong invalid
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &wrong):
		return r.unauthorized(used, CodeToken, string(wrong))
	default:
		return unavailable(err)
	}
}

func (r *Resource) unauthorized(used scheme, code, message string, more ...string) *strikeplate.Error {
	r.counts.refused.Add(1)
	challenge := code
	if code == strikeplate.CodeInactive {
		challenge = CodeToken // RFC 6750 knows no other word for it
	}
	return &strikeplate.Error{Status: http.StatusUnauthorized, Code: code, Message: message,
		Challenge: r.challenges(used, challenge, message, more...)}
}

// unavailable is a check that could not be made; it says nothing against the token.
func unavailable(cause error) *strikeplate.Error {
	return &strikeplate.Error{Status: http.StatusServiceUnavailable, Code: strikeplate.CodeUnavailable,
		Message: "The access token could not be checked. Try again shortly.", RetryAfter: time.Second, Err: cause}
}

func lapsed(p *strikeplate.Principal) *strikeplate.Error {
	return &strikeplate.Error{Status: http.StatusPaymentRequired, Code: strikeplate.CodeLapsed, Credential: p.Credential, Principal: p,
		Message: "An active subscription is required. Renew it, and this token works again."}
}
