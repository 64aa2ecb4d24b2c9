package outward_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/outward"
)

func TestAddresses(t *testing.T) {
	for text, public := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1111": true, "172.15.0.1": true, "172.32.0.1": true, "100.63.0.1": true, "198.17.0.1": true,
		"127.0.0.1": false, "127.255.255.254": false, "::1": false, "0.0.0.0": false, "0.1.2.3": false, "::": false, "10.1.2.3": false,
		"172.16.0.1": false, "172.31.255.255": false, "192.168.0.1": false, "169.254.169.254": false, "100.64.0.1": false, "192.0.0.8": false,
		"192.0.2.1": false, "198.18.0.1": false, "203.0.113.9": false, "224.0.0.1": false, "239.1.1.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false, "2001:db8::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b:1::1": false,
		"2002:7f00:1::": false, "2001::1": false, "fec0::1": false,
	} {
		if got := outward.Public(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s is public: %t", text, got)
		}
	}
}

func TestClientStaysOutside(t *testing.T) {
	fetched := 0
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fetched++; r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	defer s.Close()
	config := s.Client().Transport.(*http.Transport).TLSClientConfig
	get := func(c outward.Config, url string) error {
		c.TLS, c.Timeout = config, 5*time.Second
		res, err := outward.Client(c).Get(url)
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	inside := outward.Config{InsecureLoopback: true}
	if err := get(inside, s.URL); err != nil || fetched != 1 {
		t.Fatalf("%v, fetched %d times", err, fetched)
	}
	if err := get(inside, s.URL+"/away"); !errors.Is(err, outward.ErrRedirect) || fetched != 2 {
		t.Errorf("a redirect: %v, fetched %d times", err, fetched)
	}
	if err := get(inside, "http://"+s.Listener.Addr().String()); !errors.Is(err, outward.ErrScheme) {
		t.Errorf("http: %v", err)
	}
	t.Setenv("HTTPS_PROXY", s.URL)
	for _, url := range []string{s.URL, "https://localhost:1/", "https://169.254.169.254/", "https://10.1.2.3/", "https://[fd00:ec2::254]/"} {
		if err := get(outward.Config{}, url); !errors.Is(err, outward.ErrAddress) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := get(inside, "https://10.1.2.3/"); !errors.Is(err, outward.ErrAddress) {
		t.Errorf("leave for loopback is leave for more: %v", err)
	}
}
