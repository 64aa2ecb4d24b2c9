package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/scope"
)

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks one")
	flag.StringVar(&o.upstream, "upstream", "", "`URL` of the service; empty: one that answers with what it was sent")
	flag.StringVar(&o.routes, "routes", "", "`file` of routes and what each requires; empty: the example's")
	flag.StringVar(&o.proxies, "proxies", "", "`networks` of proxies that may ask at /-/auth and whose X-Forwarded-For is believed, separated by commas")
	flag.StringVar(&o.credentials, "credentials", "", "write addresses and keys to this `file` (JSON) when ready")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, func(text string) { fmt.Print(text) })
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

type options struct{ addr, upstream, routes, proxies, credentials string }

// run is the wiring. A real gateway opens the service's own store of keys here,
// storage/postgres for example, and mints none.
func run(ctx context.Context, o options, say func(string)) error { //nolint:funlen // the wiring, to be read from top to bottom
	declared, err := o.readRoutes()
	if err != nil {
		return err
	}
	proxies, err := networks(o.proxies)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, o.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	upstream, end, err := o.service(ctx)
	if err != nil {
		return err
	}
	defer end()
	d, err := mint(ctx, "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	defer d.store.Close(context.Background())
	keys, err := keyauth.New(keyauth.Config{Scheme: d.scheme, Keys: d.store, Directory: d.store, Feed: d.store})
	if err != nil {
		return err
	}
	defer keys.Close(context.Background())
	byAddress, byOrganisation, err := limits()
	if err != nil {
		return err
	}

	// The same routes twice: what is behind them is the service, or the answer that
	// another proxy wants.
	authenticated := func(next http.Handler) http.Handler {
		return strikeplate.Require(keys)(byOrganisation.Handler(next))
	}
	guarded := func(behind http.Handler) http.Handler {
		routes := scope.NewRoutes(scope.Plain{}, nil, nil)
		for _, r := range declared {
			if r.public {
				routes.Public(r.pattern, behind)
			} else {
				routes.Handle(r.pattern, r.need, behind)
			}
		}
		return byAddress.Handler(unambiguous(routes.Behind(authenticated)))
	}
	edge := strikeplate.Edge{TrustedProxies: proxies, Refusing: []func(http.Header, *http.Request, *strikeplate.Principal){byOrganisation.Refusing}}
	beside := forwardAuth(proxies, guarded(http.HandlerFunc(allow)))
	handler := edge.Handler(split(beside, guarded(keys.EndWithKey(proxy(upstream)))))

	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	if err := d.announce(o.credentials, upstream.String(), say); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

// split keeps what other proxies ask apart from what clients do.
func split(beside, clients http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.RequestURI, ownPaths) {
			beside.ServeHTTP(w, r)
			return
		}
		clients.ServeHTTP(w, r)
	})
}

func limits() (byAddress, byOrganisation *ratelimit.Limiter, err error) {
	byAddress, err = ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Policy: ratelimit.Policy{Name: "address", Limit: 600, Period: time.Minute}, By: ratelimit.ByAddress,
	}}})
	if err != nil {
		return nil, nil, err
	}
	byOrganisation, err = ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Policy: ratelimit.Policy{Name: "organisation", Limit: 300, Period: time.Minute}, By: ratelimit.ByOrganisation,
	}}})
	return byAddress, byOrganisation, err
}

// networks reads addresses and networks that are separated by commas.
func networks(list string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		network, err := netip.ParsePrefix(text)
		if addr, bad := netip.ParseAddr(text); bad == nil {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("-proxies: %q is no network such as 10.0.0.0/8", text)
		}
		all = append(all, network)
	}
	return all, nil
}
