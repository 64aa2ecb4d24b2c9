package oauth

import (
	"github.com/go-jose/go-jose/v4/json"
)

// binding is the key that a token is bound to (RFC 7800 cnf): with it a stolen
// token is of no use. Each part is a SHA-256, base64url, or empty.
type binding struct {
	thumbprint  string // of a DPoP key (RFC 9449 6.1)
	certificate string // of a TLS certificate (RFC 8705 3.1)
	unknown     bool   // in a way that isn't understood, so it can't be checked
}

func (b binding) bound() bool { return b != binding{} }

// parseBinding reads a cnf claim. A member that isn't known is a condition that
// can't be checked.
func parseBinding(raw json.RawMessage) (binding, error) {
	if raw == nil {
		return binding{}, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return binding{}, errNotClaims
	}
	b := binding{unknown: len(members) == 0}
	for name, value := range members {
		var text string
		switch {
		case name != "jkt" && name != "x5t#S256":
			b.unknown = true
			continue
		case json.Unmarshal(value, &text) != nil || !isThumbprint(text):
			return binding{}, errNotClaims
		case name == "jkt":
			b.thumbprint = text
		default:
			b.certificate = text
		}
	}
	return b, nil
}

// isThumbprint says that text is a SHA-256 in base64url.
func isThumbprint(text string) bool {
	sum, err := decodeStrict(text)
	return err == nil && len(sum) == 32
}

const (
	errUnknownBinding = invalid("The access token is bound in a way that is not supported here.")
	errUnbound        = invalid("The access token must be bound to a key: bearer tokens are not accepted here.")
	errNotDPoPBound   = invalid("The access token is not bound to a DPoP key. Send it as a bearer token.")
	errDPoPBound      = invalid("The access token is bound to a DPoP key. Send it with the DPoP scheme and a proof.")
	errNoCertificate  = invalid("The access token is bound to a client certificate, and another or none was presented.")
)

// bound checks that the token's presenter holds what it is bound to.
func (r *Resource) bound(e *entry, c *credential) error {
	b := &e.binding
	switch {
	case !b.bound() && !r.config.RequireBound && c.scheme == bearerScheme:
		return nil
	case b.unknown:
		return errUnknownBinding
	case !b.bound() && r.config.RequireBound:
		return errUnbound
	case c.scheme == dpopScheme && b.thumbprint == "":
		return errNotDPoPBound
	case c.scheme == bearerScheme && b.thumbprint != "":
		return errDPoPBound
	}
	if b.certificate != "" && !r.config.Certificates.match(c, b.certificate) {
		return errNoCertificate
	}
	if b.thumbprint == "" {
		return nil
	}
	return r.proven(c, b.thumbprint)
}
