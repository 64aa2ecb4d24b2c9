package authserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/strikeplate/strikeplate/storage"
)

// Signing makes access tokens JWTs (RFC 9068). The store knows them all the same, so
// that they can be revoked: package oauth's validator of the own server's tokens
// asks it. Validators elsewhere accept one until it expires.
type Signing struct {
	// Keys sign and are published: see [Server.SetSigningKeys].
	Keys []SigningKey
}

// SigningKey is a key that signs access tokens: ECDSA on P-256 (ES256), Ed25519
// (EdDSA) or RSA of at least 2048 bits (RS256).
type SigningKey struct {
	// ID is the key's name (kid), of letters, digits, "_", "-" and ".". Required.
	ID string
	// Key signs; one that is kept elsewhere fits too. Required.
	Key crypto.Signer
	// From is when it begins to sign: it is published before, so that validators
	// know it then. Zero: now. Of several, the one that began last signs.
	From time.Time
	// Until is when it is no longer published: not before the last token that it
	// signed has expired. Zero: it is as long as it is set.
	Until time.Time
}

const signedType = "at+jwt"

var keyIDForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)

func (c *Signing) settle() error {
	if c == nil {
		return nil
	}
	_, err := newRing(c.Keys)
	return err
}

// signer holds the keys of the moment.
type signer struct{ ring atomic.Pointer[ring] }

type ring struct{ keys []ringKey }

type ringKey struct {
	SigningKey
	algorithm jose.SignatureAlgorithm
	signer    jose.Signer
	public    jose.JSONWebKey
}

func newRing(all []SigningKey) (*ring, error) {
	if len(all) == 0 {
		return nil, errors.New("Tokens.Signing needs at least one key")
	}
	r := &ring{}
	for _, key := range all {
		if !keyIDForm.MatchString(key.ID) || r.find(key.ID) != nil {
			return nil, fmt.Errorf("Tokens.Signing: the key id %q has a wrong form, or is there twice", key.ID)
		}
		if key.Key == nil {
			return nil, fmt.Errorf("Tokens.Signing: %s has no Key", key.ID)
		}
		made, err := newRingKey(key)
		if err != nil {
			return nil, fmt.Errorf("Tokens.Signing: %s: %w", key.ID, err)
		}
		r.keys = append(r.keys, made)
	}
	return r, nil
}

func newRingKey(key SigningKey) (ringKey, error) {
	k := ringKey{SigningKey: key}
	switch public := key.Key.Public().(type) {
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return k, errors.New("an ECDSA key must be on P-256")
		}
		k.algorithm = jose.ES256
	case ed25519.PublicKey:
		k.algorithm = jose.EdDSA
	case *rsa.PublicKey:
		if public.N.BitLen() < 2048 {
			return k, errors.New("an RSA key must have at least 2048 bits")
		}
		k.algorithm = jose.RS256
	default:
		return k, fmt.Errorf("no signatures are made with a %T", public)
	}
	k.public = jose.JSONWebKey{Key: key.Key.Public(), KeyID: key.ID, Algorithm: string(k.algorithm), Use: "sig"}
	var err error
	k.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: k.algorithm, Key: cryptosigner.Opaque(key.Key)},
		(&jose.SignerOptions{}).WithType(signedType).WithHeader("kid", key.ID))
	return k, err
}

func (r *ring) find(id string) *ringKey {
	for i := range r.keys {
		if r.keys[i].ID == id {
			return &r.keys[i]
		}
	}
	return nil
}

// current is the key that signs at a moment.
func (r *ring) current(now time.Time) *ringKey {
	var newest *ringKey
	for i := range r.keys {
		k := &r.keys[i]
		if !now.Before(k.From) && k.published(now) && (newest == nil || k.From.After(newest.From)) {
			newest = k
		}
	}
	return newest
}

func (k *ringKey) published(now time.Time) bool { return k.Until.IsZero() || now.Before(k.Until) }

