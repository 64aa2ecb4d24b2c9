package oauth_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/oauth"
)

func certificate(t testing.TB, serial int64) (*x509.Certificate, tls.Certificate) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ecKey.Public(), ecKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ecKey}
}

func certified(t testing.TB, s *server, c *x509.Certificate) string {
	t.Helper()
	sum := sha256.Sum256(c.Raw)
	return s.token(t, claims{"cnf": claims{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}})
}

// A real TLS connection with a client certificate (RFC 8705 3).
func TestCertificateBoundToken(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, func(c *oauth.ResourceConfig) { c.Certificates.TLS = true }), s.issuer())
	ours, key := certificate(t, 1)
	_, other := certificate(t, 2)
	token := certified(t, s, ours)
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := j.Authenticate(r); err != nil {
			w.WriteHeader(refusal(t, err).Status)
		}
	}))
	service.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	service.StartTLS()
	defer service.Close()
	for _, c := range []struct {
		name         string
		certificates []tls.Certificate
		want         int
	}{{"ours", []tls.Certificate{key}, 200}, {"another", []tls.Certificate{other}, 401}, {"none", nil, 401}} {
		client := service.Client()
		transport := client.Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = c.certificates
		r, _ := http.NewRequest(http.MethodGet, service.URL, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		transport.CloseIdleConnections()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %d", c.name, resp.StatusCode)
		}
	}
	if _, err := j.Verify(t.Context(), token, ours); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if _, err := j.Verify(t.Context(), token, nil); refusal(t, err).Status != 401 {
		t.Errorf("Verify without a certificate: %v", err)
	}
}

// THREATS 27: a certificate in a header field is believed from named proxies only,
// and from them nothing else is.
func TestThreat27CertificateHeaders(t *testing.T) {
	s := newServer(t)
	j := newJWT(t, newResource(t, func(c *oauth.ResourceConfig) {
		c.Certificates = oauth.Certificates{TLS: true, Header: "client-cert", Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	}), s.issuer())
	ours, _ := certificate(t, 1)
	other, _ := certificate(t, 2)
	token := certified(t, s, ours)
	rfc9440 := ":" + base64.StdEncoding.EncodeToString(ours.Raw) + ":"
	nginx := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.Raw})))
	for _, c := range []struct {
		name, peer string
		fields     []string
		tls        *x509.Certificate
		want       bool
	}{
		{"RFC 9440", "10.1.2.3:1", []string{rfc9440}, nil, true},
		{"nginx", "10.1.2.3:1", []string{nginx}, nil, true},
		{"mapped address", "[::ffff:10.1.2.3]:1", []string{rfc9440}, nil, true},
		{"the proxy's own certificate", "10.1.2.3:1", nil, ours, false},
		{"the proxy's beside the client's", "10.1.2.3:1", []string{rfc9440}, other, true},
		{"an unnamed peer", "192.0.2.1:1", []string{rfc9440}, nil, false},
		{"an unnamed peer with another certificate", "192.0.2.1:1", []string{rfc9440}, other, false},
		{"a direct client", "192.0.2.1:1", nil, ours, true},
		{"a direct client's field counts nothing", "192.0.2.1:1", []string{"x"}, ours, true},
		{"two fields", "10.1.2.3:1", []string{rfc9440, rfc9440}, nil, false},
		{"an empty field", "10.1.2.3:1", []string{""}, nil, false},
		{"no address", "@", []string{rfc9440}, nil, false},
		{"half a field", "10.1.2.3:1", []string{rfc9440[:len(rfc9440)-1]}, nil, false},
		{"no certificate", "10.1.2.3:1", []string{":AAAA:"}, nil, false},
		{"no PEM", "10.1.2.3:1", []string{"%zz"}, nil, false},
		{"two in PEM", "10.1.2.3:1", []string{nginx + nginx}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := bearer(token)
			r.RemoteAddr = c.peer
			r.TLS = nil
			if c.tls != nil {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.tls}}
			}
			r.Header["Client-Cert"] = c.fields
			r.Header.Set("X-Forwarded-For", "10.1.2.3")
			if c.want {
				letIn(t, j, r)
			} else {
				refused(t, j, r, 401, oauth.CodeToken)
			}
		})
	}
	// An API that looks for no certificates refuses tokens bound to one.
	invalid(t, newJWT(t, newResource(t, nil), s.issuer()), token, "client certificate")
}
