package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
)

// Thumbprints checks c, and returns a function that tells which certificate the
// client of a request presented: its SHA-256, base64url (RFC 8705 3.1), or "" for
// none. Authorization servers bind tokens with it.
func (c Certificates) Thumbprints() (func(*http.Request) string, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return func(r *http.Request) string {
		der := c.find(&credential{request: r})
		if der == nil {
			return ""
		}
		sum := sha256.Sum256(der)
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}, nil
}

// Algorithms are the names of those that clients may sign proofs with, for an
// authorization server's metadata (RFC 9449 5.1).
func (d *DPoP) Algorithms() []string { return slices.Clone(d.config.Algorithms) }
