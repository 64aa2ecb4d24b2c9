package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Certificates says where the certificates are seen that tokens may be bound to
// (RFC 8705). The zero value sees none, and tokens bound to one are refused.
//
// The certificate need not be verified by a CA: that the client holds its key,
// which TLS proves, and that the token names it, is what counts.
type Certificates struct {
	// TLS looks at the connection: the server must ask for certificates
	// (tls.RequestClientCert at least). For connections from Proxies it isn't
	// looked at: their certificate is not the client's.
	TLS bool
	// Header names the field in which a proxy tells the client's certificate:
	// either as in RFC 9440, DER in base64 between colons, or PEM, URL-encoded, as
	// nginx does with $ssl_client_escaped_cert. Empty: none is believed.
	Header string
	// Proxies are the peers whose Header is believed. Others' is ignored. They must
	// set the field on each request, to nothing where there is no certificate.
	Proxies []netip.Prefix
}

func (c *Certificates) used() bool { return c.TLS || c.Header != "" }

func (c *Certificates) check() error {
	c.Proxies = slices.Clone(c.Proxies)
	for i, p := range c.Proxies {
		if !p.IsValid() {
			return errors.New("a proxy's prefix is not valid")
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		c.Proxies[i] = p.Masked()
	}
	if (c.Header == "") != (len(c.Proxies) == 0) {
		return errors.New("Header and Proxies go together")
	}
	return nil
}

// match reports whether the client presented the certificate with that SHA-256.
func (c *Certificates) match(from *credential, thumbprint string) bool {
	der := c.find(from)
	if der == nil {
		return false
	}
	sum := sha256.Sum256(der)
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(thumbprint)) == 1
}

// find returns the client's certificate, or nil.
func (c *Certificates) find(from *credential) []byte {
	switch {
	case from.request == nil:
		if from.peer == nil {
			return nil
		}
		return from.peer.Raw
	case c.fromProxy(from.request):
		return readCertificate(from.request.Header[http.CanonicalHeaderKey(c.Header)])
	case c.TLS && from.request.TLS != nil && len(from.request.TLS.PeerCertificates) > 0:
		return from.request.TLS.PeerCertificates[0].Raw
	}
	return nil
}

// fromProxy looks at the socket's peer, whatever forwarding fields say.
func (c *Certificates) fromProxy(r *http.Request) bool {
	if len(c.Proxies) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	address := peer.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(c.Proxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

// readCertificate reads the only value of a proxy's field.
func readCertificate(values []string) []byte {
	if len(values) != 1 || len(values[0]) > maxToken {
		return nil
	}
	text := values[0]
	if inner, ok := strings.CutPrefix(text, ":"); ok {
		inner, ok = strings.CutSuffix(inner, ":")
		der, err := base64.StdEncoding.Strict().DecodeString(inner)
		if !ok || err != nil {
			return nil
		}
		return parsedCertificate(der)
	}
	unescaped, err := url.PathUnescape(text) // a "+" of base64 stands for itself
	if err != nil {
		return nil
	}
	block, rest := pem.Decode([]byte(unescaped))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return nil
	}
	return parsedCertificate(block.Bytes)
}

func parsedCertificate(der []byte) []byte {
	if _, err := x509.ParseCertificate(der); err != nil {
		return nil
	}
	return der
}
