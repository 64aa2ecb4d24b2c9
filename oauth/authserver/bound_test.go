package authserver_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/oauth/authserver"
)

// proofs makes DPoP proofs by one key.
type proofs struct {
	testing.TB
	w          *world
	signer     jose.Signer
	thumbprint string
}

func (w *world) newProofs() *proofs {
	w.Helper()
	key := newKey(w, "ES256")
	public := jose.JSONWebKey{Key: key.Public()}
	signer := made(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithType("dpop+jwt").WithHeader("jwk", public)))(w)
	return &proofs{w, w, signer, base64.RawURLEncoding.EncodeToString(made(public.Thumbprint(crypto.SHA256))(w))}
}

func (p *proofs) proof(path string) string {
	p.Helper()
	text := made(json.Marshal(map[string]any{"jti": rand.Text(), "htm": "POST", "htu": p.w.live.URL + path, "iat": p.w.clock().Unix()}))(p)
	return made(made(p.signer.Sign(text))(p).CompactSerialize())(p)
}

// RFC 9449: tokens are bound to the key of the proof, and refresh tokens of public
// apps too.
func TestDPoP(t *testing.T) {
	w := newWorld(t, func(c *authserver.Config) { c.Tokens.DPoP = &oauth.DPoPConfig{} })
	app, phone := w.register(), w.register(public)
	holder, thief := w.newProofs(), w.newProofs()
	exchange := func(a registered, by *proofs, code string) reply {
		return w.call(a, "/oauth/token", url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
		}, "DPoP", by.proof("/oauth/token"))
	}
	refresh := func(a registered, by *proofs, token string) reply {
		return w.call(a, "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, "DPoP", by.proof("/oauth/token"))
	}
	got := into[tokens](t, exchange(phone, holder, w.consent("ben", phone.asking())).want(t, 200))
	if got.Type != "DPoP" {
		t.Errorf("the token is a %s", got.Type)
	}
	refresh(phone, thief, got.Refresh).wantError(t, 400, "invalid_dpop_proof")
	w.refresh(phone, got.Refresh).wantError(t, 400, "invalid_dpop_proof") // none
	next := into[tokens](t, refresh(phone, holder, got.Refresh).want(t, 200))
	repeated := into[tokens](t, refresh(phone, holder, got.Refresh).want(t, 200))
	if next != repeated {
		t.Errorf("a repeated refresh gives %+v, not %+v", repeated, next)
	}
	refresh(phone, thief, next.Refresh).wantError(t, 400, "invalid_dpop_proof")

	// A confidential app's are bound to its secret; its access tokens change keys.
	own := into[tokens](t, exchange(app, holder, w.consent("ben", app.asking())).want(t, 200))
	if k := w.introspect(app, own.Access); k.Type != "DPoP" || k.Confirmed["jkt"] != holder.thumbprint {
		t.Errorf("introspected: %+v", k)
	}
	own = into[tokens](t, refresh(app, thief, own.Refresh).want(t, 200))
	if k := w.introspect(app, own.Access); k.Confirmed["jkt"] != thief.thumbprint {
		t.Errorf("introspected: %+v", k)
	}

	// A code for an announced key (RFC 9449 10) is of no use to another.
	exchange(phone, thief, w.consent("ben", phone.asking("dpop_jkt", holder.thumbprint))).wantError(t, 400, "invalid_dpop_proof")
	exchange(phone, holder, w.consent("ben", phone.asking("dpop_jkt", holder.thumbprint))).want(t, 200)
	w.exchange(phone, w.consent("ben", phone.asking("dpop_jkt", holder.thumbprint))).wantError(t, 400, "invalid_dpop_proof")
	pushed := w.call(phone, "/oauth/par", phone.asking(), "DPoP", holder.proof("/oauth/par")).want(t, 201)
	page := w.get("ben", w.get("ben", "/oauth/authorize?"+url.Values{
		"client_id": {phone.ClientID}, "request_uri": {into[struct {
			URI string `json:"request_uri"`
		}](t, pushed).URI},
	}.Encode()).Header.Get("Location"))
	code := w.decide("ben", page, "allow").back(t).Get("code")
	exchange(phone, thief, code).wantError(t, 400, "invalid_dpop_proof")

	// THREATS 27: a proof counts once, on each instance that shares the store.
	proof := holder.proof("/oauth/token")
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next.Refresh}}
	w.call(phone, "/oauth/token", form, "DPoP", proof).want(t, 200)
	w.call(phone, "/oauth/token", form, "DPoP", proof).wantError(t, 400, "invalid_dpop_proof")
	w.call(phone, "/oauth/token", form, "DPoP", holder.proof("/oauth/revoke")).wantError(t, 400, "invalid_dpop_proof") // for another path
	w.call(phone, "/oauth/token", form, "DPoP", "nonsense").wantError(t, 400, "invalid_dpop_proof")
	if m := into[map[string]any](t, w.get("", "/.well-known/oauth-authorization-server")); m["dpop_signing_alg_values_supported"] == nil {
		t.Error("it isn't advertised")
	}
	bearer := newWorld(t)
	plain := bearer.register(public)
	code = bearer.consent("ben", plain.asking())
	if got := into[tokens](t, bearer.exchange(plain, code).want(t, 200)); got.Type != "Bearer" {
		t.Errorf("without DPoP it is a %s", got.Type)
	}
}

// RFC 8705: tokens are bound to the certificate that the client presents.
func TestCertificateBoundTokens(t *testing.T) {
	w := newWorld(t, func(c *authserver.Config) { c.Tokens.Certificates = oauth.Certificates{TLS: true} })
	secure := httptest.NewUnstartedServer(w.server)
	secure.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	secure.StartTLS()
	defer secure.Close()
	phone, app := w.register(public), w.register()
	certificate, other := clientCertificate(t), clientCertificate(t)
	call := func(a registered, c *tls.Certificate, form url.Values) reply {
		t.Helper()
		form.Set("client_id", a.ClientID)
		if a.secret != "" {
			form.Set("client_secret", a.secret)
		}
		config := secure.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		if c != nil {
			config.Certificates = []tls.Certificate{*c}
		}
		transport := &http.Transport{TLSClientConfig: config}
		defer transport.CloseIdleConnections()
		r := w.request(http.MethodPost, secure.URL+"/oauth/token", form.Encode())
		res, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return reply{res, string(made(io.ReadAll(res.Body))(t))}
	}
	form := func(code string) url.Values {
		return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	}
	refresh := func(token string) url.Values {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	}
	sum := sha256.Sum256(certificate.Certificate[0])
	bound := base64.RawURLEncoding.EncodeToString(sum[:])

	own := into[tokens](t, call(app, certificate, form(w.consent("ben", app.asking()))).want(t, 200))
	if k := w.introspect(app, own.Access); k.Confirmed["x5t#S256"] != bound || own.Type != "Bearer" {
		t.Errorf("introspected: %+v", k)
	}
	got := into[tokens](t, call(phone, certificate, form(w.consent("ben", phone.asking()))).want(t, 200))
	call(phone, other, refresh(got.Refresh)).wantError(t, 400, "invalid_grant")
	call(phone, nil, refresh(got.Refresh)).wantError(t, 400, "invalid_grant")
	call(phone, certificate, refresh(got.Refresh)).want(t, 200)
}

func clientCertificate(t testing.TB) *tls.Certificate {
	t.Helper()
	key := newKey(t, "ES256")
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := made(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
