package oauth_test

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pairedtest"
	"github.com/strikeplate/strikeplate/oauth"
)

// algorithmsCompared are the defaults, with a key for each.
var algorithmsCompared = []struct {
	name jose.SignatureAlgorithm
	key  any
	kid  string
}{{jose.RS256, rsaKey, "rsa"}, {jose.ES256, ecKey, "ec"}, {jose.EdDSA, edKey, "ed"}}

// fresh are requests with tokens that are all different.
func fresh(b *testing.B, s *server, alg jose.SignatureAlgorithm, key any, kid string, n int) (tokens []string, requests []*http.Request) {
	b.Helper()
	for range n {
		tokens = append(tokens, sign(b, alg, key, header{"kid": kid}, s.claims(nil)))
		requests = append(requests, bearer(tokens[len(tokens)-1]))
	}
	return tokens, requests
}

// tiny remembers next to nothing, so that each token is examined.
func tiny(c *oauth.ResourceConfig) { c.Cache.Tokens = 1 }

// benchTokens is how many different tokens take turns where none is remembered.
const benchTokens = 512

// BenchmarkJWTFresh is a token's first time: header to Principal.
func BenchmarkJWTFresh(b *testing.B) {
	for _, a := range algorithmsCompared {
		b.Run(string(a.name), func(b *testing.B) {
			s := newServer(b)
			j := newJWT(b, newResource(b, tiny), s.issuer())
			_, requests := fresh(b, s, a.name, a.key, a.kid, benchTokens)
			letIn(b, j, requests[0])
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p, err := j.Authenticate(requests[i%len(requests)])
				if err != nil {
					b.Fatal(err)
				}
				sink.Store(p)
				i++
			}
		})
	}
}

var sink atomic.Pointer[strikeplate.Principal]

// bareJOSE is the least that one does with go-jose: parse, verify, decode and
// judge the registered claims.
func bareJOSE(token, issuer string, alg jose.SignatureAlgorithm, key any) error {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		return err
	}
	var c jwt.Claims
	if err := parsed.Claims(key, &c); err != nil {
		return err
	}
	return c.ValidateWithLeeway(jwt.Expected{Issuer: issuer, AnyAudience: []string{api}, Time: time.Now()}, 30*time.Second)
}

// BenchmarkBareJOSE is what BenchmarkJWTFresh is held against.
func BenchmarkBareJOSE(b *testing.B) {
	for _, a := range algorithmsCompared {
		b.Run(string(a.name), func(b *testing.B) {
			s := newServer(b)
			tokens, _ := fresh(b, s, a.name, a.key, a.kid, benchTokens)
			public := publicOf(a.key)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := bareJOSE(tokens[i%len(tokens)], s.URL, a.name, public); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// BenchmarkJWTFreshAgainstBareJOSE takes turns, so that a machine whose speed drifts
// drifts for both: other/base is at most 1.15.
func BenchmarkJWTFreshAgainstBareJOSE(b *testing.B) {
	for _, a := range algorithmsCompared {
		b.Run(string(a.name), func(b *testing.B) {
			s := newServer(b)
			j := newJWT(b, newResource(b, tiny), s.issuer())
			tokens, requests := fresh(b, s, a.name, a.key, a.kid, benchTokens)
			public := publicOf(a.key)
			letIn(b, j, requests[0])
			pairedtest.Compare(b, func(n int) {
				if err := bareJOSE(tokens[n%len(tokens)], s.URL, a.name, public); err != nil {
					b.Fatal(err)
				}
			}, func(n int) {
				if _, err := j.Authenticate(requests[n%len(requests)]); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkJWTRemembered is every later time.
func BenchmarkJWTRemembered(b *testing.B) {
	s := newServer(b)
	j := newJWT(b, newResource(b, nil), s.issuer())
	_, requests := fresh(b, s, jose.RS256, rsaKey, "rsa", 64)
	for _, r := range requests {
		letIn(b, j, r)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p, err := j.Authenticate(requests[i%len(requests)])
		if err != nil {
			b.Fatal(err)
		}
		sink.Store(p)
		i++
	}
}

// BenchmarkTokenDigest is the least that finding a token by its digest costs.
func BenchmarkTokenDigest(b *testing.B) {
	s := newServer(b)
	tokens, _ := fresh(b, s, jose.RS256, rsaKey, "rsa", 64)
	texts := make([][]byte, len(tokens))
	for i, token := range tokens {
		texts[i] = []byte(token)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		digestSink = sha256.Sum256(texts[i%len(texts)])
		i++
	}
}

var digestSink [sha256.Size]byte

// BenchmarkJWTRememberedAgainstTokenDigest takes turns: other/base is at most 2.
func BenchmarkJWTRememberedAgainstTokenDigest(b *testing.B) {
	s := newServer(b)
	j := newJWT(b, newResource(b, nil), s.issuer())
	tokens, requests := fresh(b, s, jose.RS256, rsaKey, "rsa", 64)
	texts := make([][]byte, len(tokens))
	for i, r := range requests {
		letIn(b, j, r)
		texts[i] = []byte(tokens[i])
	}
	pairedtest.Compare(b, func(n int) { digestSink = sha256.Sum256(texts[n%len(texts)]) }, func(n int) {
		if _, err := j.Authenticate(requests[n%len(requests)]); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkForgedJWT refuses tokens with a wrong signature.
func BenchmarkForgedJWT(b *testing.B) {
	s := newServer(b)
	j := newJWT(b, newResource(b, nil), s.issuer())
	good := s.token(b, nil)
	letIn(b, j, bearer(good))
	r := bearer(good[:strings.LastIndexByte(good, '.')] + "." + strings.Repeat("A", 342))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.Authenticate(r); err == nil {
			b.Fatal("accepted")
		}
	}
}

func publicOf(key any) any {
	k := jose.JSONWebKey{Key: key}
	return k.Public().Key
}
