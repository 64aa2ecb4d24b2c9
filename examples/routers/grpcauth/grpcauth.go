// Package grpcauth protects a gRPC server as strikeplate.Require, package scope and
// package ratelimit protect an HTTP one: a pair of interceptors, for unary calls and
// for streams.
//
//	guard, err := grpcauth.New(grpcauth.Config{
//		Keys: keys, Authorizer: scope.Plain{}, // or a *policies.Engine
//		Methods: map[string]scope.Requirement{
//			"/acme.Meetings/List":  {AllOf: []string{"meetings:read"}},
//			"/acme.Meetings/Watch": {AllOf: []string{"meetings:read"}},
//		},
//		Public: []string{"/grpc.health.v1.Health/Check"},
//	})
//	…
//	grpc.NewServer(grpc.ChainUnaryInterceptor(guard.Unary), grpc.ChainStreamInterceptor(guard.Stream))
//
// A key is in the metadata "authorization", as in "Bearer YOUR_KEY". Handlers find
// whom a call acts for by strikeplate.FromContext.
//
// # Security notes
//
// A method that isn't listed is refused. The caller's address, for a key's
// allowlist, is the connection's: where a proxy stands in between, it is the
// proxy's. A stream ends when its key does, whatever its handler is waiting for.
package grpcauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/scope"
)

// Verifier says whose a key is; *keyauth.Authenticator does.
type Verifier interface {
	Verify(ctx context.Context, credential string, client netip.Addr) (*strikeplate.Principal, error)
}

// Config says who may call what.
type Config struct {
	// Keys and Authorizer are required.
	Keys       Verifier
	Authorizer scope.Authorizer
	// Methods are what each method requires, by its full name; Public those that
	// need no key. All others are refused.
	Methods map[string]scope.Requirement
	Public  []string
	// Limit is how many calls an organisation may make, counted by Engine; a stream
	// is one. Nil: any number.
	Engine ratelimit.Engine
	Limit  ratelimit.Policy
	// Recheck is the time between two looks at a stream's key; zero: 500 ms.
	Recheck time.Duration
}

// Guard is the pair of interceptors. It is safe for concurrent use.
type Guard struct {
	c      Config
	public map[string]bool
}

// New checks c.
func New(c Config) (*Guard, error) {
	if c.Keys == nil || c.Authorizer == nil {
		return nil, errors.New("grpcauth: Keys and Authorizer are required")
	}
	g := &Guard{c: c, public: make(map[string]bool)}
	for _, method := range c.Public {
		if _, both := c.Methods[method]; both {
			return nil, fmt.Errorf("grpcauth: %s is public and requires something", method)
		}
		g.public[method] = true
	}
	for method, need := range c.Methods {
		if err := need.Check(nil); err != nil {
			return nil, fmt.Errorf("grpcauth: %s: %w", method, err)
		}
	}
	if c.Engine != nil {
		if err := c.Engine.Check(c.Limit); err != nil {
			return nil, err
		}
	}
	if g.c.Recheck <= 0 {
		g.c.Recheck = 500 * time.Millisecond
	}
	return g, nil
}

// Unary is a grpc.UnaryServerInterceptor.
func (g *Guard) Unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	call, err := g.admit(ctx, info.FullMethod)
	_ = grpc.SetHeader(ctx, call.header) // fails where there is no transport, as in a handler's test
	if err != nil {
		return nil, Status(err).Err()
	}
	return handler(call.context(ctx), request)
}

// Stream is a grpc.StreamServerInterceptor.
func (g *Guard) Stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	call, err := g.admit(stream.Context(), info.FullMethod)
	_ = stream.SetHeader(call.header)
	if err != nil {
		return Status(err).Err()
	}
	if call.principal == nil {
		return handler(server, stream)
	}
	ctx, cancel := context.WithCancelCause(call.context(stream.Context()))
	defer cancel(nil)
	return g.serve(ctx, cancel, call, func() error { return handler(server, &guarded{stream, ctx}) })
}

// admission is a call that was let in, or not.
type admission struct {
	credential string
	client     netip.Addr
	principal  *strikeplate.Principal // nil: the method is public
	header     metadata.MD
}

