// Quickstart is the smallest service with API keys: it mints one, serves an API
// that only the key's holder may call, and refuses everybody else.
//
//	go run ./quickstart
package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

//go:embed openapi.json
var openAPI []byte

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	credentials := flag.String("credentials", "", "write the address and the key to this `file` (JSON) when ready")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *credentials); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, credentials string) error {
	// 1. Where keys are kept. In memory here; storage/sqlite and
	// storage/postgres take the same place.
	store := memory.New()
	defer store.Close(context.Background())
	if err := store.PutAccount(ctx, storage.Account{Organisation: "org_demo", Plan: "free"}); err != nil {
		return err
	}

	// 2. What keys look like. A real service reads the tag key from its secrets
	// manager; a fresh one at each start is fine while nothing outlives it.
	tagKey := make([]byte, 32)
	rand.Read(tagKey)
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "demo_"}},
		TagKeys: [][]byte{tagKey},
	})
	if err != nil {
		return err
	}

	// 3. Who verifies them, and who manages them.
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store})
	if err != nil {
		return err
	}
	defer keys.Close(context.Background())
	admin, err := manage.New(manage.Config{Scheme: scheme, Keys: store, Directory: store, MaxKeys: 10})
	if err != nil {
		return err
	}
	demo, err := admin.Create(ctx, storage.Actor{User: "user_demo", Organisation: "org_demo", Role: "admin"},
		manage.Creation{Name: "Quickstart", Prefix: "demo_", Access: strikeplate.OrganisationLimited,
			Scopes: []string{"meetings:read"}})
	if err != nil {
		return err
	}

	// 4. How much callers may do: by address before it is known who asks, then by
	// the organisation's plan.
	limits, err := newLimits()
	if err != nil {
		return err
	}

	// 5. The API, and the key, shown once.
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	return serve(ctx, listener, api(keys, limits, base), func() error {
		fmt.Print(tryThis(base, demo.Secret.Reveal()))
		if credentials == "" {
			return nil
		}
		return writeCredentials(credentials, base, demo)
	})
}

type limits struct{ byAddress, byPlan *ratelimit.Limiter }

func newLimits() (limits, error) {
	byAddress, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Policy: ratelimit.Policy{Name: "address", Limit: 120, Period: time.Minute}, By: ratelimit.ByAddress,
	}}})
	if err != nil {
		return limits{}, err
	}
	plans, err := ratelimit.NewPlans(ratelimit.PlansConfig{Plans: []ratelimit.Plan{
		{Name: "free", Policies: []ratelimit.Policy{{Name: "free", Limit: 60, Period: time.Minute}}},
		{Name: "pro", Policies: []ratelimit.Policy{{Name: "pro", Limit: 300, Period: time.Minute}}},
	}})
	if err != nil {
		return limits{}, err
	}
	byPlan, err := ratelimit.New(ratelimit.Config{Plans: plans})
	return limits{byAddress, byPlan}, err
}

// api is the service. Each route says what it requires; the public ones say that
// they require nothing.
func api(keys *keyauth.Authenticator, l limits, base string) http.Handler {
	routes := scope.NewRoutes(scope.Plain{}, nil, nil)
	routes.HandleFunc("GET /v1/whoami", scope.Requirement{Authenticated: true}, whoami)
	routes.HandleFunc("GET /v1/meetings", scope.Requirement{AllOf: []string{"meetings:read"}}, meetings)
	routes.HandleFunc("DELETE /v1/meetings/{id}", scope.Requirement{AllOf: []string{"meetings:write"}}, noMeeting)
	routes.Public("GET /openapi.json", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(openAPI)
	}))
	routes.Public("GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := keys.Ready(r.Context()); err != nil {
			http.Error(w, "starting", http.StatusServiceUnavailable)
		}
	}))
	routes.Public("GET /{$}", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, tryThis(base, "demo_…  # printed where the server was started"))
	}))

	// From the outside in: a flood is refused first, then a bad key, then a
	// spent quota, then a missing scope.
	authenticated := func(next http.Handler) http.Handler { return strikeplate.Require(keys)(l.byPlan.Handler(next)) }
	edge := strikeplate.Edge{Refusing: []func(http.Header, *http.Request, *strikeplate.Principal){l.byPlan.Refusing}}
	return edge.Handler(l.byAddress.Handler(routes.Behind(authenticated)))
}

func whoami(w http.ResponseWriter, r *http.Request) {
	principal, _ := strikeplate.FromContext(r.Context())
	answer(w, principal)
}

// meetings would ask a database for the organisation's.
func meetings(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"data": []map[string]string{{"id": "m1", "title": "Planning"}}, "next": nil})
}

func noMeeting(w http.ResponseWriter, r *http.Request) {
	strikeplate.Fail(w, r, &strikeplate.Error{Status: http.StatusNotFound, Code: "meeting_not_found", Message: "There is no such meeting."})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(v)
}

// serve answers requests until ctx ends, then finishes those under way.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, ready func() error) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	if err := ready(); err != nil {
		return err
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

func tryThis(base, key string) string {
	return fmt.Sprintf(`Strikeplate quickstart on %[1]s

  export KEY=%[2]s
  curl -i -H "Authorization: Bearer $KEY" %[1]s/v1/whoami    # 200: who the key acts for, and 59 of 60 requests left
  curl -i -H "Authorization: Bearer $KEY" %[1]s/v1/meetings  # 200: the key has meetings:read
  curl -i -H "Authorization: Bearer $KEY" -X DELETE %[1]s/v1/meetings/m1 # 403 insufficient_scope: not meetings:write
  curl -i %[1]s/v1/whoami                                    # 401 missing_api_key
  curl -i -H "Authorization: Bearer ${KEY}x" %[1]s/v1/whoami # 401 invalid_api_key
  for n in $(seq 61); do curl -s -o /dev/null -w "%%{http_code} " -H "Authorization: Bearer $KEY" %[1]s/v1/whoami; done # 429 at last

`, base, key)
}

// writeCredentials makes the file appear at once and complete, for its owner only.
func writeCredentials(file, base string, demo manage.Created) error {
	content, err := json.MarshalIndent(map[string]any{
		"base_url": base,
		"keys": map[string]any{"demo": map[string]string{
			"key": demo.Secret.Reveal(), "id": demo.Key.ID, "about": "may call GET /v1/whoami",
		}},
		"users":         map[string]any{"admin": map[string]any{"id": "user_demo", "organisation": "org_demo", "role": "admin", "active": true}},
		"organisations": map[string]any{"demo": map[string]string{"id": "org_demo", "plan": "free", "subscription": "active"}},
		"oauth":         map[string]any{},
	}, "", "  ")
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), ".credentials-*") // created 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if _, err := temporary.Write(append(content, '\n')); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}
