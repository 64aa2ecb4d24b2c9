package oauth

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// Claims are what a token, or the introspection endpoint, says.
type Claims struct {
	Issuer, Subject, ClientID string
	// ID is the token's own (jti), or empty.
	ID       string
	Audience []string
	Scopes   []string
	// Organisation is the claim org_id, or empty.
	Organisation             string
	Expires, IssuedAt        time.Time
	notBefore, authenticated time.Time
	acr, email               string
	binding                  binding
	raw                      []byte
}

// Decode reads further claims into a struct or map, as [json.Unmarshal] does, but
// with names in exact case: encoding/json would take "ORG" for "org".
func (c Claims) Decode(into any) error { return json.Unmarshal(c.raw, into) }

// wireClaims is how claims are written (RFC 7519 4.1, RFC 9068 2.2, RFC 7662 2.2).
type wireClaims struct {
	Issuer        string          `json:"iss"`
	Subject       string          `json:"sub"`
	Audience      textList        `json:"aud"`
	Expires       *numericDate    `json:"exp"`
	NotBefore     *numericDate    `json:"nbf"`
	IssuedAt      *numericDate    `json:"iat"`
	ID            string          `json:"jti"`
	ClientID      string          `json:"client_id"`
	Authorized    string          `json:"azp"` // what OpenID calls the client
	Scope         scopeList       `json:"scope"`
	ScopeShort    scopeList       `json:"scp"` // Microsoft's and Okta's name for it
	Organisation  string          `json:"org_id"`
	ACR           string          `json:"acr"`
	Authenticated *numericDate    `json:"auth_time"`
	Email         string          `json:"email"`
	Confirmation  json.RawMessage `json:"cnf"`
	Active        *bool           `json:"active"` // introspection only
	TokenType     string          `json:"token_type"`
}

var (
	errNotClaims = errors.New("the claims are not the JSON object that RFC 7519 describes")
	errLongName  = errors.New("a name in the claims is too long or holds control characters")
)

// maxName bounds what ends up in a Principal and in logs.
const maxName = 512

// parseClaims reads a JSON object of claims. It judges none of them.
func parseClaims(raw []byte) (*Claims, *wireClaims, error) {
	var w wireClaims
	if err := json.Unmarshal(raw, &w); err != nil || !isObject(raw) {
		return nil, nil, errNotClaims
	}
	c := &Claims{Issuer: w.Issuer, Subject: w.Subject, ClientID: w.ClientID, ID: w.ID, Audience: w.Audience,
		Scopes: w.Scope, Organisation: w.Organisation, Expires: w.Expires.time(), IssuedAt: w.IssuedAt.time(),
		notBefore: w.NotBefore.time(), authenticated: w.Authenticated.time(), acr: w.ACR, email: w.Email, raw: raw}
	if c.ClientID == "" {
		c.ClientID = w.Authorized
	}
	if c.Scopes == nil {
		c.Scopes = w.ScopeShort
	}
	for _, name := range []string{w.Subject, c.ClientID, w.Organisation, w.ACR} {
		if !isPlainName(name) {
			return nil, nil, errLongName
		}
	}
	var err error
	c.binding, err = parseBinding(w.Confirmation)
	return c, &w, err
}

func isObject(raw []byte) bool {
	return strings.HasPrefix(strings.TrimLeft(string(raw[:min(len(raw), 64)]), " \t\r\n"), "{")
}

func isPlainName(name string) bool {
	if len(name) > maxName {
		return false
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return false
		}
	}
	return true
}

// numericDate is seconds since 1970 (RFC 7519 2), kept to the range in which a
// time makes sense.
type numericDate float64

// UnmarshalJSON refuses what is not a number of this or the next centuries.
func (n *numericDate) UnmarshalJSON(raw []byte) error {
	var seconds float64
	if string(raw) == "null" {
		return errNotClaims
	}
	if err := json.Unmarshal(raw, &seconds); err != nil || !(seconds >= 0 && seconds < 1<<36) {
		return errNotClaims
	}
	*n = numericDate(seconds)
	return nil
}

func (n *numericDate) time() time.Time {
	if n == nil {
		return time.Time{}
	}
	whole, part := math.Modf(float64(*n))
	return time.Unix(int64(whole), int64(part*1e9))
}

// textList is one text or several (RFC 7519 4.1.3).
type textList []string

// UnmarshalJSON accepts a string or an array of strings.
func (l *textList) UnmarshalJSON(raw []byte) error {
	if raw[0] == '"' {
		*l = make(textList, 1)
		return json.Unmarshal(raw, &(*l)[0])
	}
	return json.Unmarshal(raw, (*[]string)(l))
}

// scopeList is a space-separated text (RFC 6749 3.3), or an array as some write.
type scopeList []string

// UnmarshalJSON accepts a string or an array of strings.
func (l *scopeList) UnmarshalJSON(raw []byte) error {
	if raw[0] != '"' {
		return json.Unmarshal(raw, (*[]string)(l))
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	*l = strings.Fields(text)
	return nil
}
