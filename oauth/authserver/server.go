package authserver

import (
	"crypto/cipher"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/denials"
)

// Server is an authorization server. It is safe for concurrent use.
type Server struct {
	c       Config
	base    string // the issuer's path
	origin  string // the issuer's scheme and host
	keys    []keys // newest first
	sealers []cipher.AEAD
	pages   *pages
	signer  signer
	prover  prover
	docs    *documents
	denials denials.Log
	handler http.Handler

	failures, pushes, own, registrations *guard
}

// New checks c.
func New(c Config) (*Server, error) {
	s, err := newServer(c)
	if err != nil {
		return nil, fmt.Errorf("authserver: %w", err)
	}
	return s, nil
}

func newServer(c Config) (*Server, error) {
	if err := c.settle(); err != nil {
		return nil, err
	}
	issuer, err := url.Parse(c.Issuer)
	if err != nil {
		return nil, err // settle has parsed it
	}
	s := &Server{
		c: c, base: issuer.Path, origin: issuer.Scheme + "://" + issuer.Host,
		failures: newGuard(mostFailures), pushes: newGuard(mostPushed), own: newGuard(mostOwn), registrations: newGuard(mostRegistrations),
	}
	for _, secret := range c.Tokens.Keys {
		k, err := newKeys(secret)
		if err != nil {
			return nil, err
		}
		sealer, err := newSealer(k.sealing)
		if err != nil {
			return nil, err
		}
		s.keys, s.sealers = append(s.keys, k), append(s.sealers, sealer)
	}
	if s.prover, err = s.newProver(); err != nil {
		return nil, err
	}
	if s.pages, err = newPages(s); err != nil {
		return nil, err
	}
	if c.Tokens.Signing != nil {
		if err := s.SetSigningKeys(c.Tokens.Signing.Keys...); err != nil {
			return nil, err
		}
	}
	if c.Clients.Documents != nil {
		s.docs = newDocuments(*c.Clients.Documents, s.now, c.Logger)
	}
	s.handler = s.routes()
	return s, nil
}

// ServeHTTP implements [http.Handler]. Requests arrive with the whole path, the
// issuer's included.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// now is the caller's clock at the precision that every backend keeps.
func (s *Server) now() time.Time { return s.c.Now().UTC().Truncate(time.Microsecond) }

func (s *Server) path(tail string) string { return s.base + tail }

func (s *Server) url(tail string) string { return s.c.Issuer + tail }

// The paths below the issuer's.
const (
	pathAuthorize  = "/oauth/authorize"
	pathConsent    = "/oauth/consent"
	pathToken      = "/oauth/token" //nolint:gosec // a path
	pathRevoke     = "/oauth/revoke"
	pathIntrospect = "/oauth/introspect"
	pathPush       = "/oauth/par"
	pathRegister   = "/oauth/register"
	pathKeys       = "/oauth/jwks.json"
	pathAssets     = "/oauth/assets/"
	pathMetadata   = "/.well-known/oauth-authorization-server" // in front of the issuer's path (RFC 8414 3.1)
)

// An endpoint answers a request, or returns what is wrong with it.
type endpoint func(w http.ResponseWriter, r *http.Request) error

func (s *Server) routes() http.Handler {
	people := http.NewServeMux() // get pages
	people.Handle("GET "+s.path(pathAuthorize), answering(s.authorize))
	people.Handle("POST "+s.path(pathAuthorize), answering(s.authorizeByPost))
	people.Handle("POST "+s.path(pathConsent), guarded(answering(s.decide)))
	people.HandleFunc("GET "+s.path(pathAssets)+"{name}", s.pages.serve)

	programs := http.NewServeMux() // get JSON
	programs.Handle("POST "+s.path(pathToken), answering(s.token))
	programs.Handle("POST "+s.path(pathRevoke), answering(s.revoke))
	programs.Handle("POST "+s.path(pathIntrospect), answering(s.introspect))
	programs.Handle("POST "+s.path(pathPush), answering(s.push))
	for _, path := range []string{pathToken, pathRevoke, pathPush} {
		programs.HandleFunc("OPTIONS "+s.path(path), preflight)
	}
	programs.HandleFunc("GET "+pathMetadata+s.base, s.metadata)
	if s.c.Tokens.Signing != nil {
		programs.HandleFunc("GET "+s.path(pathKeys), s.publishKeys)
	}
	if s.c.Clients.Registration != nil {
		programs.Handle("POST "+s.path(pathRegister), answering(s.registerClient))
	}
	pages := strikeplate.Edge{Dialect: s.pages.problem}.Handler(s.pages.secured(people))
	api := strikeplate.Edge{Dialect: protocol}.Handler(sheltered(programs))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch tail := strings.TrimPrefix(r.URL.Path, s.base); {
		case tail == pathAuthorize, tail == pathConsent, strings.HasPrefix(tail, pathAssets):
			pages.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

func answering(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := e(w, r); err != nil {
			strikeplate.Fail(w, r, err)
		}
	})
}

// sheltered sets what answers to programs carry.
func sheltered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// guarded refuses forms that another site's page had a browser send.
func guarded(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strikeplate.Fail(w, r, refuse(http.StatusForbidden, CodeCrossOrigin,
			"The form came from another site's page. Go back to the app and start again."))
	}))
	return p.Handler(next)
}
