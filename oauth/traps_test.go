package oauth_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// Each test here is named after a leniency that libraries have and this package
// must not.

// encoding/json takes "SUB" for "sub", and the last of two.
func TestTrapCaseInsensitiveJSON(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, nil), s.issuer())
	body := strings.TrimSuffix(marshal(t, s.claims(nil)), "}")
	p := letIn(t, j, bearer(signRaw(edKey, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, body+`,"SUB":"admin","Org_Id":"evil"}`)))
	if p.Subject != s.URL+"|ada" || p.Organisation != "acme" {
		t.Errorf("the Principal is %s of %s", p.Subject, p.Organisation)
	}
	invalid(t, j, signRaw(edKey, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, body+`,"sub":"admin"}`), "malformed")
	invalid(t, j, signRaw(edKey, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt","alg":"EdDSA"}`, body+`}`), "well-formed")
	invalid(t, j, signRaw(edKey, `{"ALG":"EdDSA","kid":"ed","typ":"at+jwt"}`, body+`}`), "algorithm")
	invalid(t, j, signRaw(edKey, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, strings.Replace(body, `"exp"`, `"EXP"`, 1)+`}`), "no expiry")
}

// Go's decoder skips line breaks, and ignores stray bits at the end.
func TestTrapBase64Leniency(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, nil), s.issuer())
	good := s.token(t, nil)
	parts := strings.Split(good, ".")
	letIn(t, j, bearer(good))
	for i := range parts {
		for name, mangle := range map[string]func(string) string{
			"a line break": func(p string) string { return p[:4] + "\n" + p[4:] },
			"a return":     func(p string) string { return p + "\r" },
			"padding":      func(p string) string { return p + "=" },
			"a space":      func(p string) string { return p[:4] + " " + p[4:] },
			"standard":     func(p string) string { return p[:4] + "+" + p[5:] },
		} {
			changed := append([]string(nil), parts...)
			changed[i] = mangle(parts[i])
			invalid(t, j, strings.Join(changed, "."), "")
			if text := strings.Join(changed, "."); text == good {
				t.Fatalf("%s changed nothing", name)
			}
		}
	}
	// 256 bytes of signature leave four bits of the last character unused.
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(letters, good[len(good)-1])
	stray := good[:len(good)-1] + string(letters[last^1])
	if _, err := base64.RawURLEncoding.DecodeString(strings.Split(stray, ".")[2]); err != nil {
		t.Fatal("the stray bit doesn't even decode leniently")
	}
	invalid(t, j, stray, "well-formed")
}

// go-jose doesn't know RFC 9864's name, which is what new servers send.
func TestTrapEd25519(t *testing.T) {
	s := newServer(t)
	s.publish(jose.JSONWebKey{Key: edKey.Public(), KeyID: "ed"},
		jose.JSONWebKey{Key: edKey.Public(), KeyID: "named", Algorithm: "EdDSA"},
		jose.JSONWebKey{Key: edKey.Public(), KeyID: "new", Algorithm: "Ed25519"})
	for _, algorithms := range [][]string{nil, {"EdDSA"}, {"Ed25519"}} {
		i := s.issuer()
		i.Algorithms = algorithms
		j := newJWT(t, newResource(t, nil), i)
		for _, kid := range []string{"ed", "named", "new"} {
			for _, alg := range []string{"EdDSA", "Ed25519"} {
				letIn(t, j, bearer(signRaw(edKey, fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, kid), marshal(t, s.claims(nil)))))
			}
		}
		invalid(t, j, signRaw(otherEd, `{"alg":"Ed25519","kid":"ed","typ":"at+jwt"}`, marshal(t, s.claims(nil))), "signature")
	}
}

