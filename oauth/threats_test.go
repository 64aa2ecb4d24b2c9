package oauth_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth"
)

// THREATS 3: an issuer speaks for its own organisations, and for no other's.
func TestThreat3IssuersSpeakForTheirOrganisations(t *testing.T) {
	one, two := newServer(t), newServer(t)
	first, second := one.issuer(), two.issuer()
	second.Trust.Organisations = []string{"umbrella", "hooli"}
	j := newJWT(t, newResource(t, nil), first, second)
	letIn(t, j, bearer(one.token(t, nil)))
	letIn(t, j, bearer(one.token(t, claims{"org_id": nil}))) // there is but one
	letIn(t, j, bearer(two.token(t, claims{"org_id": "hooli"})))
	for _, token := range []string{
		one.token(t, claims{"org_id": "hooli"}), one.token(t, claims{"org_id": "ACME"}), two.token(t, claims{"org_id": "acme"}),
		two.token(t, claims{"org_id": nil}), // there are two
		one.token(t, claims{"org_id": "acme "}),
	} {
		invalid(t, j, token, "does not speak for that organisation")
	}
}

// THREATS 3: neither do issuers get mixed up, though they use the same key ids, nor
// do they share a subject.
func TestThreat3NoMixUpOfIssuers(t *testing.T) {
	one, two := newServer(t), newServer(t)
	two.publish(jose.JSONWebKey{Key: otherRSA.Public(), KeyID: "rsa"})
	j := newJWT(t, newResource(t, nil), one.issuer(), two.issuer())
	a := letIn(t, j, bearer(one.token(t, nil)))
	b := letIn(t, j, bearer(sign(t, "RS256", otherRSA, header{"kid": "rsa"}, two.claims(nil))))
	if a.Subject == b.Subject || a.Lineage == b.Lineage {
		t.Errorf("two issuers' ada are one: %q, %q", a.Subject, b.Subject)
	}
	invalid(t, j, sign(t, "RS256", otherRSA, header{"kid": "rsa"}, one.claims(nil)), "signature")
	invalid(t, j, two.token(t, nil), "signature") // signed by one's key
	invalid(t, j, one.token(t, claims{"iss": one.URL + "/"}), "not trusted")
	invalid(t, j, one.token(t, claims{"iss": strings.ToUpper(one.URL)}), "not trusted")
}

// THREATS 3: what a token says of its own keys is ignored, and fetched from nowhere.
func TestThreat3OwnKeysOfTokensAreIgnored(t *testing.T) {
	s := newServer(t)
	var fetched atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer evil.Close()
	j := newJWT(t, newResource(t, nil), s.issuer())
	c, _ := certificate(t, 1)
	chain := []string{base64.StdEncoding.EncodeToString(c.Raw)}
	for name, h := range map[string]header{
		"jku": {"kid": "ed", "jku": evil.URL}, "x5u": {"kid": "ed", "x5u": evil.URL}, "x5c": {"kid": "ed", "x5c": chain},
		"jwk": {"kid": "ed", "jwk": jose.JSONWebKey{Key: otherEd.Public()}}, "jwk with its own kid": {"kid": "evil", "jwk": jose.JSONWebKey{Key: otherEd.Public(), KeyID: "evil"}},
	} {
		t.Run(name, func(t *testing.T) {
			token := sign(t, "EdDSA", otherEd, h, s.claims(nil))
			refused(t, j, bearer(token), 401, oauth.CodeToken)
			if h["kid"] == "ed" { // the issuer's own signature counts, whatever else stands there
				letIn(t, j, bearer(sign(t, "EdDSA", edKey, h, s.claims(nil))))
			}
		})
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("fetched %d times", n)
	}
}

// THREATS 3: the subject is "iss|sub", never an e-mail address.
func TestThreat3SubjectIsNoEMailAddress(t *testing.T) {
	s := newServer(t)
	token := s.token(t, claims{"email": "ada@acme.example", "email_verified": true})
	if p := letIn(t, newJWT(t, newResource(t, nil), s.issuer()), bearer(token)); p.Subject != s.URL+"|ada" {
		t.Errorf("subject %q", p.Subject)
	}
	i := s.issuer()
	i.Trust.Identify = func(_ context.Context, c oauth.Claims) (oauth.Identity, error) {
		var exact struct {
			Email string `json:"email"`
		}
		_ = c.Decode(&exact)
		return oauth.Identity{Organisation: "acme", User: exact.Email, Access: strikeplate.UserFull}, nil
	}
	refused(t, newJWT(t, newResource(t, nil), i), bearer(token), 503, strikeplate.CodeUnavailable)
}

// THREATS 17, for what issuers say: https alone, no redirects, bounded. (The
// bounds on time and size are in TestStaleKeysAreServedForAWhile and
// TestHangingEndpointBlocksNobodyForLong.)
func TestThreat17IssuersURLs(t *testing.T) {
	var fetched atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write([]byte(keySet(t, firstKey)))
	}))
	defer inside.Close()
	redirecting := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusFound))
	defer redirecting.Close()
	s := newServer(t)
	i := s.issuer()
	i.KeysURL = redirecting.URL
	j := newJWT(t, newResource(t, nil), i)
	refused(t, j, bearer(s.token(t, nil)), 503, strikeplate.CodeUnavailable)
	if n := fetched.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// THREATS 27: an introspection answer for another audience is no good here, and
// binding is checked on remembered tokens too (see TestThreat27BoundTokenIsNoBearerToken).
func TestThreat27IntrospectionOfAnothersToken(t *testing.T) {
	at := newIntrospector(t)
	at.about(claims{"aud": []string{"https://other.example.com"}})
	invalid(t, newIntrospection(t, newResource(t, nil), at.URL, nil), "token", "another audience")
}
