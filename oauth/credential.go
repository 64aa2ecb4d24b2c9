package oauth

import (
	"crypto/x509"
	"net/http"
	"strings"
)

// maxToken bounds a token's text, in bytes.
const maxToken = 16 << 10

// credential is a token and how it came. It is read where a binding is checked.
type credential struct {
	token   string
	scheme  scheme
	request *http.Request     // nil: it came otherwise than by HTTP
	peer    *x509.Certificate // of the TLS peer, where there is no request
}

// found says what looking for a token came to.
type found int

const (
	absent     found = iota // nothing was sent
	unreadable              // something was, but not exactly one token of a scheme that is accepted
	readable
)

// find reads the request's only token. It looks in the Authorization header
// alone: tokens in a URL or a form end up in logs (RFC 9700 4.3.2).
func (r *Resource) find(req *http.Request) (credential, found) {
	fields := req.Header["Authorization"]
	if len(fields) == 0 {
		return credential{}, absent
	}
	c := credential{request: req}
	name, token, ok := strings.Cut(fields[0], " ")
	switch {
	case len(fields) > 1 || !ok:
		return c, unreadable
	case strings.EqualFold(name, "Bearer"):
		c.scheme = bearerScheme
	case strings.EqualFold(name, "DPoP") && r.config.DPoP != nil:
		c.scheme = dpopScheme
	default:
		return c, unreadable
	}
	c.token = strings.TrimLeft(token, " ")
	if c.token == "" || len(c.token) > maxToken {
		return c, unreadable
	}
	return c, readable
}

// isToken68 is RFC 6750 2.1's b64token.
func isToken68(text string) bool {
	body := strings.TrimRight(text, "=")
	for _, c := range []byte(body) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return body != ""
}