// go-jose verifies with keys that are for encryption.
func TestTrapKeyUse(t *testing.T) {
	jwk := func(extra string) string {
		x := base64.RawURLEncoding.EncodeToString(edKey.Public().(ed25519.PublicKey))
		return `{"kty":"OKP","crv":"Ed25519","x":"` + x + `"` + extra + `}`
	}
	for _, c := range []struct {
		extra string
		good  bool
	}{
		{`,"kid":"k"`, true},
		{`,"kid":"k","use":"sig"`, true},
		{`,"kid":"k","key_ops":["verify"]`, true},
		{`,"kid":"k","key_ops":["sign","verify"],"use":"sig"`, true},
		{`,"kid":"k","use":"enc"`, false},
		{`,"kid":"k","use":""`, false},
		{`,"kid":"k","key_ops":["encrypt"]`, false},
		{`,"kid":"k","key_ops":[]`, false},
		{`,"kid":"k","use":"sig","key_ops":["wrapKey"]`, false},
		{`,"kid":"k","d":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`, false}, // a private key that is published is everybody's
		{`,"kid":"k","alg":"RS256"`, false},
		{`,"kid":"k","alg":"EdDSA"`, true},
	} {
		s := newServer(t)
		i := s.issuer()
		i.Keys = []byte(`{"keys":[` + jwk(c.extra) + `,{"kty":"OKP","crv":"Ed25519","kid":"other","x":"` +
			base64.RawURLEncoding.EncodeToString(otherEd.Public().(ed25519.PublicKey)) + `"}]}`)
		j := newJWT(t, newResource(t, nil), i)
		token := signRaw(edKey, `{"alg":"EdDSA","kid":"k","typ":"at+jwt"}`, marshal(t, s.claims(nil)))
		if c.good {
			letIn(t, j, bearer(token))
		} else {
			invalid(t, j, token, "key")
		}
	}
}

// The key says which algorithm it is for: with the wrong one it may be weaker.
func TestTrapKeyAlgorithm(t *testing.T) {
	s := newServer(t)
	s.publish(jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "rsa", Algorithm: "PS256"}, jose.JSONWebKey{Key: p384Key.Public(), KeyID: "p384"})
	i := s.issuer()
	i.Algorithms = []string{"RS256", "PS256", "ES256", "ES384"}
	j := newJWT(t, newResource(t, nil), i)
	invalid(t, j, s.token(t, nil), "algorithm that its key is not for")
	letIn(t, j, bearer(sign(t, "PS256", rsaKey, header{"kid": "rsa"}, s.claims(nil))))
	invalid(t, j, sign(t, "ES256", ecKey, header{"kid": "p384"}, s.claims(nil)), "algorithm that its key is not for")
	letIn(t, j, bearer(sign(t, "ES384", p384Key, header{"kid": "p384"}, s.claims(nil))))
}

// go-jose takes any salt length. PS256 has to be named, and then has one.
func TestTrapPS256(t *testing.T) {
	s := newServer(t)
	s.publish(jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "rsa"})
	j := newJWT(t, newResource(t, nil), s.issuer())
	good := sign(t, "PS256", rsaKey, header{"kid": "rsa"}, s.claims(nil))
	invalid(t, j, good, "algorithm")

	i := s.issuer()
	i.Algorithms = []string{"PS256"}
	j = newJWT(t, newResource(t, nil), i)
	letIn(t, j, bearer(good))
	for _, salt := range []int{20, 64} {
		signed := b64(`{"alg":"PS256","kid":"rsa","typ":"at+jwt"}`) + "." + b64(marshal(t, s.claims(nil)))
		sum := sha256.Sum256([]byte(signed))
		signature, err := rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		invalid(t, j, signed+"."+b64(string(signature)), "signature")
	}
}