func (a *admission) context(ctx context.Context) context.Context {
	if a.principal == nil {
		return ctx
	}
	return strikeplate.NewContext(ctx, a.principal)
}

// admit decides, in the order in which an HTTP request is decided: who, how much,
// what.
func (g *Guard) admit(ctx context.Context, method string) (a admission, err error) {
	a.header = metadata.MD{}
	if g.public[method] {
		return a, nil
	}
	a.client = client(ctx)
	if a.credential, err = credential(ctx); err != nil {
		return a, err
	}
	p, err := g.c.Keys.Verify(ctx, a.credential, a.client)
	if err != nil {
		return a, err
	}
	if err := g.charge(ctx, p, a.header); err != nil {
		return a, err
	}
	need, declared := g.c.Methods[method]
	if !declared {
		return a, &strikeplate.Error{Status: http.StatusForbidden, Code: strikeplate.CodeUndeclared, Credential: p.Credential,
			Message: "The service has not declared who may call this method, so nobody may."}
	}
	d, err := g.c.Authorizer.Authorize(ctx, scope.Request{Principal: p, Requirement: need, Method: http.MethodPost, Route: method})
	if err == nil && !d.Allowed {
		err = denied(p, d)
	}
	a.principal = p
	return a, err
}

func denied(p *strikeplate.Principal, d scope.Decision) error {
	e := &strikeplate.Error{Status: http.StatusForbidden, Code: strikeplate.CodeForbidden, Credential: p.Credential, Rule: d.Rule,
		Message: "This call is not allowed: " + d.Reason + "."}
	if len(d.Missing) > 0 {
		missing := strings.Join(d.Missing, " ")
		e.Code, e.Params = strikeplate.CodeScope, map[string]string{"missing": missing}
		e.Message = "The credential lacks what this method requires: " + missing + "."
	}
	return e
}

// charge counts the call to its organisation, and tells where that stands.
func (g *Guard) charge(ctx context.Context, p *strikeplate.Principal, header metadata.MD) error {
	if g.c.Engine == nil {
		return nil
	}
	out := make([]ratelimit.Decision, 1)
	if err := g.c.Engine.Take(ctx, []ratelimit.Charge{{Policy: g.c.Limit, Key: ratelimit.ByOrganisation(nil, p), Cost: 1}}, out); err != nil {
		return err
	}
	header.Set("x-ratelimit-limit", strconv.FormatInt(out[0].Limit, 10))
	header.Set("x-ratelimit-remaining", strconv.FormatInt(out[0].Remaining, 10))
	if !out[0].Allowed {
		return &strikeplate.Error{Status: http.StatusTooManyRequests, Code: strikeplate.CodeLimited, Credential: p.Credential, RetryAfter: out[0].RetryAfter,
			Message: `Rate limit "` + g.c.Limit.Name + `" exceeded. Retry later.`}
	}
	return nil
}

// credential is the only one in the metadata. Of several nobody can tell which one
// counts.
func credential(ctx context.Context) (string, error) {
	fields := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(fields) == 0 {
		return "", &strikeplate.Error{Status: http.StatusUnauthorized, Code: strikeplate.CodeMissing,
			Message: `No API key was sent. Send one in the metadata "authorization", as in "Bearer YOUR_KEY".`}
	}
	scheme, key, _ := strings.Cut(fields[0], " ")
	if key = strings.TrimSpace(key); len(fields) > 1 || !strings.EqualFold(scheme, "Bearer") || key == "" {
		return "", &strikeplate.Error{Status: http.StatusUnauthorized, Code: strikeplate.CodeInvalid,
			Message: `Send one API key in the metadata "authorization", as in "Bearer YOUR_KEY".`}
	}
	return key, nil
}

// client is the connection's other end; the zero Addr, which is in no allowlist,
// where that isn't IP.
func client(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return netip.Addr{}
	}
	ap, _ := netip.ParseAddrPort(p.Addr.String())
	return ap.Addr().Unmap().WithZone("")
}
