package strikeplate

import (
	"net/http"
	"net/netip"
	"strings"
)

const forwardedFor = "X-Forwarded-For"

// peerAddr is the socket's other end; the zero Addr where that isn't IP.
func peerAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
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
	client := peer
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			if !e.trusted(client) {
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

// parseHop reads an address, which some proxies write with a port.
func parseHop(hop string) (netip.Addr, bool) {
	hop = strings.TrimSpace(hop)
	if a, err := netip.ParseAddr(strings.Trim(hop, "[]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(hop); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// warnUnnamedProxy tells once that a proxy seems to stand in front unnamed:
// then every client shares the proxy's address, and allowlists refuse them all.
func (e *edge) warnUnnamedProxy(peer netip.Addr) {
	if !peer.IsPrivate() && !peer.IsLoopback() {
		return
	}
	e.warnForwarded.Do(func() {
		e.Logger.Warn("a private peer sends "+forwardedFor+" but no proxy is trusted: "+
			"clients are told apart by the peer's address only; name the proxy in Edge.TrustedProxies",
			"peer", peer)
	})
}
