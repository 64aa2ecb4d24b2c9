package leak

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/strikeplate/strikeplate"
)

// The header fields of GitHub's reports.
const (
	identifierField = "Github-Public-Key-Identifier"
	signatureField  = "Github-Public-Key-Signature"
)

const (
	maxIdentifier = 256 // bytes
	maxSignature  = 72  // of an ASN.1 signature on P-256
)

// GitHub serves GitHub's secret scanning partner protocol: a POST of
//
//	[{"token": "…", "type": "mvo_live_api_key", "url": "https://…", "source": "content"}]
//
// with an ECDSA signature (P-256, SHA-256, ASN.1, base64) of the raw body in
// Github-Public-Key-Signature, by the key that Github-Public-Key-Identifier
// names. The reply tells which tokens were keys:
//
//	[{"token_hash": "…", "token_type": "mvo_live_api_key", "label": "true_positive"}]
//
// The program's documentation leaves open how token_hash is written; here it is
// the SHA-256 of the token in hexadecimal. Tokens that could not be judged in
// time are left out, and dealt with afterwards. Refusals, in the service's own
// dialect: 400, 401, 405, 413 and 415; and 503 where the sender should try
// again.
//
// Source: GitHub Docs, "Secret scanning partner program".
func (in *Intake) GitHub() http.Handler {
	return in.handler("github", in.signedByGitHub)
}

// signedByGitHub judges the header fields, and returns what judges the body.
func (in *Intake) signedByGitHub(r *http.Request) (func(body []byte) error, error) {
	id, ok := single(r, identifierField)
	if !ok || len(id) > maxIdentifier {
		return nil, unsigned("The header field " + identifierField + " is missing or malformed.")
	}
	text, ok := single(r, signatureField)
	if !ok {
		return nil, unsigned("The header field " + signatureField + " is missing or malformed.")
	}
	signature, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(signature) > maxSignature {
		return nil, unsigned("The header field " + signatureField + " is missing or malformed.")
	}
	key, err := in.signer.key(r.Context(), id)
	if errors.Is(err, errUnknownSigner) {
		return nil, unsigned("The report is signed by a key that its sender doesn't list.")
	}
	if err != nil {
		return nil, &strikeplate.Error{Status: http.StatusServiceUnavailable, Code: strikeplate.CodeUnavailable,
			Message: "The report's signature could not be verified. Try again later.", RetryAfter: keysInterval, Err: err}
	}
	return func(body []byte) error {
		digest := sha256.Sum256(body)
		if !ecdsa.VerifyASN1(key, digest[:], signature) {
			return unsigned("The signature is not one of this body.")
		}
		return nil
	}, nil
}

// single returns a header field that must be there once.
func single(r *http.Request, name string) (string, bool) {
	values := r.Header[name]
	if len(values) != 1 || values[0] == "" {
		return "", false
	}
	return values[0], true
}
