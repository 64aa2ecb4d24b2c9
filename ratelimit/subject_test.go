package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/ratelimit"
)

func TestWhatIsCounted(t *testing.T) {
	p := func(change func(*strikeplate.Principal)) *strikeplate.Principal {
		p := &strikeplate.Principal{Organisation: "acme", Environment: strikeplate.Live, Lineage: "l", Credential: "k", Subject: "u", ClientID: "c"}
		change(p)
		return p
	}
	same := p(func(*strikeplate.Principal) {})
	for _, c := range []struct {
		name  string
		by    ratelimit.By
		other *strikeplate.Principal
		apart bool
	}{
		{"another key of the organisation", ratelimit.ByOrganisation, p(func(p *strikeplate.Principal) { p.Lineage, p.Credential, p.Subject, p.ClientID = "x", "x", "x", "x" }), false},
		{"another organisation", ratelimit.ByOrganisation, p(func(p *strikeplate.Principal) { p.Organisation = "other" }), true},
		{"a test key", ratelimit.ByOrganisation, p(func(p *strikeplate.Principal) { p.Environment = strikeplate.Test }), true},
		{"a rotated key", ratelimit.ByLineage, p(func(p *strikeplate.Principal) { p.Credential = "x" }), false},
		{"another key", ratelimit.ByLineage, p(func(p *strikeplate.Principal) { p.Lineage = "x" }), true},
		{"a key without lineage", ratelimit.ByLineage, p(func(p *strikeplate.Principal) { p.Lineage = "" }), true},
		{"another key of the user", ratelimit.ByUser, p(func(p *strikeplate.Principal) { p.Lineage, p.Credential, p.ClientID = "x", "x", "x" }), false},
		{"another user", ratelimit.ByUser, p(func(p *strikeplate.Principal) { p.Subject = "x" }), true},
		{"the user's namesake elsewhere", ratelimit.ByUser, p(func(p *strikeplate.Principal) { p.Organisation = "x" }), true},
		{"the client elsewhere", ratelimit.ByClient, p(func(p *strikeplate.Principal) { p.Organisation = "x" }), false},
		{"another client", ratelimit.ByClient, p(func(p *strikeplate.Principal) { p.ClientID = "x" }), true},
	} {
		a, b := c.by(nil, same), c.by(nil, c.other)
		if a == "" || b == "" || (a != b) != c.apart {
			t.Errorf("%s: counted apart is %v, want %v", c.name, a != b, c.apart)
		}
	}
	kinds := map[string]bool{}
	for _, by := range []ratelimit.By{ratelimit.ByOrganisation, ratelimit.ByLineage, ratelimit.ByUser, ratelimit.ByClient} {
		if by(nil, nil) != "" {
			t.Error("applies to nobody")
		}
		kinds[by(nil, &strikeplate.Principal{Organisation: "x", Lineage: "x", Subject: "x", ClientID: "x"})] = true
	}
	if len(kinds) != 4 {
		t.Error("kinds of things share counters")
	}
	if ratelimit.ByUser(nil, &strikeplate.Principal{}) != "" || ratelimit.ByClient(nil, &strikeplate.Principal{}) != "" {
		t.Error("applies where there is no user or client")
	}
}

// by returns what is counted for a caller from an address.
func by(t *testing.T, by ratelimit.By, address string) (key string) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = address
	strikeplate.Edge{}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		key = by(r, nil)
	})).ServeHTTP(httptest.NewRecorder(), r)
	return key
}

func TestThreat24AddressesByTheNetworkThatACallerCommands(t *testing.T) {
	for _, c := range []struct {
		a, b             string
		address, network bool // counted together
	}{
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:2", true, true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false, true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:ffff::1]:1", false, true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:2:2::1]:1", false, false},
		{"[::ffff:192.0.2.1]:1", "192.0.2.1:1", true, false},
		{"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", false, false},
		{"192.0.2.1:1", "192.0.2.2:1", false, false},
		{"[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true, true},
		{"@", "", true, false}, // a Unix socket
		{"192.0.2.1:1", "@", false, false},
	} {
		if got := by(t, ratelimit.ByAddress, c.a) == by(t, ratelimit.ByAddress, c.b); got != c.address {
			t.Errorf("%s and %s: by address counted together is %v", c.a, c.b, got)
		}
		a, b := by(t, ratelimit.ByNetwork, c.a), by(t, ratelimit.ByNetwork, c.b)
		if got := a == b && a != ""; got != c.network {
			t.Errorf("%s and %s: by network counted together is %v", c.a, c.b, got)
		}
		if by(t, ratelimit.ByAddress, c.a) == "" {
			t.Errorf("%s is not limited", c.a)
		}
	}
	if by(t, ratelimit.ByNetwork, "192.0.2.1:1") != "" {
		t.Error("an IPv4 network is limited")
	}
	if by(t, ratelimit.ByAddress, "[2001:db8::1]:1") == by(t, ratelimit.ByNetwork, "[2001:db8::1]:1") {
		t.Error("an address and its network share a counter")
	}
}

// Whoever has a /48 has 65,536 of the /64, and spends the wider policy with them.
func TestThreat24AWiderPolicyBindsWhoHasManyNetworks(t *testing.T) {
	l := must(ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Policy: policy("address", 2, hundred.Period), By: ratelimit.ByAddress},
		{Policy: policy("network", 5, hundred.Period), By: ratelimit.ByNetwork},
	}}))
	h := strikeplate.Edge{}.Handler(l.Handler(strikeplate.Require(keys)(hello)))
	passed := 0
	for i := range 100 {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, 0, byte(i), 15: 1})
		if ask(h, "wrong", from(a.String())).StatusCode == 401 {
			passed++
		}
	}
	if passed != 5 {
		t.Errorf("%d of 100 from one /48 passed, want 5", passed)
	}
}

// What a client writes into X-Forwarded-For is no address, unless a proxy is named.
func TestTrap7ForwardedForIsNotTakenFromAnybody(t *testing.T) {
	forwarded := func(who string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Forwarded-For", who) }
	}
	inner := byAddress(1).Handler(strikeplate.Require(keys)(hello))
	h := strikeplate.Edge{}.Handler(inner)
	ask(h, "wrong", forwarded("198.51.100.1"))
	if got := ask(h, "wrong", forwarded("198.51.100.2")).StatusCode; got != 429 {
		t.Errorf("a made-up address brought a fresh quota: %d", got)
	}
	h = strikeplate.Edge{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}.Handler(inner)
	ask(h, "wrong", forwarded("spoofed, 198.51.100.3"))
	if got := ask(h, "wrong", forwarded("other, 198.51.100.3")).StatusCode; got != 429 {
		t.Errorf("the leftmost value was believed: %d", got)
	}
	if got := ask(h, "wrong", forwarded("198.51.100.4")).StatusCode; got != 401 {
		t.Errorf("a named proxy's word was not believed: %d", got)
	}
}
