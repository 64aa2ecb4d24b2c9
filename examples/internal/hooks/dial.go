package hooks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// errAddress: a name leads to where nothing may be sent.
var errAddress = errors.New("the address is not a public one")

// special are the networks that are not somebody's public server (RFC 6890 and its
// successors), beside those that package netip tells: loopback, private,
// link-local, multicast and unspecified ones.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carriers' own
	netip.MustParsePrefix("192.0.0.0/24"),    // protocols
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // relays, of former times
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
}

// global are the only IPv6 addresses that are given out, less what in them is
// special: tunnels (2001::/23, 2002::/16), which lead to IPv4 addresses, and
// documentation.
var (
	global      = netip.MustParsePrefix("2000::/3")
	specialIPv6 = []netip.Prefix{
		netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"),
	}
)

// public reports whether an address is of the public internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || a.IsPrivate() || !a.IsGlobalUnicast() {
		return false
	}
	networks := special
	if a.Is6() {
		if !global.Contains(a) {
			return false
		}
		networks = specialIPv6
	}
	for _, n := range networks {
		if n.Contains(a) {
			return false
		}
	}
	return true
}

// reaches says where deliveries may go.
type reaches struct{ loopback bool }

func (r reaches) address(a netip.Addr) bool {
	return public(a) || r.loopback && a.Unmap().IsLoopback()
}

// control is asked by the dialer for each address that a name led to, right before
// the connection is made.
func (r reaches) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !r.address(to.Addr()) {
		return errAddress
	}
	return nil
}

const maxURL = 1000

// check says what is wrong with a URL that somebody wants to be called: "" is
// nothing. What a name leads to is checked when it is dialled.
func (r reaches) check(text string) string {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || !storage.ValidText(text) || u.Opaque != "" || u.Hostname() == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return fmt.Sprintf("It is an absolute https URL of at most %d characters.", maxURL)
	}
	if u.User != nil || u.Fragment != "" {
		return "It has no user name, no password and no fragment."
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	a, err := netip.ParseAddr(host)
	local := err == nil && a.Unmap().IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
	switch {
	case local && r.loopback && (u.Scheme == "https" || u.Scheme == "http"):
		return ""
	case u.Scheme != "https":
		return "It begins with https://."
	case local || err == nil && !public(a):
		return "Its host is a public one."
	}
	return ""
}

// client sends to where it may.
func (r reaches) client() *http.Client {
	dialer := &net.Dialer{Timeout: 3 * time.Second, Control: r.control}
	transport := &http.Transport{
		Proxy:                  nil, // a proxy would dial for us, and check nothing
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    3 * time.Second,
		ResponseHeaderTimeout:  patience,
		MaxResponseHeaderBytes: 16 << 10,
		DisableKeepAlives:      true, // each delivery is dialled, and so checked, anew
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{
		Transport:     transport,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

const patience = 5 * time.Second

// told is a failure in words for the webhook's owner: no address, and no text
// that another server sent.
func told(err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, errAddress):
		return errAddress.Error()
	case errors.As(err, &dns):
		return "the host's name leads nowhere"
	case errors.Is(err, context.DeadlineExceeded) || timeout(err):
		return "no answer within " + patience.String()
	default:
		return "no connection, or it broke"
	}
}

func timeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
