package authserver

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// What comes after the prefix tells what a text is.
const (
	accessText  = "at_"
	refreshText = "rt_"
	codeText    = "ac_"
	secretText  = "cs_"
	proofSize   = 43 // 256 bits in base64url
)

func digest(text string) [32]byte { return sha256.Sum256([]byte(text)) }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func random() string {
	var b [32]byte
	rand.Read(b[:])
	return encode(b[:])
}

// mint makes a text of a kind.
func (s *Server) mint(kind string) string { return s.c.Tokens.Prefix + kind + random() }

// isOurs says that a text is one that mint could have made, so that nobody looks
// for what can't be there.
func (s *Server) isOurs(text, kind string) bool {
	rest, ok := strings.CutPrefix(text, s.c.Tokens.Prefix+kind)
	return ok && isDigest(rest)
}

// isDigest says that text is 256 bits in base64url, in their one spelling.
func isDigest(text string) bool {
	if len(text) != proofSize || strings.ContainsAny(text, "\r\n") {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil
}

// keys are what one of Tokens.Keys is used for, each use with a key of its own.
type keys struct{ deriving, sealing []byte }

func newKeys(secret []byte) (k keys, err error) {
	if k.deriving, err = hkdf.Key(sha256.New, secret, nil, "strikeplate authserver: successors of refresh tokens", 32); err != nil {
		return k, err
	}
	k.sealing, err = hkdf.Key(sha256.New, secret, nil, "strikeplate authserver: requests that people are asked about", 32)
	return k, err
}

// derive makes the text that takes an old refresh token's place. Without the key
// it is as unknown as a random one.
func (s *Server) derive(k keys, kind, old string) string {
	h := hmac.New(sha256.New, k.deriving)
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write([]byte(old))
	return s.c.Tokens.Prefix + kind + encode(h.Sum(nil))
}

// successors are the texts for a refresh token's place. Where it was exchanged
// already, under another key, they are what was given then.
func (s *Server) successors(old string, t storage.Token) (access, refresh string) {
	for _, k := range s.keys {
		refresh := s.derive(k, refreshText, old)
		if t.Rotated.IsZero() || digest(refresh) == t.Successor {
			return s.derive(k, accessText, old), refresh
		}
	}
	return s.derive(s.keys[0], accessText, old), s.derive(s.keys[0], refreshText, old)
}

// binding is what a token is tied to: a key, a certificate, or neither.
type binding struct{ thumbprint, certificate string }

// access is the record of an access token with the text.
func (s *Server) access(text string, g storage.Grant, scopes, resources []string, b binding, now time.Time) storage.Token {
	return storage.Token{
		Hash: digest(text), Kind: storage.AccessToken, Grant: g.ID, Scopes: scopes, Resources: resources,
		Thumbprint: b.thumbprint, Certificate: b.certificate,
		Created: now, Expires: earlier(now.Add(s.c.Tokens.Access), g.Expires),
	}
}

// refresh is the record of a refresh token with the text.
func (s *Server) refresh(text string, g storage.Grant, scopes, resources []string, b binding, now time.Time) storage.Token {
	return storage.Token{
		Hash: digest(text), Kind: storage.RefreshToken, Grant: g.ID, Scopes: scopes, Resources: resources,
		Thumbprint: b.thumbprint, Certificate: b.certificate,
		Created: now, Expires: earlier(now.Add(s.c.Tokens.Refresh), g.Expires),
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
