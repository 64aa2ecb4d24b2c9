// Mavera is an example server: an API in OpenAI's wire format, protected as Mavera
// documents its API keys. OpenAI's own clients work with it, unmodified: give them
// BASE/api/v1 as base_url and a key that begins with mvra_live_. There is no
// model behind it; it says so, and echoes.
//
//	go run ./mavera
//
// This file is the wiring. The API is in api.go, chat.go and responses.go, the
// keys to try in mint.go.
package main

import (
	"context"
	_ "embed"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/scope"
)

//go:embed openapi.json
var openAPI []byte

func main() { demo.Main(mavera) }

var mavera = demo.Product{Name: "mavera", Title: "Mavera", Run: run, Try: []demo.Example{
	{About: "The models that there are", Command: `curl -i -H "Authorization: Bearer $KEY" BASE/api/v1/models`},
	{About: "A chat", Command: `curl -i -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" BASE/api/v1/chat/completions \
  -d '{"model": "mavera-echo", "messages": [{"role": "user", "content": "Good morning"}]}'`},
	{About: "The same, word by word", Command: `curl -N -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" BASE/api/v1/chat/completions \
  -d '{"model": "mavera-echo", "stream": true, "messages": [{"role": "user", "content": "Good morning"}]}'`},
	{About: "By the newer API", Command: `curl -i -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" BASE/api/v1/responses \
  -d '{"model": "mavera-echo", "input": "Good morning"}'`},
	{About: "401: the key's last character is missing", Command: `curl -i -H "Authorization: Bearer ${KEY%?}" BASE/api/v1/models`},
	{About: "429: more than 120 requests in a minute. Which answers came, and how often", Command: `for i in $(seq 130); do curl -s -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $KEY" BASE/api/v1/models; done | sort | uniq -c`},
}}

func run(ctx context.Context, site *demo.Site) error {
	// 1. What keys look like: mvra_live_, an id, a secret and a checksum. Keys of
	// 32 characters or more that were issued before had neither id nor checksum:
	// they are found by a digest, for as long as they are accepted.
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: prefix, Environments: []strikeplate.Environment{strikeplate.Live}, Foreign: []keyauth.Foreign{{
			Prefix: prefix + "live_", MinLength: 32, MaxLength: 128, Until: issuedUntil,
			DigestKey: site.Secret("issued keys"), DigestOfSHA256: true,
		}}}},
		TagKeys: [][]byte{site.Secret("tag key")},
	})
	if err != nil {
		return err
	}

	// 2. Who verifies keys. The store is also the directory of accounts, so the keys
	// of a lapsed subscription are answered 402, and the feed of what changes.
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: site.Store, Directory: site.Store, Feed: site.Store, Now: site.Clock.Now})
	if err != nil {
		return err
	}
	defer keys.Close(context.Background())

	// 3. What keys are used for: counted on the way out of each request.
	counter, err := usage.New(usage.Config{Store: site.Store, Every: time.Second, Now: site.Clock.Now})
	if err != nil {
		return err
	}
	defer counter.Close(context.Background())

	// 4. Who manages keys, and where: administrators, in the Developer page.
	manager, page, err := management(site, scheme, counter)
	if err != nil {
		return err
	}

	// 5. Keys to try, once for each database.
	err = site.Seed(ctx, func(ctx context.Context) (demo.Minted, error) { return mint(ctx, site, scheme, manager) })
	if err != nil {
		return err
	}

	// 6. How much a caller may do, and how much of it at once.
	byAddress, byOrganisation, err := limits(site)
	if err != nil {
		return err
	}
	gate, err := site.Gate()
	if err != nil {
		return err
	}

	// 7. The routes, each with what it requires; the Developer page, whose visitors
	// are signed in; and the demo's own pages.
	routes := scope.NewRoutes(scope.Plain{}, nil, nil)
	if err := declare(routes, &api{keys: keys, gate: gate, now: site.Clock.Now, pace: 20 * time.Millisecond}); err != nil {
		return err
	}
	routes.Public("/settings/developer", page)
	routes.Public("/settings/developer/", page)
	site.Pages(routes, openAPI, keys.Ready)

	// 8. The way of a request, from outside to inside.
	edge := strikeplate.Edge{Dialect: strikeplate.OpenAI, TrustedProxies: site.TrustedProxies, Done: []func(*strikeplate.Exchange){counter.Observe},
		Refusing: []func(http.Header, *http.Request, *strikeplate.Principal){byOrganisation.Refusing}}
	authenticated := func(next http.Handler) http.Handler {
		return strikeplate.Require(keys)(byOrganisation.Handler(next))
	}
	return site.Serve(ctx, edge.Handler(byAddress.Handler(counter.Browsers(routes.Behind(authenticated)))))
}

// management makes the Developer page. Every key reaches all of its organisation,
// so nobody chooses a level.
func management(site *demo.Site, scheme *keyauth.Scheme, counter *usage.Counter) (*manage.Service, *console.Console, error) {
	terms := manage.Terms{Access: strikeplate.OrganisationFull}
	manager, err := manage.New(manage.Config{
		Scheme: scheme, Keys: site.Store, Directory: site.Store, MaxKeys: 100, Terms: terms,
		LastUsed: counter.LastUsed, Now: site.Clock.Now,
	})
	if err != nil {
		return nil, nil, err
	}
	page, err := console.New(console.Config{
		Manage: manager, Scheme: scheme, Terms: terms, Usage: counter, Members: site, Replays: site.Store,
		SignedIn: site.SignedIn, Now: site.Clock.Now,
		Product: console.Product{Name: "Mavera", Base: "/settings/developer", Home: "/", Data: "models",
			EnvironmentVariable: "MAVERA_API_KEY", TryURL: site.Base + "/api/v1/models", SignInURL: "/sign-in"},
	})
	return manager, page, err
}

// limits are 120 requests in any minute for an organisation, and 600 a minute for
// an address from which no valid key comes.
func limits(site *demo.Site) (byAddress, byOrganisation *ratelimit.Limiter, err error) {
	strangers, err := site.FixedWindow()
	if err != nil {
		return nil, nil, err
	}
	byAddress, err = ratelimit.New(ratelimit.Config{Engine: strangers, Rules: []ratelimit.Rule{{
		Policy: ratelimit.Policy{Name: "address", Limit: 600, Period: time.Minute}, By: ratelimit.ByAddress,
	}}})
	if err != nil {
		return nil, nil, err
	}
	callers, err := site.SlidingLog()
	if err != nil {
		return nil, nil, err
	}
	byOrganisation, err = ratelimit.New(ratelimit.Config{Engine: callers, Rules: []ratelimit.Rule{{
		Policy: ratelimit.Policy{Name: "organisation", Limit: 120, Period: time.Minute}, By: ratelimit.ByOrganisation,
	}}})
	return byAddress, byOrganisation, err
}
