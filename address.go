package strikeplate

import (
	"net/http"
	"net/netip"
	"strings"
)

const forwardedFor = "X-Forwarded-For"

const (
	maxHops = 64 // nobody stands behind more proxies; a header of 1 MB could name 100,000
	maxHop  = 64 // bytes of an address with a zone and a port
)

// plain gives each address one form, so that prefixes match it: IPv4 is never
// dressed as IPv6, and a zone, which means something on one machine only, is gone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// plainPrefixes does the same to prefixes, in a copy of the caller's slice.
func plainPrefixes(all []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		out = append(out, p)
	}
	return out
}

// peerAddr is the socket's other end; the zero Addr where that isn't IP. Some
// middlewares rewrite RemoteAddr to an address without a port.
func peerAddr(r *http.Request) netip.Addr {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return plain(ap.Addr())
	}
	a, _ := netip.ParseAddr(r.RemoteAddr)
	return plain(a)
}

func (e *edge) trusted(a netip.Addr) bool {
	for _, p := range e.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// client walks X-Forwarded-For from right to left. Each proxy appends the peer
// it saw, so everything left of the first untrusted address was written by the
// client and means nothing.
func (e *edge) client(peer netip.Addr, r *http.Request) netip.Addr {
	lines := r.Header[forwardedFor]
	if len(lines) == 0 {
		return peer
	}
	if len(e.TrustedProxies) == 0 {
		e.warnUnnamedProxy(peer)
		return peer
	}
	client, hops := peer, 0
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; hops++ {
			if hops == maxHops || !e.trusted(client) {
				return client
			}
			var hop string
			rest, hop, more = cutLast(rest)
			a, ok := parseHop(hop)
			if !ok {
				return client // what wrote this is the last hop we know
			}
			client = a
		}
	}
	return client
}

// cutLast splits off the last element of a comma-separated list.
func cutLast(list string) (rest, last string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], list[i+1:], true
	}
	return "", list, false
}

// parseHop reads an address, which some proxies write with brackets or a port.
func parseHop(hop string) (netip.Addr, bool) {
	hop = strings.Trim(hop, " \t")
	if len(hop) > maxHop {
		return netip.Addr{}, false
	}
	if inner, ok := strings.CutPrefix(hop, "["); !ok {
		if a, err := netip.ParseAddr(hop); err == nil {
			return plain(a), true
		}
	} else if inner, ok = strings.CutSuffix(inner, "]"); ok {
		a, err := netip.ParseAddr(inner)
		return plain(a), err == nil
	}
	ap, err := netip.ParseAddrPort(hop)
	return plain(ap.Addr()), err == nil
}

// warnUnnamedProxy tells once that a proxy seems to stand in front unnamed:
// then every client shares the proxy's address, and allowlists refuse them all.
func (e *edge) warnUnnamedProxy(peer netip.Addr) {
	if !peer.IsPrivate() && !peer.IsLoopback() && !peer.IsLinkLocalUnicast() {
		return
	}
	e.warnForwarded.Do(func() {
		e.logger().Warn("a private peer sends "+forwardedFor+" but no proxy is trusted: "+
			"clients are told apart by the peer's address only; name the proxy in Edge.TrustedProxies",
			"peer", peer)
	})
}
