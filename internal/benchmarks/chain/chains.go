package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// Of as many credentials as a service knows, some take turns.
const (
	known = 10_000
	used  = 64
)

// plenty a minute: nobody is refused for asking often.
const plenty = 900_000_000

// pattern is the route that is asked for; what it does costs nothing.
const (
	pattern = "GET /v1/meetings"
	path    = "/v1/meetings"
)

// chain is a service: middlewares around one route that wants the right to read
// meetings.
type chain struct {
	handler http.Handler
	// allowed are Authorization fields that pass, refused one that is genuine and
	// lacks the right.
	allowed []string
	refused string
	close   func()
}

// chains, by the names that the tables give them. A chain's memory and start are
// measured from its call.
var chains = map[string]func() (*chain, error){
	"strikeplate":           func() (*chain, error) { return newStrikeplate(false) },
	"strikeplate+addresses": func() (*chain, error) { return newStrikeplate(true) },
	"by hand":               func() (*chain, error) { return newByHand(false) },
	"by hand, plain":        func() (*chain, error) { return newByHand(true) },
	"JWT RS256":             func() (*chain, error) { return newJWT(rs256()) },
	"JWT EdDSA":             func() (*chain, error) { return newJWT(edDSA()) },
	"bare":                  newBare,
}

// answer is what the route does in every chain.
func answer(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h["Content-Type"] = contentType
	_, _ = w.Write(body)
}

var (
	contentType = []string{"application/json"}
	body        = []byte(`{"data":[],"next":null}` + "\n")
)

// newStrikeplate is what the examples wire: a request id, the client's address,
// keys whose revocation counts at once, a limit by plan, scopes decided by Rego
// policies, usage. With addresses there is a limit for strangers in front as well,
// which none of the peers has.
func newStrikeplate(addresses bool) (*chain, error) {
	store := memory.New()
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "key_"}}, TagKeys: [][]byte{[]byte(rand.Text() + rand.Text())},
		// Cheap, which only shortens the preparation: what is measured comes after
		// the hash was paid.
		Hashing: keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true},
	})
	if err != nil {
		return nil, err
	}
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store})
	if err != nil {
		return nil, err
	}
	engine, err := policies.New(policies.Config{})
	if err != nil {
		return nil, err
	}
	counter, err := usage.New(usage.Config{Store: store})
	if err != nil {
		return nil, err
	}
	plans, err := ratelimit.NewPlans(ratelimit.PlansConfig{Plans: []ratelimit.Plan{
		{Name: "pro", Policies: []ratelimit.Policy{{Name: "pro", Limit: plenty, Period: time.Minute}}},
	}})
	if err != nil {
		return nil, err
	}
	byPlan, err := ratelimit.New(ratelimit.Config{Plans: plans})
	if err != nil {
		return nil, err
	}

	routes := scope.NewRoutes(engine, nil, nil)
	routes.HandleFunc(pattern, scope.Requirement{AllOf: []string{"meetings:read"}}, answer)
	handler := strikeplate.Require(keys)(byPlan.Handler(routes))
	if addresses {
		byAddress, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
			Policy: ratelimit.Policy{Name: "address", Limit: plenty, Period: time.Minute}, By: ratelimit.ByAddress,
		}}})
		if err != nil {
			return nil, err
		}
		handler = byAddress.Handler(handler)
	}
	c := &chain{
		handler: strikeplate.Edge{Done: []func(*strikeplate.Exchange){counter.Observe}}.Handler(handler),
		close: func() {
			ctx := context.Background()
			_, _, _, _ = counter.Close(ctx), keys.Close(ctx), engine.Close(ctx), store.Close(ctx)
		},
	}
	if err := c.issue(store, scheme, keys); err != nil {
		return nil, err
	}
	return c, nil
}

// issue makes the keys and proves each, as its first request would.
func (c *chain) issue(store *memory.Store, scheme *keyauth.Scheme, keys *keyauth.Authenticator) error {
	ctx := context.Background()
	for i := range known {
		organisation := fmt.Sprint("org", i)
		if err := store.PutAccount(ctx, storage.Account{Organisation: organisation, Plan: "pro"}); err != nil {
			return err
		}
		right := "meetings:read"
		if i == known-1 {
			right = "meetings:write"
		}
		text, err := issueKey(ctx, store, scheme, organisation, right)
		if err != nil {
			return err
		}
		if _, err := keys.Verify(ctx, text, netip.Addr{}); err != nil {
			return err
		}
		c.take(i, "Bearer "+text)
	}
	return nil
}

func issueKey(ctx context.Context, store storage.Keys, scheme *keyauth.Scheme, organisation, right string) (text string, err error) {
	m, err := scheme.Mint(ctx, "key_", strikeplate.Live)
	if err != nil {
		return "", err
	}
	id, now := rand.Text(), time.Now()
	return m.Secret.Reveal(), store.Commit(ctx, storage.Mutation{Now: now, Put: []storage.Key{{
		ID: id, Lineage: id, Lookup: m.Lookup, Organisation: organisation, Format: m.Format, Environment: m.Environment,
		Access: strikeplate.OrganisationFull, Scopes: []string{right}, Hash: m.Hash, SecretVersion: 1, Created: now,
	}}, Audit: []storage.Entry{{Organisation: organisation, Action: "key.created", Target: id, At: now}}})
}

// take keeps some of the credentials, spread over all, and the last to be refused.
func (c *chain) take(i int, authorization string) {
	switch {
	case i == known-1:
		c.refused = authorization
	case i%(known/used) == 0 && len(c.allowed) < used:
		c.allowed = append(c.allowed, authorization)
	}
}
