package fleet_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// line is one instance's way to one server.
type line struct {
	proxy *toxiproxy.Proxy
	toxic int
}

var proxies = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())

// newLine leads to the server that a URL names, and returns the URL through it.
func newLine(t testing.TB, name, target string) (l *line, through string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l = &line{proxy: toxiproxy.NewProxy(proxies, name, freeAddress(t), u.Host)}
	if err := l.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.proxy.Stop)
	u.Host = l.proxy.Listen
	return l, u.String()
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// spoil adds a toxic in both directions.
func (l *line) spoil(t testing.TB, kind, attributes string) {
	t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		l.toxic++
		_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
			`{"name": "t%d", "type": %q, "stream": %q, "attributes": %s}`, l.toxic, kind, stream, attributes)))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// hole swallows everything without an error, as a network does that fell apart.
func (l *line) hole(t testing.TB) { l.spoil(t, "timeout", `{"timeout": 0}`) }

// slow delays everything.
func (l *line) slow(t testing.TB, milliseconds int) {
	l.spoil(t, "latency", fmt.Sprintf(`{"latency": %d}`, milliseconds/2))
}

// reset ends every connection with a TCP reset, new ones too.
func (l *line) reset(t testing.TB) { l.spoil(t, "reset_peer", `{"timeout": 0}`) }

func (l *line) heal() { l.proxy.Toxics.ResetToxics(context.Background()) }
