package authserver

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// ticket is an authorization request that a person's browser carries, encrypted,
// while they sign in or decide. So nothing is stored for strangers, and a request
// that was pushed stays as unknown and unchanged as it was.
type ticket struct {
	Form string `json:"f"`
	// After is when the person must have proved who they are at the earliest, in
	// Unix seconds; 0: it doesn't matter.
	After   int64 `json:"a,omitempty"`
	Expires int64 `json:"e"`
	// Shown are the scopes that the person was asked about.
	Shown []string `json:"s,omitempty"`
	// Pushed says that the app pushed the request.
	Pushed bool `json:"p,omitempty"`
}

// What tickets are for; one doesn't pass for the other.
const (
	toResume  = "resume"
	toConsent = "consent"
)

const maxTicket = 24 << 10

// newSealer makes the cipher of tickets.
func newSealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts a ticket for a use and whom it is for.
func (s *Server) seal(t ticket, use, whom string) (string, error) {
	t.Expires = s.now().Add(asking).Unix()
	text, err := json.Marshal(t)
	if err != nil {
		return "", unsure("sealing a request", err)
	}
	return encode(s.sealers[0].Seal(nil, nil, text, []byte(use+"\x00"+whom))), nil //nolint:gosec // the nonce is random, as newSealer has it
}

// open returns what seal sealed for the same use and person, while it counts.
func (s *Server) open(text, use, whom string) (t ticket, ok bool) {
	if len(text) > maxTicket {
		return t, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return t, false
	}
	for _, sealer := range s.sealers {
		content, err := sealer.Open(nil, nil, sealed, []byte(use+"\x00"+whom))
		if err == nil {
			return t, json.Unmarshal(content, &t) == nil && s.now().Unix() < t.Expires
		}
	}
	return t, false
}

// signIn names a person's sign-in, so that a form that was shown to one counts for
// no other.
func signIn(a storage.Actor, at time.Time) string {
	text, err := json.Marshal([]any{a.Organisation, a.User, at.UnixNano()})
	if err != nil {
		return random() // texts can always be marshalled; nothing is bound to this
	}
	return string(text)
}
