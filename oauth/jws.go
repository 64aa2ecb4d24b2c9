package oauth

import (
	"encoding/base64"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

// Why there is one parser here and not a library's behind a strict front end: two
// parsers of one text can disagree, and what the second one allows is then what
// counts. What follows parses once; the signature is checked over the very bytes
// that were parsed. The tests hold it against go-jose: whatever is accepted here
// is accepted there, with the same claims.

// compact is a JWS in compact serialisation (RFC 7515 7.1), not verified yet.
type compact struct {
	header    jwsHeader
	payload   []byte
	signature []byte
	signed    string // what the signature is over
}

// jwsHeader holds the parameters that count. Others are ignored: jku, x5u, x5c and,
// but for DPoP proofs, jwk would let a token bring its own key (RFC 8725 3.10).
type jwsHeader struct {
	Algorithm string          `json:"alg"`
	KeyID     *string         `json:"kid"`
	Type      string          `json:"typ"`
	Critical  json.RawMessage `json:"crit"`
	JWK       json.RawMessage `json:"jwk"`
}

const (
	errNotCompact = invalid("The access token is not a well-formed JWT.")
	errCritical   = invalid("The access token has critical header parameters that are not understood.")
)

// looksCompact reports whether a text has three parts of which the first can be a
// JSON object.
func looksCompact(text string) bool {
	return strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2
}

// parseCompact takes a JWS apart. Each part has exactly one encoding: no padding,
// no stray character, no stray bit at the end. JSON names count in exact case, and
// once.
func parseCompact(text string) (*compact, error) {
	first := strings.IndexByte(text, '.')
	last := strings.LastIndexByte(text, '.')
	if first < 0 || first == last {
		return nil, errNotCompact
	}
	c := &compact{signed: text[:last]}
	header, err1 := decodeStrict(text[:first])
	payload, err2 := decodeStrict(text[first+1 : last])
	signature, err3 := decodeStrict(text[last+1:])
	if err1 != nil || err2 != nil || err3 != nil {
		return nil, errNotCompact
	}
	c.payload, c.signature = payload, signature
	if header[0] != '{' || json.Unmarshal(header, &c.header) != nil {
		return nil, errNotCompact
	}
	if c.header.Critical != nil { // RFC 7515 4.1.11: none is understood here
		return nil, errCritical
	}
	return c, nil
}

var strict = base64.RawURLEncoding.Strict()

// decodeStrict decodes base64url. Go's decoder skips line breaks, so they are
// looked for first.
func decodeStrict(text string) ([]byte, error) {
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return nil, errNotCompact
	}
	return strict.DecodeString(text)
}
