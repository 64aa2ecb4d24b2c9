package authserver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/storage"
)

// answers says that a verifier is the one that was challenged with (RFC 7636 4.6).
func answers(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(encode(sum[:])), []byte(challenge)) == 1
}

// prover checks what tokens can be bound to.
type prover struct {
	dpop         *oauth.DPoP // nil: tokens aren't bound to keys
	certificates func(*http.Request) string
}

func (s *Server) newProver() (p prover, err error) {
	if p.certificates, err = s.c.Tokens.Certificates.Thumbprints(); err != nil || s.c.Tokens.DPoP == nil {
		return p, err
	}
	c := *s.c.Tokens.DPoP
	if c.URL == "" {
		c.URL, c.InsecureHTTP = s.origin, true // settleIssuer allows http on loopback only
	}
	if c.Now == nil {
		c.Now = s.c.Now
	}
	if c.Replays == nil {
		c.Replays = storedProofs{s.c.Store, s.now}
	}
	p.dpop, err = oauth.NewDPoP(c)
	return p, err
}

// storedProofs notes used proofs in the store, which a fleet shares (THREATS 27).
type storedProofs struct {
	store storage.Grants
	now   func() time.Time
}

// Use implements [oauth.Replays].
func (p storedProofs) Use(ctx context.Context, thumbprint, id string, until time.Time) (bool, error) {
	return p.store.UseOnce(ctx, digest("dpop\x00"+thumbprint+"\x00"+id), p.now(), until)
}

// bind finds what the tokens of a request are to be bound to: the key of a DPoP
// proof (RFC 9449 5), the certificate of the connection (RFC 8705 3), or nothing.
func (s *Server) bind(r *http.Request) (b binding, err error) {
	b.certificate = s.prover.certificates(r)
	if s.prover.dpop == nil || len(r.Header["Dpop"]) == 0 {
		return b, nil
	}
	b.thumbprint, err = s.prover.dpop.Check(r, "")
	var wrong *oauth.ProofError
	switch {
	case errors.As(err, &wrong):
		e := bad(wrong.Code, "%s", wrong.Description)
		if wrong.Nonce != "" {
			e.Header = http.Header{"Dpop-Nonce": {wrong.Nonce}}
		}
		return b, e
	case err != nil && refusalOf(err) == nil:
		return b, unsure("checking a proof", err)
	}
	return b, err
}
