package grpcauth_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/routers/grpcauth"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// service is gRPC's own test service, as far as it is called here.
type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func (service) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

// UnaryCall tells whom the call acts for.
func (service) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	p, _ := strikeplate.FromContext(ctx)
	return &testgrpc.SimpleResponse{Username: p.Organisation}, nil
}

// FullDuplexCall answers whatever it gets, and waits for the client in between.
func (service) FullDuplexCall(stream grpc.BidiStreamingServer[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse]) error {
	p, _ := strikeplate.FromContext(stream.Context())
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if string(request.GetPayload().GetBody()) == "panic" {
			panic("as it was asked to")
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: []byte(p.Organisation)}}); err != nil {
			return err
		}
	}
}

type world struct {
	store  *memory.Store
	manage *manage.Service
	client testgrpc.TestServiceClient
}

var (
	ada  = storage.Actor{User: "usr_ada", Organisation: "org_acme", Role: "admin"}
	kit  = storage.Actor{User: "usr_kit", Organisation: "org_fjord", Role: "admin"}
	read = scope.Requirement{AllOf: []string{"meetings:read"}}
)

const prefix = "/grpc.testing.TestService/"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{store: memory.New()}
	for _, a := range []storage.Actor{ada, kit} {
		if err := errors.Join(w.store.PutAccount(t.Context(), storage.Account{Organisation: a.Organisation, Plan: "team"}),
			w.store.PutUser(t.Context(), storage.User{ID: a.User, Organisation: a.Organisation, Role: a.Role, Active: true})); err != nil {
			t.Fatal(err)
		}
	}
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{Formats: []keyauth.Format{{Prefix: "demo_"}}, TagKeys: [][]byte{make([]byte, 32)},
		Hashing: keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: w.store, Directory: w.store, Feed: w.store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close(context.Background()) })
	if w.manage, err = manage.New(manage.Config{Scheme: scheme, Keys: w.store, Directory: w.store, MaxKeys: 10}); err != nil {
		t.Fatal(err)
	}
	engine, err := ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := grpcauth.New(grpcauth.Config{
		Keys: keys, Authorizer: scope.Plain{}, Recheck: 20 * time.Millisecond,
		Methods: map[string]scope.Requirement{prefix + "UnaryCall": read, prefix + "FullDuplexCall": read},
		Public:  []string{prefix + "EmptyCall"},
		Engine:  engine, Limit: ratelimit.Policy{Name: "organisation", Limit: 20, Period: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.client = serve(t, guard)
	return w
}

func serve(t *testing.T, guard *grpcauth.Guard) testgrpc.TestServiceClient {
	t.Helper()
	recovered := func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
		defer func() {
			if problem := recover(); problem != nil {
				err = status.Errorf(codes.Internal, "recovered: %v", problem)
			}
		}()
		return handler(server, stream)
	}
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(guard.Unary), grpc.ChainStreamInterceptor(recovered, guard.Stream))
	testgrpc.RegisterTestServiceServer(server, service{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return testgrpc.NewTestServiceClient(conn)
}

func (w *world) key(t *testing.T, by storage.Actor, c manage.Creation) manage.Created {
	t.Helper()
	c.Name, c.Prefix, c.Access = "Test", "demo_", strikeplate.OrganisationFull
	created, err := w.manage.Create(t.Context(), by, c)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// with sends keys along.
func with(ctx context.Context, fields ...string) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.MD{"authorization": fields})
}

// wants checks a refusal's code, reason and whether it says when to try again.
func wants(t *testing.T, what string, err error, code codes.Code, reason string, retry bool) {
	t.Helper()
	s := status.Convert(err)
	var info *errdetails.ErrorInfo
	var again *errdetails.RetryInfo
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			again = d
		}
	}
	if s.Code() != code || info.GetReason() != reason || info.GetDomain() != grpcauth.Domain || (again != nil) != retry || s.Message() == "" {
		t.Errorf("%s: %v %q %v, retry %v; want %v %s", what, s.Code(), s.Message(), info, again, code, reason)
	}
	if again != nil && (again.GetRetryDelay().AsDuration() < time.Second || again.GetRetryDelay().AsDuration() > time.Minute) {
		t.Errorf("%s: retry after %v", what, again.GetRetryDelay().AsDuration())
	}
}

