package strikeplate_test

import (
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate"
)

// FuzzForwardedFor holds the walk to what it promises, for a header of up to
// two lines behind proxies in 10.0.0.0/8 and 2001:db8::/32.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range [][2]string{
		{"198.51.100.1", ""}, {"192.0.2.1, 198.51.100.1", "10.0.0.2"}, {"10.0.0.4,10.0.0.3", "10.0.0.2"},
		{"[2001:db8::7]:4711", "2001:db8::8"}, {"fe80::1%eth0", "[2001:db8::7]"}, {"::ffff:198.51.100.1", "::ffff:10.0.0.2"},
		{"unknown, 10.0.0.2", " , "}, {"198.51.100.1:80", "\t10.0.0.2:443 "}, {"[[::1]]", "]10.0.0.2["},
		{strings.Repeat("10.0.0.2,", 100), strings.Repeat(",", 100)}, {"1.2.3.4\x00", "\xff"},
	} {
		f.Add("10.0.0.1:443", seed[0], seed[1])
		f.Add("203.0.113.9:5000", seed[0], seed[1])
		f.Add("[2001:db8::1%eth0]:1", seed[0], seed[1])
	}
	f.Add("@", "198.51.100.1", "")
	f.Add("", "", "")

	trusted := prefixes("10.0.0.0/8", "2001:db8::/32")
	proxy := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	f.Fuzz(func(t *testing.T, peer, first, second string) {
		r := get()
		r.RemoteAddr = peer
		socket := clientOf(strikeplate.Edge{TrustedProxies: trusted}, r)
		r.Header["X-Forwarded-For"] = []string{first, second}
		client := clientOf(strikeplate.Edge{TrustedProxies: trusted}, r)

		if client.Zone() != "" || client.Is4In6() {
			t.Errorf("client %v would match no prefix", client)
		}
		if !proxy(socket) && client != socket {
			t.Errorf("client %v, told by %v, which is no proxy", client, socket)
		}
		// More to the left changes nothing once the client is found.
		if !proxy(client) {
			r.Header["X-Forwarded-For"] = []string{"203.0.113.200", "127.0.0.1, " + first, second}
			if again := clientOf(strikeplate.Edge{TrustedProxies: trusted}, r); again != client {
				t.Errorf("client %v became %v by what stands to the left", client, again)
			}
		}
		if want := walk(socket, first+","+second, proxy); client != want {
			t.Errorf("client %v, want %v", client, want)
		}
	})
}

// walk is the rule in the fewest words: right to left, as far as proxies go.
func walk(client netip.Addr, header string, proxy func(netip.Addr) bool) netip.Addr {
	port := regexp.MustCompile(`^(\[.*\]|[0-9.]+):([0-9]+)$`)
	elements := strings.Split(header, ",")
	slices.Reverse(elements)
	for _, element := range elements[:min(64, len(elements))] {
		element = strings.Trim(element, " \t")
		if !proxy(client) || len(element) > 64 {
			return client
		}
		if port.MatchString(element) {
			ap, err := netip.ParseAddrPort(element)
			if err != nil {
				return client
			}
			element = ap.Addr().String()
		} else if strings.HasPrefix(element, "[") && strings.HasSuffix(element, "]") {
			element = element[1 : len(element)-1]
		}
		a, err := netip.ParseAddr(element)
		if err != nil {
			return client
		}
		client = a.Unmap().WithZone("")
	}
	return client
}

// FuzzRequestID: whatever is sent, what is used and answered has the one form.
func FuzzRequestID(f *testing.F) {
	for _, seed := range []string{"", "a", "azAZ09_-", strings.Repeat("a", 64), strings.Repeat("a", 65), "a b", "a\r\nX: 1",
		"\x00", "\x7f", "é", "\xc1", "<script>", "@", "[", "`", "{", "/", ":", "\u212a", "\u017f"} {
		f.Add(seed)
	}
	form := regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	f.Fuzz(func(t *testing.T, id string) {
		var got string
		r := get()
		r.Header["X-Request-Id"] = []string{id}
		w := serve(strikeplate.Edge{TrustRequestID: true}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = strikeplate.ExchangeFrom(r.Context()).ID()
		})), r)
		whole := form.MatchString(id) && !strings.HasSuffix(id, "\n")
		if !form.MatchString(got) || w.Header().Get("X-Request-Id") != got || whole != (got == id) {
			t.Errorf("%q became %q, answered as %q", id, got, w.Header().Get("X-Request-Id"))
		}
	})
}
