// Package oauth compares what it costs to check a JWT access token that was never
// seen, with Strikeplate and with the libraries that Go services use.
//
// Each has its keys at hand, and checks signature, issuer, audience and expiry. They
// don't do the same besides: Strikeplate alone insists on typ, unknown crit, strict
// base64 and JSON, one named key, and makes a Principal of it. A token that comes
// again, as nearly all do, is in the benchmark Again: the others check it anew.
package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	auth0 "github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	golangjwt "github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/strikeplate/strikeplate/oauth"
)

const (
	issuer   = "https://login.example.com"
	audience = "https://api.example.com"
	known    = 512
)

// check is one library's way to check a token.
type check func(token string) error

type peer struct {
	name string
	make func(tb testing.TB, alg jose.SignatureAlgorithm, public any) check
}

var peers = []peer{{"Strikeplate", strikeplateFresh}, {"go-oidc", goOIDC}, {"jwx", jwx}, {"golang-jwt+keyfunc", golangJWT}, {"auth0", auth0Validator}}

func strikeplateFresh(tb testing.TB, alg jose.SignatureAlgorithm, public any) check {
	return strikeplateJWT(tb, alg, public, 1)
}

func strikeplateJWT(tb testing.TB, _ jose.SignatureAlgorithm, public any, remembered int) check {
	r, err := oauth.NewResource(oauth.ResourceConfig{Identifier: audience, InsecureNoDirectory: true,
		Logger: slog.New(slog.DiscardHandler), Cache: oauth.Cache{Tokens: remembered}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close(context.Background()) })
	j, err := oauth.NewJWT(oauth.JWTConfig{Resource: r, Issuers: []oauth.Issuer{{URL: issuer, Keys: keySet(tb, public, ""), Trust: oauth.Trust{Organisations: []string{"acme"}}}}})
	if err != nil {
		tb.Fatal(err)
	}
	return func(token string) error {
		_, err := j.Verify(context.Background(), token, nil)
		return err
	}
}

func goOIDC(_ testing.TB, alg jose.SignatureAlgorithm, public any) check {
	v := oidc.NewVerifier(issuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{public}}, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{string(alg)}})
	return func(token string) error {
		_, err := v.Verify(context.Background(), token)
		return err
	}
}

func jwx(tb testing.TB, alg jose.SignatureAlgorithm, public any) check {
	set, err := jwk.Parse(keySet(tb, public, string(alg)))
	if err != nil {
		tb.Fatal(err)
	}
	return func(token string) error {
		_, err := jwxjwt.Parse([]byte(token), jwxjwt.WithKeySet(set), jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(audience))
		return err
	}
}

func golangJWT(tb testing.TB, alg jose.SignatureAlgorithm, public any) check {
	keys, err := keyfunc.NewJWKSetJSON(keySet(tb, public, string(alg)))
	if err != nil {
		tb.Fatal(err)
	}
	parser := golangjwt.NewParser(golangjwt.WithValidMethods([]string{string(alg)}), golangjwt.WithIssuer(issuer),
		golangjwt.WithAudience(audience), golangjwt.WithExpirationRequired())
	return func(token string) error {
		_, err := parser.Parse(token, keys.Keyfunc)
		return err
	}
}

func auth0Validator(tb testing.TB, alg jose.SignatureAlgorithm, public any) check {
	v, err := auth0.New(func(context.Context) (any, error) { return public, nil }, auth0.SignatureAlgorithm(alg), issuer, []string{audience})
	if err != nil {
		tb.Fatal(err)
	}
	return func(token string) error {
		_, err := v.ValidateToken(context.Background(), token)
		return err
	}
}

func keySet(tb testing.TB, public any, alg string) []byte {
	tb.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "1", Algorithm: alg, Use: "sig"}}})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

var (
	rsaKey, _   = rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _    = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _ = ed25519.GenerateKey(rand.Reader)
)

var signers = []struct {
	alg         jose.SignatureAlgorithm
	key, public any
}{{jose.RS256, rsaKey, rsaKey.Public()}, {jose.ES256, ecKey, ecKey.Public()}, {jose.EdDSA, edKey, edKey.Public()}}

// tokens are all different.
func tokens(tb testing.TB, alg jose.SignatureAlgorithm, key any) []string {
	tb.Helper()
	options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", "1")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		tb.Fatal(err)
	}
	var all []string
	for i := range known {
		payload, err := json.Marshal(map[string]any{"iss": issuer, "aud": audience, "sub": "ada", "client_id": "app", "jti": fmt.Sprint(i), "org_id": "acme",
			"scope": "meetings:read meetings:write", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
		if err != nil {
			tb.Fatal(err)
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			tb.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

func BenchmarkFresh(b *testing.B) {
	for _, s := range signers {
		for _, p := range peers {
			b.Run(string(s.alg)+"/"+p.name, func(b *testing.B) { run(b, p.make(b, s.alg, s.public), tokens(b, s.alg, s.key)) })
		}
	}
}

// BenchmarkAgain is Strikeplate with tokens that it has seen.
func BenchmarkAgain(b *testing.B) {
	for _, s := range signers {
		b.Run(string(s.alg)+"/Strikeplate", func(b *testing.B) {
			run(b, strikeplateJWT(b, s.alg, s.public, 0), tokens(b, s.alg, s.key))
		})
	}
}

func run(b *testing.B, f check, all []string) {
	b.Helper()
	for _, token := range all {
		if err := f(token); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := f(all[i%len(all)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// What is compared has to refuse a token that was changed.
func TestPeersRefuseForgedTokens(t *testing.T) {
	for _, s := range signers {
		good := tokens(t, s.alg, s.key)[0]
		for _, p := range peers {
			f := p.make(t, s.alg, s.public)
			if err := f(good); err != nil {
				t.Errorf("%s %s: %v", s.alg, p.name, err)
			}
			if err := f(good[:len(good)-8] + "AAAAAAAA"); err == nil {
				t.Errorf("%s %s: a forged token was accepted", s.alg, p.name)
			}
		}
	}
}
