package oauth

import (
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// proof is a DPoP proof whose signature was checked.
type proof struct {
	thumbprint         string
	id, method, target string
	issued             time.Time
	tokenHash, nonce   string
}

const (
	maxProof   = 8 << 10
	maxProofID = 256
)

// parse reads the only proof of a request and checks its signature, by the key
// that it brings (RFC 9449 4.2, 4.3).
func (d *DPoP) parse(fields []string) (*proof, error) {
	switch {
	case len(fields) == 0:
		return nil, wrongProof("There is no proof in the field DPoP.")
	case len(fields) > 1:
		return nil, wrongProof("There is more than one proof.")
	case len(fields[0]) > maxProof || !looksCompact(fields[0]):
		return nil, wrongProof("The proof is not a JWT.")
	}
	c, err := parseCompact(fields[0])
	if err != nil {
		return nil, wrongProof("The proof is not a well-formed JWT.")
	}
	a := d.algorithms.find(c.header.Algorithm)
	switch {
	case !strings.EqualFold(c.header.Type, "dpop+jwt"):
		return nil, wrongProof("The proof's typ is not dpop+jwt.")
	case a == nil:
		return nil, wrongProof("The proof's alg is not accepted here.")
	}
	key := parseProofKey(c.header.JWK)
	if key == nil || !a.fits(key.Key) {
		return nil, wrongProof("The proof's jwk is not a public key for its alg.")
	}
	if a.verify(key.Key, c.signed, c.signature) != nil {
		return nil, wrongProof("The proof's signature is wrong.")
	}
	p, err := parseProofClaims(c.payload)
	if err != nil {
		return nil, err
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, wrongProof("The proof's jwk has no thumbprint.")
	}
	p.thumbprint = base64.RawURLEncoding.EncodeToString(sum)
	return p, nil
}

// parseProofKey returns nil for anything but an acceptable public key. RSA keys are
// held to 4096 bits: whoever presents the proof chose the key, and we do the work.
func parseProofKey(raw json.RawMessage) *jose.JSONWebKey {
	var members struct {
		Private json.RawMessage `json:"d"`
		Chain   json.RawMessage `json:"x5c"`
		Modulus string          `json:"n"`
	}
	if raw == nil || json.Unmarshal(raw, &members) != nil || members.Private != nil || members.Chain != nil || len(members.Modulus) > 684 {
		return nil
	}
	var key jose.JSONWebKey
	if json.Unmarshal(raw, &key) != nil || usable(key.Key) == nil {
		return nil
	}
	return &key
}

func parseProofClaims(raw []byte) (*proof, error) {
	var w struct {
		ID        string       `json:"jti"`
		Method    string       `json:"htm"`
		Target    string       `json:"htu"`
		Issued    *numericDate `json:"iat"`
		TokenHash string       `json:"ath"`
		Nonce     string       `json:"nonce"`
	}
	if json.Unmarshal(raw, &w) != nil || !isObject(raw) {
		return nil, wrongProof("The proof's claims are malformed.")
	}
	if w.ID == "" || len(w.ID) > maxProofID || w.Method == "" || w.Target == "" || w.Issued == nil {
		return nil, wrongProof("The proof needs jti, htm, htu and iat.")
	}
	return &proof{id: w.ID, method: w.Method, target: w.Target, issued: w.Issued.time(), tokenHash: w.TokenHash, nonce: w.Nonce}, nil
}

// isFor reports whether the proof was made for the access token.
func (p *proof) isFor(accessToken string) bool {
	sum := sha256.Sum256([]byte(accessToken))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(p.tokenHash)) == 1
}
