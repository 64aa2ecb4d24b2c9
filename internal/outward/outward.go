// Package outward fetches URLs that strangers chose. They must not lead inside: to
// the machine itself, to its network, or to a cloud's metadata service.
package outward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Config says how far a [Client] may go.
type Config struct {
	// Timeout bounds a whole request; zero: 5 seconds.
	Timeout time.Duration
	// InsecureLoopback allows loopback addresses, for tests.
	InsecureLoopback bool
	// TLS is the configuration of connections; nil: the default.
	TLS *tls.Config
}

// The refusals.
var (
	ErrAddress  = errors.New("outward: not a public address")
	ErrScheme   = errors.New("outward: not https")
	ErrRedirect = errors.New("outward: redirected")
)

// Client returns a client that speaks https with public addresses. What a name
// resolves to is checked where the connection is made, so that a name whose address
// changes in between (DNS rebinding) gains nothing. Redirects are not followed, no
// proxy of the environment is used, and connections are not kept.
func Client(c Config) *http.Client {
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	dialer := &net.Dialer{
		Timeout: c.Timeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %s", ErrAddress, address)
			}
			if a := ap.Addr().Unmap(); public(a) || c.InsecureLoopback && a.IsLoopback() {
				return nil
			}
			return fmt.Errorf("%w: %s", ErrAddress, address)
		},
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		TLSClientConfig: c.TLS, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: c.Timeout, ResponseHeaderTimeout: c.Timeout, MaxResponseHeaderBytes: 16 << 10,
	}
	return &http.Client{
		Transport: httpsOnly{transport}, Timeout: c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return ErrRedirect },
	}
}

type httpsOnly struct{ next http.RoundTripper }

func (t httpsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, ErrScheme
	}
	return t.next.RoundTrip(r)
}

// special are the blocks that are nobody's on the public internet, beside those
// that netip knows: IANA's special-purpose registries (RFC 6890), and the prefixes
// by which IPv6 carries IPv4 addresses, which may be anything.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
)

func prefixes(all ...string) (parsed []netip.Prefix) {
	for _, p := range all {
		parsed = append(parsed, netip.MustParsePrefix(p))
	}
	return parsed
}

// public says that an address is somebody's on the public internet.
func public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Zone() != "" {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