func TestCalls(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	reader := w.key(t, ada, manage.Creation{Scopes: []string{"meetings:read"}})
	elsewhere := w.key(t, ada, manage.Creation{Scopes: []string{"meetings:read"}, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	here := w.key(t, ada, manage.Creation{Scopes: []string{"meetings:read"}, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	poor := w.key(t, ada, manage.Creation{Scopes: []string{"notes:read"}})
	key := reader.Secret.Reveal()

	if _, err := w.client.EmptyCall(ctx, &testgrpc.Empty{}); err != nil {
		t.Errorf("a public method: %v", err)
	}
	var header metadata.MD
	answer, err := w.client.UnaryCall(with(ctx, "Bearer "+key), &testgrpc.SimpleRequest{}, grpc.Header(&header))
	if err != nil || answer.GetUsername() != "org_acme" || strings.Join(header.Get("x-ratelimit-remaining"), ",") != "19" {
		t.Errorf("%v %v %v", answer, err, header)
	}
	if _, err := w.client.UnaryCall(with(ctx, "bearer "+here.Secret.Reveal()), &testgrpc.SimpleRequest{}); err != nil {
		t.Errorf("a key for this address: %v", err)
	}
	for what, test := range map[string]struct {
		fields []string
		code   codes.Code
		reason string
	}{
		"no key":          {nil, codes.Unauthenticated, "missing_api_key"},
		"a typo":          {[]string{"Bearer " + key[:len(key)-1]}, codes.Unauthenticated, "invalid_api_key"},
		"another scheme":  {[]string{"Basic " + key}, codes.Unauthenticated, "invalid_api_key"},
		"no scheme":       {[]string{key}, codes.Unauthenticated, "invalid_api_key"},
		"nothing":         {[]string{""}, codes.Unauthenticated, "invalid_api_key"},
		"two":             {[]string{"Bearer " + key, "Bearer " + key}, codes.Unauthenticated, "invalid_api_key"},
		"another address": {[]string{"Bearer " + elsewhere.Secret.Reveal()}, codes.PermissionDenied, "ip_not_allowed"},
		"without scope":   {[]string{"Bearer " + poor.Secret.Reveal()}, codes.PermissionDenied, "insufficient_scope"},
	} {
		_, err := w.client.UnaryCall(with(ctx, test.fields...), &testgrpc.SimpleRequest{})
		wants(t, what, err, test.code, test.reason, false)
		stream, err := w.client.FullDuplexCall(with(ctx, test.fields...))
		if err == nil {
			_, err = stream.Recv()
		}
		wants(t, what+", a stream", err, test.code, test.reason, false)
	}
	_, err = w.client.StreamingInputCall(with(ctx, "Bearer "+key))
	if err == nil {
		stream, _ := w.client.StreamingOutputCall(with(ctx, "Bearer "+key), &testgrpc.StreamingOutputCallRequest{})
		_, err = stream.Recv()
	}
	wants(t, "a method that isn't listed", err, codes.PermissionDenied, "undeclared_route", false)

	if err := w.store.PutAccount(ctx, storage.Account{Organisation: "org_acme", Plan: "team", Lapsed: true}); err != nil {
		t.Fatal(err)
	}
	_, err = w.client.UnaryCall(with(ctx, "Bearer "+key), &testgrpc.SimpleRequest{})
	wants(t, "a lapsed subscription", err, codes.PermissionDenied, "subscription_required", false)
}

func TestLimit(t *testing.T) {
	w := newWorld(t)
	reader := w.key(t, ada, manage.Creation{Scopes: []string{"meetings:read"}}).Secret.Reveal()
	other := w.key(t, kit, manage.Creation{Scopes: []string{"meetings:read"}}).Secret.Reveal()
	for i := range 20 {
		if _, err := w.client.UnaryCall(with(t.Context(), "Bearer "+reader), &testgrpc.SimpleRequest{}); err != nil {
			t.Fatalf("call %d: %v", i+1, err)
		}
	}
	_, err := w.client.UnaryCall(with(t.Context(), "Bearer "+reader), &testgrpc.SimpleRequest{})
	wants(t, "call 21", err, codes.ResourceExhausted, "rate_limit_exceeded", true)
	if _, err := w.client.UnaryCall(with(t.Context(), "Bearer "+other), &testgrpc.SimpleRequest{}); err != nil {
		t.Errorf("another organisation: %v", err)
	}
}

// A stream ends when its key is revoked, although its handler waits for the client.
func TestStreamsEndWithTheirKey(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	open := func(key string) grpc.BidiStreamingClient[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse] {
		stream, err := w.client.FullDuplexCall(with(ctx, "Bearer "+key))
		if err == nil {
			err = stream.Send(&testgrpc.StreamingOutputCallRequest{})
		}
		answer, bad := stream.Recv()
		if err != nil || bad != nil || string(answer.GetPayload().GetBody()) != "org_acme" {
			t.Fatalf("%v %v %v", err, bad, answer)
		}
		return stream
	}
	ends := w.key(t, ada, manage.Creation{Scopes: []string{"meetings:read"}})
	stays := w.key(t, ada, manage.Creation{Scopes: []string{"meetings:read"}}).Secret.Reveal()
	ending, staying := open(ends.Secret.Reveal()), open(stays)
	if _, err := w.manage.Revoke(ctx, ada, ends.Key.ID, "gone"); err != nil {
		t.Fatal(err)
	}
	_, err := ending.Recv()
	wants(t, "the stream", err, codes.Unauthenticated, "revoked_api_key", false)
	if err := staying.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
		t.Error(err)
	}
	if _, err := staying.Recv(); err != nil {
		t.Errorf("another key's stream: %v", err)
	}
	if err := staying.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := staying.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("a stream that the handler ends: %v", err)
	}

	// A panic is the handler's, where interceptors outside recover it.
	stream := open(stays)
	if err := stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: []byte("panic")}}); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "as it was asked to") {
		t.Errorf("a panic: %v", err)
	}
}

