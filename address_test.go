package strikeplate_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate"
)

func prefixes(all ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// clientOf is who an Edge takes for the client.
func clientOf(e strikeplate.Edge, r *http.Request) (client netip.Addr) {
	e.Done = append(e.Done, func(x *strikeplate.Exchange) { client = x.Client() })
	serve(e.Handler(ok), r)
	return client
}

func TestClient(t *testing.T) {
	const proxy, peer = "10.0.0.1:443", "203.0.113.9:5000"
	inside := prefixes("10.0.0.0/8", "2001:db8:aaaa::/48")
	for _, c := range []struct {
		name    string
		peer    string
		trusted []netip.Prefix
		lines   []string
		want    string // "" is the zero Addr
	}{
		{"no header", peer, inside, nil, "203.0.113.9"},
		{"no proxy named", "10.0.0.1:443", nil, []string{"198.51.100.1"}, "10.0.0.1"},
		{"the peer isn't a proxy", peer, inside, []string{"198.51.100.1"}, "203.0.113.9"},
		{"a proxy tells", proxy, inside, []string{"198.51.100.1"}, "198.51.100.1"},
		{"spoofed to the left", proxy, inside, []string{"127.0.0.1, 192.0.2.1, 198.51.100.1"}, "198.51.100.1"},
		{"spoofed trusted address to the left", proxy, inside, []string{"10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		{"through two proxies", proxy, inside, []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"spoofed in a line of its own", proxy, inside, []string{"192.0.2.1", "198.51.100.1"}, "198.51.100.1"},
		{"two proxies, two lines", proxy, inside, []string{"192.0.2.1, 198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"proxies all the way", proxy, inside, []string{"10.0.0.4, 10.0.0.3"}, "10.0.0.4"},
		{"spaces and tabs", proxy, inside, []string{"\t 198.51.100.1 \t,  10.0.0.2 "}, "198.51.100.1"},
		{"no spaces", proxy, inside, []string{"198.51.100.1,10.0.0.2"}, "198.51.100.1"},
		{"with a port", proxy, inside, []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"IPv6", proxy, inside, []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 in brackets", proxy, inside, []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"IPv6 with a port", proxy, inside, []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"IPv6 with a zone", proxy, inside, []string{"fe80::7%eth0"}, "fe80::7"},
		{"IPv4 in IPv6 is the IPv4 address", proxy, inside, []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"a proxy's IPv4 in IPv6", proxy, inside, []string{"198.51.100.1, ::ffff:10.0.0.2"}, "198.51.100.1"},
		{"an IPv6 proxy", "[2001:db8:aaaa::1]:443", inside, []string{"198.51.100.1"}, "198.51.100.1"},
		{"an IPv6 proxy with a zone", "[fe80::1%eth0]:443", prefixes("fe80::/10"), []string{"198.51.100.1"}, "198.51.100.1"},
		{"the peer's IPv4 in IPv6", "[::ffff:10.0.0.1]:443", inside, []string{"198.51.100.1"}, "198.51.100.1"},
		{"trusted written as IPv4 in IPv6", proxy, prefixes("::ffff:10.0.0.0/104"), []string{"198.51.100.1"}, "198.51.100.1"},
		{"IPv4 in IPv6 narrower than IPv4", proxy, prefixes("::ffff:0:0/64"), []string{"198.51.100.1"}, "10.0.0.1"},
		{"an invalid prefix trusts nobody", proxy, []netip.Prefix{{}}, []string{"198.51.100.1"}, "10.0.0.1"},

		// What a trusted proxy writes and nobody can read stops the walk there.
		{"garbage", proxy, inside, []string{"unknown"}, "10.0.0.1"},
		{"garbage before a proxy", proxy, inside, []string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"garbage beyond the client", proxy, inside, []string{"<script>, 198.51.100.1"}, "198.51.100.1"},
		{"an empty line", proxy, inside, []string{""}, "10.0.0.1"},
		{"an empty element", proxy, inside, []string{"198.51.100.1, , 10.0.0.2"}, "10.0.0.2"},
		{"unbalanced brackets", proxy, inside, []string{"[2001:db8::7"}, "10.0.0.1"},
		{"doubled brackets", proxy, inside, []string{"[[2001:db8::7]]"}, "10.0.0.1"},
		{"brackets turned round", proxy, inside, []string{"]198.51.100.1["}, "10.0.0.1"},
		{"a host name", proxy, inside, []string{"localhost"}, "10.0.0.1"},
		{"leading zeros", proxy, inside, []string{"198.051.100.001"}, "10.0.0.1"},
		{"a bad port", proxy, inside, []string{"198.51.100.1:99999"}, "10.0.0.1"},
		{"a NUL", proxy, inside, []string{"198.51.100.1\x00"}, "10.0.0.1"},
		{"a comma in Unicode", proxy, inside, []string{"198.51.100.1\uff0c10.0.0.2"}, "10.0.0.1"},

		{"a Unix socket", "@", inside, []string{"198.51.100.1"}, ""},
		{"no peer", "", inside, []string{"198.51.100.1"}, ""},
		{"a peer that a middleware rewrote", "203.0.113.9", inside, nil, "203.0.113.9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := get()
			r.RemoteAddr = c.peer
			r.Header["X-Forwarded-For"] = c.lines
			want := netip.Addr{}
			if c.want != "" {
				want = netip.MustParseAddr(c.want)
			}
			if got := clientOf(strikeplate.Edge{TrustedProxies: c.trusted, Logger: (&logged{}).logger()}, r); got != want {
				t.Errorf("client %v, want %v", got, want)
			}
		})
	}
}

// A header of a megabyte costs neither a megabyte nor a long walk, even if
// everything in it is trusted.
func TestClientWorkIsBounded(t *testing.T) {
	e := strikeplate.Edge{TrustedProxies: prefixes("10.0.0.0/8")}
	for name, lines := range map[string][]string{
		"10,000 proxies":          {strings.Repeat("10.0.0.2, ", 9_999) + "10.0.0.2"},
		"10,000 lines":            slices.Repeat([]string{"10.0.0.2"}, 10_000),
		"10,000 empty elements":   {strings.Repeat(",", 10_000)},
		"10,000 beyond a client":  {strings.Repeat("192.0.2.1, ", 10_000) + "198.51.100.1"},
		"one element of 1,000 kB": {strings.Repeat("1", 1_000_000)},
		"zone of 1,000 kB":        {"fe80::1%" + strings.Repeat("z", 1_000_000)},
	} {
		t.Run(name, func(t *testing.T) {
			r := get()
			r.RemoteAddr = "10.0.0.1:443"
			r.Header["X-Forwarded-For"] = lines
			h := e.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			w := bare{http.Header{}}
			allocs := testing.AllocsPerRun(20, func() { h.ServeHTTP(w, r) })
			if allocs > 20 {
				t.Errorf("%v allocations", allocs)
			}
		})
	}
}

// Nobody legitimate stands behind this many proxies; the walk ends at one of
// ours then, never at what a client wrote.
func TestClientWalkEndsAtATrustedHop(t *testing.T) {
	r := get()
	r.RemoteAddr = "10.0.0.1:443"
	r.Header.Set("X-Forwarded-For", "198.51.100.1"+strings.Repeat(", 10.0.0.2", 10_000))
	got := clientOf(strikeplate.Edge{TrustedProxies: prefixes("10.0.0.0/8")}, r)
	if want := netip.MustParseAddr("10.0.0.2"); got != want {
		t.Errorf("client %v, want %v", got, want)
	}
}

// The caller may go on using its slice.
func TestTrustedProxiesAreCopied(t *testing.T) {
	trusted := prefixes("10.0.0.0/8")
	var client netip.Addr
	h := strikeplate.Edge{TrustedProxies: trusted, Done: []func(*strikeplate.Exchange){
		func(x *strikeplate.Exchange) { client = x.Client() }}}.Handler(ok)
	trusted[0] = netip.MustParsePrefix("0.0.0.0/0")
	r := get()
	r.Header.Set("X-Forwarded-For", "198.51.100.1") // from httptest's 192.0.2.1
	serve(h, r)
	if want := netip.MustParseAddr("192.0.2.1"); client != want {
		t.Errorf("client %v, want %v", client, want)
	}
}

// THREATS: warn once when a private peer sends X-Forwarded-For and no proxy is named.
func TestWarnsOfAnUnnamedProxyOnce(t *testing.T) {
	for _, c := range []struct {
		name, peer string
		trusted    []netip.Prefix
		forwarded  bool
		want       int
	}{
		{"private", "10.0.0.1:1", nil, true, 1},
		{"private IPv6", "[fd00::1]:1", nil, true, 1},
		{"loopback", "127.0.0.1:1", nil, true, 1},
		{"link-local", "[fe80::1%eth0]:1", nil, true, 1},
		{"public", "203.0.113.9:1", nil, true, 0},
		{"no header", "10.0.0.1:1", nil, false, 0},
		{"a proxy is named", "10.0.0.1:1", prefixes("192.168.0.0/16"), true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log logged
			h := strikeplate.Edge{TrustedProxies: c.trusted, Logger: log.logger()}.Handler(ok)
			for range 3 {
				r := get()
				r.RemoteAddr = c.peer
				if c.forwarded {
					r.Header.Set("X-Forwarded-For", "198.51.100.1")
				}
				serve(h, r)
			}
			lines := log.lines(t)
			if len(lines) != c.want {
				t.Fatalf("%d warnings, want %d: %v", len(lines), c.want, lines)
			}
			if c.want == 1 && lines[0]["level"] != "WARN" {
				t.Errorf("level %v, want WARN", lines[0]["level"])
			}
		})
	}
}
