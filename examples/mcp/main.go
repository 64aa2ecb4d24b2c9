// Mcp is a Model Context Protocol server, of the official Go SDK, whose tools only
// those may call who have an access token or an API key. Clients find out by
// themselves where tokens come from: the server names itself and its authorization
// server (RFC 9728, RFC 8414), which is in the same program.
//
//	go run -C examples/mcp .
package main

import (
	"context"
	"crypto/rand"
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

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "loopback address to listen on; port 0 picks one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if a, ok := listener.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return errors.New("anybody can sign in here, so only loopback addresses are served")
	}
	s, err := newService(ctx, "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Printf("MCP at %s/mcp\nA client signs in by itself; or send: Authorization: Bearer %s\n", s.base, s.key)
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// service is all of it, at one base URL.
type service struct {
	base, key string
	store     *memory.Store
	api       *oauth.Resource
	tokens    *oauth.Opaque
	keys      *keyauth.Authenticator
	apps      *authserver.Server
	people    *people
	handler   http.Handler
}

func newService(ctx context.Context, base string) (*service, error) {
	s := &service{base: base, store: memory.New(), people: newPeople()}
	err := errors.Join(
		s.store.PutAccount(ctx, storage.Account{Organisation: "acme", Plan: "free"}),
		s.store.PutUser(ctx, storage.User{ID: "ada", Organisation: "acme", Name: "Ada", Role: "admin", Active: true}),
	)
	if err != nil {
		return nil, err
	}
	catalog, err := scope.NewCatalog(scope.Entry{Scope: "meetings:read", Description: "List your meetings"})
	if err != nil {
		return nil, err
	}
	if err := s.openOAuth(catalog); err != nil {
		return nil, err
	}
	if err := s.openKeys(ctx); err != nil {
		return nil, err
	}
	s.handler = s.routes()
	return s, nil
}

// openOAuth makes the authorization server, and what checks its tokens.
func (s *service) openOAuth(catalog *scope.Catalog) (err error) {
	s.apps, err = authserver.New(authserver.Config{
		Issuer: s.base, Store: s.store, Directory: s.store, Catalog: catalog,
		SignIn:    authserver.SignIn{Who: s.people.who, Page: signInPage},
		Tokens:    authserver.Tokens{Prefix: "demo_", Keys: [][]byte{secret()}},
		Audiences: authserver.Audiences{Service: s.base + "/mcp"},
		Clients:   authserver.Clients{Registration: &authserver.Registration{Scopes: catalog.Scopes()}},
	})
	if err != nil {
		return err
	}
	s.api, err = oauth.NewResource(oauth.ResourceConfig{
		Identifier: s.base + "/mcp", InsecureHTTP: true,
		Metadata: oauth.Metadata{AuthorizationServers: []string{s.base}, Ask: []string{"meetings:read"}, Name: "Meetings"},
		Catalog:  catalog, Directory: s.store, Feed: s.store,
	})
	if err != nil {
		return err
	}
	s.tokens, err = oauth.NewOpaque(oauth.OpaqueConfig{Resource: s.api, Grants: s.store, Prefix: "demo_"})
	return err
}

// openKeys makes API keys, for programs that nobody sits at, and mints one.
func (s *service) openKeys(ctx context.Context) error {
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{Formats: []keyauth.Format{{Prefix: "demo_"}}, TagKeys: [][]byte{secret()}})
	if err != nil {
		return err
	}
	if s.keys, err = keyauth.New(keyauth.Config{Scheme: scheme, Keys: s.store, Directory: s.store, Feed: s.store}); err != nil {
		return err
	}
	admin, err := manage.New(manage.Config{Scheme: scheme, Keys: s.store, Directory: s.store, MaxKeys: 10})
	if err != nil {
		return err
	}
	created, err := admin.Create(ctx, storage.Actor{User: "ada", Organisation: "acme", Role: "admin"},
		manage.Creation{Name: "MCP", Prefix: "demo_", Access: strikeplate.OrganisationLimited, Scopes: []string{"meetings:read"}})
	s.key = created.Secret.Reveal()
	return err
}

// routes puts the parts in front of the SDK's handler.
func (s *service) routes() http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "meetings", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "list_meetings", Description: "Lists the meetings that you may see"}, listMeetings)
	var handler http.Handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	handler = s.api.EndWithToken(handler) // a stream ends with its token
	// The SDK's own middleware tells it who calls, so that nobody takes another's
	// session over. Everything was decided before it.
	handler = auth.RequireBearerToken(caller(s.base), &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(handler)
	handler = scope.Require(scope.Plain{}, scope.Requirement{AllOf: []string{"meetings:read"}})(handler)
	handler = strikeplate.Require(s.tokens, s.keys)(handler)

	mux := http.NewServeMux()
	mux.Handle("/mcp", handler)
	mux.Handle(s.api.MetadataPath(), s.api.Metadata())
	mux.Handle("/oauth/", s.apps)
	mux.Handle("/.well-known/oauth-authorization-server", s.apps)
	mux.Handle("/sign-in", s.people)
	return strikeplate.Edge{Dialect: s.api.Dialect(strikeplate.ProblemJSON)}.Handler(mux)
}

// caller reads the Principal that Require left. Without one it fails: then Require
// doesn't stand in front.
func caller(issuer string) auth.TokenVerifier {
	return func(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
		p, ok := strikeplate.FromContext(ctx)
		if !ok {
			return nil, auth.ErrInvalidToken
		}
		user := issuer + "|" + p.Subject
		if p.Subject == "" {
			user = "key|" + p.Credential
		}
		return &auth.TokenInfo{UserID: user, Scopes: p.Scopes, Expiration: p.Expires, Extra: map[string]any{"principal": p}}, nil
	}
}

func (s *service) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = errors.Join(s.api.Close(ctx), s.keys.Close(ctx), s.store.Close(ctx))
}

func secret() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return b
}