// SetSigningKeys replaces the keys that sign access tokens. To change from one to
// another without a gap, set both: the new one with a From that leaves validators
// the time to learn of it (their caches keep a key set for minutes), and the old
// one with an Until that is an hour later. It fails where Tokens.Signing isn't
// configured.
func (s *Server) SetSigningKeys(all ...SigningKey) error {
	if s.c.Tokens.Signing == nil {
		return errors.New("authserver: access tokens are not signed here")
	}
	r, err := newRing(all)
	if err != nil {
		return err
	}
	if r.current(s.now()) == nil {
		return errors.New("Tokens.Signing: none of the keys signs now")
	}
	s.signer.ring.Store(r)
	return nil
}

// publishKeys answers GET /oauth/jwks.json (RFC 7517).
func (s *Server) publishKeys(w http.ResponseWriter, r *http.Request) {
	now, set := s.now(), jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range s.signer.ring.Load().keys {
		if k.published(now) {
			set.Keys = append(set.Keys, k.public)
		}
	}
	publish(w, r, set)
}

// signedClaims are those of RFC 9068 2.2.
type signedClaims struct {
	Issuer        string        `json:"iss"`
	Subject       string        `json:"sub"`
	Audience      []string      `json:"aud"`
	Expires       int64         `json:"exp"`
	IssuedAt      int64         `json:"iat"`
	ID            string        `json:"jti"`
	ClientID      string        `json:"client_id"`
	Scope         string        `json:"scope"`
	Organisation  string        `json:"org_id"`
	Authenticated int64         `json:"auth_time,omitempty"`
	Confirmation  *confirmation `json:"cnf,omitempty"`
}

// signed is what the client gets as its access token: the text itself, or a JWT,
// whose jti is the hash that the store has of the text. So the JWT of a repeated
// refresh is the same token, whatever its signature.
func (s *Server) signed(text string, t storage.Token, g storage.Grant, now time.Time) (string, error) {
	if s.c.Tokens.Signing == nil {
		return text, nil
	}
	key := s.signer.ring.Load().current(now)
	if key == nil {
		return "", errors.New("authserver: none of the signing keys signs now")
	}
	c := signedClaims{
		Issuer: s.c.Issuer, Subject: subject(g), Audience: own(t.Resources, s.c.Audiences.Service),
		Expires: t.Expires.Unix(), IssuedAt: t.Created.Unix(), ID: encode(t.Hash[:]), ClientID: g.ClientID,
		Scope: strings.Join(t.Scopes, " "), Organisation: g.Organisation,
	}
	if !g.Authenticated.IsZero() {
		c.Authenticated = g.Authenticated.Unix()
	}
	if t.Thumbprint != "" || t.Certificate != "" {
		c.Confirmation = &confirmation{t.Thumbprint, t.Certificate}
	}
	content, err := json.Marshal(c)
	if err != nil {
		return "", unsure("signing a token", err)
	}
	signature, err := key.signer.Sign(content)
	if err != nil {
		return "", unsure("signing a token", err)
	}
	return signature.CompactSerialize()
}

const maxSigned = 16 << 10

// signedHash returns the hash of a token that this server signed.
func (s *Server) signedHash(text string) (hash [32]byte, ok bool) {
	keys := s.signer.ring.Load()
	if keys == nil || len(text) > maxSigned {
		return hash, false
	}
	parsed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256})
	if err != nil || len(parsed.Signatures) != 1 {
		return hash, false
	}
	header := parsed.Signatures[0].Protected
	key := keys.find(header.KeyID)
	if key == nil || header.Algorithm != string(key.algorithm) || header.ExtraHeaders[jose.HeaderType] != signedType {
		return hash, false
	}
	content, err := parsed.Verify(key.public.Key)
	var c signedClaims
	if err != nil || json.Unmarshal(content, &c) != nil || c.Issuer != s.c.Issuer || !isDigest(c.ID) {
		return hash, false
	}
	id, err := base64.RawURLEncoding.DecodeString(c.ID)
	return [32]byte(id), err == nil
}
