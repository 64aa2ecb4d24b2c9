package demo

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
)

// Options are what a server is started with. The zero value is a server in memory
// on a port that is picked.
type Options struct {
	// Addr to listen on; empty: 127.0.0.1:0.
	Addr string
	// DB is a file of SQLite, or postgres://…; empty: everything is in memory.
	DB string
	// Redis counts requests, so that several instances share their limits; empty:
	// each counts its own.
	Redis string
	// Credentials is a file to write keys and addresses to; empty: they are printed.
	Credentials string
	// TrustedProxies are networks, separated by commas.
	TrustedProxies string
	// Reseed fills the database anew, with fresh secrets.
	Reseed bool
	// InsecureDemo allows an Addr that others reach.
	InsecureDemo bool
	// InsecureCheapHashes makes the demo's keys quickly, for tests.
	InsecureCheapHashes bool
	// Out is where the server says what to try; nil: nowhere.
	Out io.Writer
}

func parse(name string, args []string) (Options, error) {
	var o Options
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&o.Addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks one")
	flags.StringVar(&o.DB, "db", "", "a SQLite `file`, or postgres://…; empty: in memory")
	flags.StringVar(&o.Redis, "redis", "", "`URL` of a Redis that counts requests for all instances")
	flags.StringVar(&o.Credentials, "credentials", "", "write keys and addresses to this `file` (JSON) when ready")
	flags.StringVar(&o.TrustedProxies, "trusted-proxies", "", "`networks` whose X-Forwarded-For is believed, separated by commas")
	flags.BoolVar(&o.Reseed, "reseed", false, "fill the database anew, with fresh secrets")
	flags.BoolVar(&o.InsecureDemo, "insecure-demo", false, "allow an address that others reach: they can sign in as anybody")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%s takes flags only, not %q", name, flags.Arg(0))
	}
	return o, nil
}

// listen refuses addresses that others reach, before anything listens there.
func (o Options) listen() (net.Listener, error) {
	addr := o.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-addr: %w", err)
	}
	if !resolved.IP.IsLoopback() && !o.InsecureDemo {
		return nil, fmt.Errorf("-addr %s can be reached by others, who could sign in as anybody: use 127.0.0.1, or say -insecure-demo", addr)
	}
	return net.ListenTCP("tcp", resolved)
}

func (o Options) proxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for text := range strings.SplitSeq(o.TrustedProxies, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		network, err := netip.ParsePrefix(text)
		if addr, bad := netip.ParseAddr(text); bad == nil {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("-trusted-proxies: %q is no network such as 10.0.0.0/8", text)
		}
		all = append(all, network)
	}
	return all, nil
}
