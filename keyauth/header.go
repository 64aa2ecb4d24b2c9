package keyauth

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
)

// Sources says where a request's key may stand besides the Authorization header.
type Sources struct {
	// XAPIKey also reads the X-API-Key header.
	XAPIKey bool
	// InsecureQuery names a query parameter to read as well. Keys in URLs end up
	// in logs, histories and Referer headers. Empty: none.
	InsecureQuery string
}

// found says what looking for a credential came to.
type found int

const (
	absent     found = iota // nothing was sent
	unreadable              // something was, but not exactly one credential of a known scheme
	bearer
	basic
	named // X-API-Key or the query
)

// scratch holds a text with room for the proof key in front, so that the digest
// of the whole needs no copy. It lives on the caller's stack.
type scratch struct {
	buffer [keyRoom + maxLength]byte
	length int
}

const keyRoom = 32

func (s *scratch) text() []byte { return s.buffer[keyRoom : keyRoom+s.length] }

func (s *scratch) set(text string) bool {
	if len(text) > maxLength {
		return false
	}
	s.length = copy(s.buffer[keyRoom:], text)
	return true
}

// find puts the request's only credential into s. Several are refused unless
// they are the same text: a proxy and a client that disagree about which one
// counts is how checks are bypassed.
func (a *Authenticator) find(r *http.Request, s *scratch) found {
	fields := r.Header["Authorization"]
	if a.read == (Sources{}) {
		return a.authorization(fields, s)
	}
	kind := a.authorization(fields, s)
	if a.read.XAPIKey {
		kind = also(kind, r.Header["X-Api-Key"], s)
	}
	if a.read.InsecureQuery != "" {
		kind = also(kind, r.URL.Query()[a.read.InsecureQuery], s)
	}
	return kind
}

// also adds another source's values to what was found so far.
func also(kind found, values []string, s *scratch) found {
	switch {
	case len(values) == 0 || kind == unreadable:
		return kind
	case len(values) > 1 || values[0] == "":
		return unreadable
	case kind == absent:
		if !s.set(values[0]) {
			return unreadable
		}
		return named
	case string(s.text()) == values[0]:
		return kind
	default:
		return unreadable
	}
}

// authorization reads "Bearer TEXT" and, where pairs are accepted, "Basic
// BASE64". Schemes are case-insensitive (RFC 9110 11.1).
func (a *Authenticator) authorization(fields []string, s *scratch) found {
	if len(fields) == 0 {
		return absent
	}
	if len(fields) > 1 {
		return unreadable
	}
	scheme, rest, ok := strings.Cut(fields[0], " ")
	if !ok {
		return unreadable
	}
	rest = strings.TrimLeft(rest, " ")
	switch {
	case rest == "":
		return unreadable
	case strings.EqualFold(scheme, "Bearer"):
		if !s.set(rest) {
			return unreadable
		}
		return bearer
	case a.scheme.pairs && strings.EqualFold(scheme, "Basic"):
		return s.setBasic(rest)
	default:
		return unreadable
	}
}

// setBasic decodes "id:secret" (RFC 7617) into the scratch space. It is strict:
// one text has one encoding, and it is a pair.
func (s *scratch) setBasic(encoded string) found {
	encoding := base64.StdEncoding.Strict()
	if base64.StdEncoding.DecodedLen(len(encoded)) > maxLength || strings.ContainsAny(encoded, "\r\n") {
		return unreadable
	}
	n, err := encoding.Decode(s.buffer[keyRoom:], []byte(encoded))
	if err != nil {
		return unreadable
	}
	s.length = n
	if bytes.IndexByte(s.text(), ':') < 0 {
		return unreadable
	}
	return basic
}
