package authserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"github.com/strikeplate/strikeplate/storage"
)

// answers says that a verifier is the one that was challenged with (RFC 7636 4.6).
func answers(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(encode(sum[:])), []byte(challenge)) == 1
}

// bind finds what the request's tokens are to be bound to.
func (s *Server) bind(http.ResponseWriter, *http.Request, storage.App) (binding, error) {
	return binding{}, nil
}
