// Console-demo shows the Developer page with made-up organisations, keys, apps and
// usage, a sign-in that believes everybody, and an API of two calls for the keys.
// It listens on loopback only.
//
//	go run -C examples ./console-demo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "loopback `address` to listen on; port 0 picks one")
	credentials := flag.String("credentials", "", "write the address and the people to this `file` (JSON) when ready")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, func(url string) error {
		fmt.Println("Open " + url)
		return writeCredentials(*credentials, url)
	}); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends. It calls ready when it listens.
func run(ctx context.Context, addr string, ready func(url string) error) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return errors.New("the sign-in is a fake: -addr must be a loopback address")
	}
	store := memory.New()
	defer store.Close(context.Background())
	counter, err := usage.New(usage.Config{Store: store, Every: time.Second})
	if err != nil {
		return err
	}
	defer counter.Close(context.Background())
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	base := "http://" + listener.Addr().String()
	handler, err := handler(ctx, base, store, counter)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := ready(base + "/"); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// handler wires the page as a service would, and the fake sign-in around it.
func handler(ctx context.Context, base string, store *memory.Store, counter *usage.Counter) (http.Handler, error) {
	scheme, catalog, err := product()
	if err != nil {
		return nil, err
	}
	seal, err := newSeal()
	if err != nil {
		return nil, err
	}
	clock := &clock{}
	keys, err := manage.New(manage.Config{
		Scheme: scheme, Keys: store, Directory: store, Catalog: catalog, MaxKeys: 10,
		Terms:    manage.Terms{AllowlistPlans: []string{"team", "enterprise"}},
		Reveal:   manage.Reveal{Seal: seal},
		LastUsed: counter.LastUsed, Now: clock.now,
	})
	if err != nil {
		return nil, err
	}
	if err := seed(ctx, store, scheme, keys, clock); err != nil {
		return nil, err
	}
	sessions := &sessions{}
	oauth := &apps{now: time.Now}
	oauth.letIn()
	page, err := console.New(console.Config{
		Manage: keys, Scheme: scheme, Catalog: catalog, Terms: manage.Terms{AllowlistPlans: []string{"team", "enterprise"}},
		Usage: counter, Replays: store, Members: members{}, Apps: oauth,
		SignedIn: sessions.actor, FreshSignIn: sessions.since,
		Product: console.Product{
			Name: "Mavio", Base: "/settings/developer", Home: "/", Data: "meetings", EnvironmentVariable: "MAVIO_API_KEY",
			TryURL: base + "/v1/whoami", SignInURL: "/", Logo: "/logo.svg",
		},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if err := callable(ctx, mux, scheme, catalog, store, clock); err != nil {
		return nil, err
	}
	mux.Handle("/settings/developer/", page)
	mux.HandleFunc("GET /{$}", sessions.choose)
	mux.HandleFunc("GET /logo.svg", logo)
	mux.HandleFunc("POST /sign-in", sessions.signIn)
	edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){counter.Observe}}
	return edge.Handler(counter.Browsers(mux)), nil
}