// broken can't tell whose a key is.
type broken struct{}

func (broken) Verify(context.Context, string, netip.Addr) (*strikeplate.Principal, error) {
	return nil, errors.New("dial tcp 10.0.0.1:5432: connection refused")
}

func TestCouldNotCheckIsUnavailable(t *testing.T) {
	guard, err := grpcauth.New(grpcauth.Config{Keys: broken{}, Authorizer: scope.Plain{}, Methods: map[string]scope.Requirement{prefix + "UnaryCall": read}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = serve(t, guard).UnaryCall(with(t.Context(), "Bearer x"), &testgrpc.SimpleRequest{})
	wants(t, "a store that is down", err, codes.Unavailable, "temporarily_unavailable", true)
	if strings.Contains(err.Error(), "10.0.0.1") {
		t.Errorf("the client reads %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	good := func() grpcauth.Config { return grpcauth.Config{Keys: broken{}, Authorizer: scope.Plain{}} }
	for what, change := range map[string]func(*grpcauth.Config){
		"no keys":                            func(c *grpcauth.Config) { c.Keys = nil },
		"no authorizer":                      func(c *grpcauth.Config) { c.Authorizer = nil },
		"a requirement that demands nothing": func(c *grpcauth.Config) { c.Methods = map[string]scope.Requirement{"/a/b": {}} },
		"public, and not": func(c *grpcauth.Config) {
			c.Methods, c.Public = map[string]scope.Requirement{"/a/b": read}, []string{"/a/b"}
		},
	} {
		c := good()
		change(&c)
		if _, err := grpcauth.New(c); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	if _, err := grpcauth.New(good()); err != nil {
		t.Error(err)
	}
}
