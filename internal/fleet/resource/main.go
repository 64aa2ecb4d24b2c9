// Resource is a server that accepts the JWTs of one issuer, whose keys it finds by
// discovery. The harness starts some, and takes the issuer away.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "`address` to listen on")
	issuer := flag.String("issuer", "", "`URL` of the issuer")
	refresh := flag.Duration("refresh", time.Second, "how often its keys are fetched")
	stale := flag.Duration("stale", 5*time.Second, "how long its keys count while they can't be fetched")
	flag.Parse()
	if err := run(*addr, *issuer, *refresh, *stale); err != nil {
		log.Fatal(err)
	}
}

func run(addr, issuer string, refresh, stale time.Duration) error {
	api, err := oauth.NewResource(oauth.ResourceConfig{
		Identifier: "http://127.0.0.1/api", InsecureHTTP: true, InsecureNoDirectory: true,
		Metadata: oauth.Metadata{AuthorizationServers: []string{issuer}},
	})
	if err != nil {
		return err
	}
	defer func() { _ = api.Close(context.Background()) }()
	tokens, err := oauth.NewJWT(oauth.JWTConfig{
		Resource: api,
		Issuers:  []oauth.Issuer{{URL: issuer, InsecureHTTP: true, Trust: oauth.Trust{Organisations: []string{"acme"}}}},
		Fetch:    oauth.Fetch{Timeout: time.Second, Refresh: refresh, MaxStale: stale},
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	// Not readiness, which a server without keys doesn't have: whether it listens.
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /", strikeplate.Require(tokens)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	var edge strikeplate.Edge
	server := &http.Server{Handler: edge.Handler(mux), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}
