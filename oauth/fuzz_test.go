package oauth_test

import (
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/strikeplate/strikeplate/oauth"
)

// FuzzToken throws texts at an API: no panic, always a readable refusal, and what is
// let in go-jose lets in too, with the same claims.
func FuzzToken(f *testing.F) {
	s := newServer(f)
	i := s.issuer()
	i.Keys = []byte(marshal(f, jose.JSONWebKeySet{Keys: s.published()}))
	j := newJWT(f, newResource(f, nil), i)
	for _, seed := range []string{"", ".", "..", "eyJ..", "eyJ.eyJ.AA", s.token(f, nil), s.token(f, claims{"aud": []string{api, "x"}}),
		signRaw(edKey, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, marshal(f, s.claims(nil))), signRaw(edKey, `{"alg":"none"}`, "{}"),
		signRaw(edKey, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, strings.Repeat("[", 5000)), "eyJhbGciOiJub25lIn0.e30.", strings.Repeat("eyJ.", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, err := j.Verify(t.Context(), token, nil)
		if err != nil {
			if e := refusal(t, err); e.Status != 401 || len(e.Challenge) == 0 {
				t.Fatalf("%q: %+v", token, e)
			}
			return
		}
		parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{"RS256", "ES256", "EdDSA"})
		if err != nil {
			t.Fatalf("go-jose refuses %q: %v", token, err)
		}
		var c jwt.Claims
		if err := parsed.Claims(map[string]any{"rsa": rsaKey.Public(), "ec": ecKey.Public(), "ed": edKey.Public()}[parsed.Headers[0].KeyID], &c); err != nil {
			t.Fatalf("go-jose refuses %q: %v", token, err)
		}
		if p.Subject != c.Issuer+"|"+c.Subject {
			t.Fatalf("%q is of %q here and of %q there", token, p.Subject, c.Subject)
		}
	})
}

// FuzzClaims signs what it is given, so that it gets past the signature.
func FuzzClaims(f *testing.F) {
	s := newServer(f)
	i := s.issuer()
	i.Keys = []byte(marshal(f, jose.JSONWebKeySet{Keys: s.published()}))
	j := newJWT(f, newResource(f, nil), i)
	const head = `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`
	good := marshal(f, s.claims(nil))
	for _, seed := range [][2]string{{head, good}, {head, `{"iss":"` + s.URL + `"}`}, {head, "null"}, {head, `"x"`}, {head, "[]"}, {head, strings.TrimSuffix(good, "}") + `,"sub":"x"}`},
		{`{"alg":"EdDSA","kid":null,"typ":"at+jwt"}`, good}, {`{"alg":"EdDSA","kid":["ed"],"typ":"at+jwt"}`, good}, {head, `{"aud":{},"exp":1e99,"cnf":{"jkt":1}}`}, {head, good + " "}, {head, "\xff"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, head, payload string) {
		p, err := j.Verify(t.Context(), signRaw(edKey, head, payload), nil)
		if err != nil {
			if e := refusal(t, err); e.Status != 401 {
				t.Fatalf("%q %q: %+v", head, payload, e)
			}
			return
		}
		if p.Organisation != "acme" || !strings.HasPrefix(p.Subject, s.URL+"|") || p.Expires.Before(time.Now().Add(-time.Minute)) {
			t.Fatalf("%q %q: %+v", head, payload, p)
		}
	})
}

// FuzzProof throws DPoP proofs at a token endpoint.
func FuzzProof(f *testing.F) {
	d := newDPoP(f, nil)
	for _, seed := range []string{"", "x", prove(f, "", nil, nil), prove(f, "t", header{"typ": "JWT"}, nil),
		signRaw(edKey, `{"alg":"EdDSA","typ":"dpop+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"}}`, "{}"),
		signRaw(edKey, `{"alg":"RS256","typ":"dpop+jwt","jwk":{"kty":"RSA","n":"`+strings.Repeat("_", 600)+`","e":"AQAB"}}`, "{}"),
		signRaw(edKey, `{"alg":"ES256","typ":"dpop+jwt","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`, "{}")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, proof string) {
		r := httptest.NewRequest("GET", api+"/meetings", nil)
		r.Header["Dpop"] = []string{proof}
		key, err := d.Check(r, "")
		var wrong *oauth.ProofError
		switch {
		case err == nil:
			if sum, err := base64.RawURLEncoding.DecodeString(key); err != nil || len(sum) != 32 {
				t.Fatalf("%q: %q", proof, key)
			}
		case !errors.As(err, &wrong) || wrong.Code != oauth.CodeProof || wrong.Description == "":
			t.Fatalf("%q: %v", proof, err)
		}
	})
}

// FuzzMetadata reads what issuers say of themselves, their keys included.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{"", "{}", "[]", `{"issuer":"` + login + `","jwks_uri":"https://x.example/"}`, `{"issuer":"` + login + `","jwks_uri":"file:///etc/passwd"}`,
		`{"keys":[{"kty":"RSA"}]}`, keySet(f, firstKey, nextKey), `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","crv":"Ed25519","x":""}]}`, `{"keys":[null,1,"x"]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if keys, issuer, err := oauth.ReadMetadata(body, login); err == nil {
			if issuer != login || keys != "" && !strings.HasPrefix(strings.ToLower(keys), "https://") {
				t.Fatalf("%q: %q %q", body, issuer, keys)
			}
		}
		if n, err := oauth.ReadKeys(body); err == nil && (n < 1 || n > 64) {
			t.Fatalf("%q: %d keys", body, n)
		}
	})
}

// FuzzCertificate reads the field that a proxy sets.
func FuzzCertificate(f *testing.F) {
	c, _ := certificate(f, 1)
	for _, seed := range []string{"", ":", "::", ":AAAA:", ":" + base64.StdEncoding.EncodeToString(c.Raw) + ":", "-----BEGIN%20CERTIFICATE-----%0A", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		if der := oauth.ReadCertificate(field); der != nil && string(der) != string(c.Raw) && !strings.Contains(field, ":") && !strings.Contains(field, "CERTIFICATE") {
			t.Fatalf("%q", field)
		}
	})
}