// keyfunc and jwx let unknown critical parameters pass.
func TestTrapUnknownCrit(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, nil), s.issuer())
	for _, crit := range []string{`["exp"]`, `["b64"],"b64":true`, `[]`, `null`, `"exp"`, `["unknown"],"unknown":1`} {
		invalid(t, j, signRaw(edKey, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt","crit":`+crit+`}`, marshal(t, s.claims(nil))), "critical")
	}
	letIn(t, j, bearer(signRaw(edKey, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt","unknown":1}`, marshal(t, s.claims(nil)))))
}

// go-oidc tries every key where the token names none.
func TestTrapMissingKid(t *testing.T) {
	s := newServer(t)
	token := signRaw(edKey, `{"alg":"EdDSA","typ":"at+jwt"}`, marshal(t, s.claims(nil)))
	invalid(t, newJWT(t, newResource(t, nil), s.issuer()), token, "which of its issuer's keys")
	s.publish(jose.JSONWebKey{Key: edKey.Public(), KeyID: "ed"})
	letIn(t, newJWT(t, newResource(t, nil), s.issuer()), bearer(token))
}

func TestTrapTyp(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, nil), s.issuer())
	relaxed := s.issuer()
	relaxed.InsecureAnyType = true
	lenient := newJWT(t, newResource(t, nil), relaxed)
	for typ, good := range map[any]bool{"at+jwt": true, "application/at+jwt": true, "AT+JWT": true, "JWT": false, "dpop+jwt": false, "": false, nil: false, "at+jwt ": false} {
		token := sign(t, "EdDSA", edKey, header{"kid": "ed", "typ": typ}, s.claims(nil))
		letIn(t, lenient, bearer(token))
		if good {
			letIn(t, j, bearer(token))
		} else {
			invalid(t, j, token, "not an access token")
		}
	}
}

// The classics of RFC 8725 2.
func TestTrapAlgorithms(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, nil), s.issuer())
	body := b64(marshal(t, s.claims(nil)))
	for _, alg := range []string{"none", "None", "", "HS256", "RS1", "ES256K", "EdDSA "} {
		head := b64(`{"alg":"` + alg + `","kid":"rsa","typ":"at+jwt"}`)
		invalid(t, j, head+"."+body+".AAAA", "algorithm")
	}
	// The public key as an HMAC secret.
	public := marshal(t, jose.JSONWebKey{Key: rsaKey.Public()})
	invalid(t, j, sign(t, "HS256", []byte(public), header{"kid": "rsa"}, s.claims(nil)), "algorithm")
	// An empty signature, a foreign one, and one of zeros (CVE-2022-21449).
	good := sign(t, "ES256", ecKey, header{"kid": "ec"}, s.claims(nil))
	signed := good[:strings.LastIndexByte(good, '.')]
	for _, signature := range []string{"", "AA", strings.Repeat("A", 86)} {
		invalid(t, j, signed+"."+signature, "")
	}
	invalid(t, j, sign(t, "RS256", otherRSA, header{"kid": "rsa"}, s.claims(nil)), "signature")
	invalid(t, j, sign(t, "RS384", rsaKey, header{"kid": "rsa"}, s.claims(nil)), "algorithm")
}

// Short and symmetric keys are left out of a set, the others count.
func TestTrapWeakKeys(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t)
	s.publish(jose.JSONWebKey{Key: weak.Public(), KeyID: "weak"}, jose.JSONWebKey{Key: []byte("secret"), KeyID: "oct"},
		jose.JSONWebKey{Key: edKey.Public(), KeyID: "ed"})
	i := s.issuer()
	i.Keys = []byte(marshal(t, jose.JSONWebKeySet{Keys: s.published()}))
	j := newJWT(t, newResource(t, nil), i)
	letIn(t, j, bearer(signRaw(edKey, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, marshal(t, s.claims(nil)))))
	invalid(t, j, sign(t, "RS256", weak, header{"kid": "weak"}, s.claims(nil)), "key")
	invalid(t, j, sign(t, "RS256", rsaKey, header{"kid": "oct"}, s.claims(nil)), "key")
}

// Wrong audience is an invalid token, not a forbidden request.
func TestTrapWrongAudienceIs401(t *testing.T) {
	s := newServer(t)
	invalid(t, newJWT(t, newResource(t, nil), s.issuer()), s.token(t, claims{"aud": "https://evil.example.com"}), "another audience")
}

// RFC 6750 3.1: nothing was sent, so nothing is wrong with it.
func TestTrapNoErrorWithoutCredentials(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, nil), s.issuer())
	r := bearer("")
	r.Header.Del("Authorization")
	for _, c := range refused(t, j, r, 401, "missing_api_key").Challenge {
		if strings.Contains(c, "error") {
			t.Errorf("challenge %q", c)
		}
	}
}
