package hooks_test

import (
	"net/netip"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/hooks"
)

func TestThreat17_PublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "93.184.216.34": true, "2606:4700::1111": true, "2a00:1450:4001::1": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.0.1": false, "169.254.169.254": false, "100.64.0.1": false, "100.127.255.255": false, "192.0.0.8": false, "192.0.2.1": false, "198.18.0.1": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "192.88.99.1": false,
		"::": false, "::1": false, "fe80::1": false, "fc00::1": false, "fd12::1": false, "ff02::1": false, "fec0::1": false, "2001:db8::1": false, "3fff::1": false,
		"2001::1": false, "2002:7f00:1::": false, "64:ff9b::7f00:1": false, "64:ff9b:1::1": false, "100::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false,
		"100.63.255.255": true, "100.128.0.1": true, "172.32.0.1": true, "2003::1": true,
	} {
		if got := hooks.Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if hooks.Public(netip.Addr{}) || hooks.Public(netip.MustParseAddr("2606:4700::1%eth0")) {
		t.Error("no address, or one with a zone, is public")
	}
}

// What a name leads to is looked at when it is dialled, so that no name changes
// its mind; a loopback address is allowed only where the demo says so.
func TestThreat17_DialingChecksAddresses(t *testing.T) {
	for address, want := range map[string][2]bool{
		"8.8.8.8:443": {true, true}, "127.0.0.1:80": {false, true}, "[::1]:80": {false, true}, "[::ffff:127.0.0.1]:80": {false, true},
		"10.0.0.1:443": {false, false}, "169.254.169.254:80": {false, false}, "[fd00::1]:443": {false, false}, "nonsense": {false, false}, "": {false, false},
	} {
		for i, loopback := range []bool{false, true} {
			if got := hooks.Dialled(loopback, address) == nil; got != want[i] {
				t.Errorf("%s, loopback %v: %v", address, loopback, got)
			}
		}
	}
}

func TestThreat17_URLs(t *testing.T) {
	for url, want := range map[string][2]bool{
		"https://example.com/hook": {true, true}, "https://example.com:8443/?a=b": {true, true}, "https://8.8.8.8/": {true, true},
		"http://127.0.0.1:9/x": {false, true}, "http://localhost/": {false, true}, "http://[::1]/": {false, true}, "https://localhost./": {false, true}, "http://a.localhost/": {false, true},
		"http://example.com/": {false, false}, "https://10.0.0.1/": {false, false}, "https://[::ffff:192.168.0.1]/": {false, false}, "https://user@example.com/": {false, false},
		"https://example.com/#f": {false, false}, "https:example.com": {false, false}, "https:///x": {false, false}, "gopher://example.com/": {false, false}, "file:///etc/passwd": {false, false},
		"": {false, false}, "https://example.com/\r\nX: y": {false, false}, "https://[::1": {false, false}, "HTTPS://EXAMPLE.COM/": {true, true},
	} {
		for i, loopback := range []bool{false, true} {
			if wrong := hooks.Checked(loopback, url); (wrong == "") != want[i] {
				t.Errorf("%q, loopback %v: %q", url, loopback, wrong)
			}
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, seed := range []string{"https://example.com/", "http://127.0.0.1/", "https://[::1]:80/%00", "https://2130706433/", "//", "https://a:b@c/#d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		if hooks.Checked(false, url) == "" && (len(url) < len("https://a") || url[:5] != "https" && url[0]|0x20 != 'h') {
			t.Errorf("%q passes", url)
		}
		if hooks.Checked(false, url) == "" && hooks.Checked(true, url) != "" {
			t.Errorf("%q passes only where more is allowed", url)
		}
	})
}
