package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v2"
	"github.com/auth0/go-jwt-middleware/v2/validator"
)

const (
	issuer   = "https://issuer.example/"
	audience = "https://api.example/"
)

// signer makes tokens of one algorithm.
type signer struct {
	algorithm validator.SignatureAlgorithm
	public    any
	sign      func(text []byte) ([]byte, error)
	err       error
}

func rs256() signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return signer{err: err}
	}
	return signer{algorithm: validator.RS256, public: key.Public(), sign: func(text []byte) ([]byte, error) {
		digest := sha256.Sum256(text)
		return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	}}
}

func edDSA() signer {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	return signer{algorithm: validator.EdDSA, public: public, err: err, sign: func(text []byte) ([]byte, error) {
		return ed25519.Sign(private, text), nil
	}}
}

// token is a JWT (RFC 7519) for one subject.
func (s signer) token(subject, role string, now time.Time) (string, error) {
	header, err := json.Marshal(map[string]any{"alg": s.algorithm, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{"iss": issuer, "aud": []string{audience}, "sub": subject, "role": role,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := s.sign([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

// roleClaim is what casbin decides by.
type roleClaim struct {
	Role string `json:"role"`
}

// Validate implements validator.CustomClaims.
func (c *roleClaim) Validate(context.Context) error {
	if c.Role == "" {
		return errors.New("no role")
	}
	return nil
}

// newJWT verifies bearer tokens with auth0/go-jwt-middleware, whose signing key is
// at hand, then goes on as by hand. A token is good until it expires, whatever
// happened meanwhile.
func newJWT(s signer) (*chain, error) {
	if s.err != nil {
		return nil, s.err
	}
	v, err := validator.New(func(context.Context) (any, error) { return s.public, nil }, s.algorithm, issuer, []string{audience},
		validator.WithCustomClaims(func() validator.CustomClaims { return &roleClaim{} }))
	if err != nil {
		return nil, err
	}
	guarded, err := limitedAndAllowed(nil, func(r *http.Request) (id, role string) {
		claims := r.Context().Value(jwtmiddleware.ContextKey{}).(*validator.ValidatedClaims)
		return claims.RegisteredClaims.Subject, claims.CustomClaims.(*roleClaim).Role
	})
	if err != nil {
		return nil, err
	}
	c := &chain{handler: jwtmiddleware.New(v.ValidateToken).CheckJWT(guarded), close: func() {}}
	now := time.Now()
	// Nobody keeps tokens: as many are made as take turns.
	for i := 0; i < known; i += known / used {
		text, err := s.token(fmt.Sprint("key", i), "reader", now)
		if err != nil {
			return nil, err
		}
		c.take(i, "Bearer "+text)
	}
	text, err := s.token("last", "writer", now)
	c.take(known-1, "Bearer "+text)
	return c, err
}
