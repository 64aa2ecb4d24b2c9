// Avoma is an example server: an API for meetings, protected as Avoma documents
// its scoped API keys. A key is a pair, CLIENT_KEY:CLIENT_SECRET, with one of four
// access levels that say which meetings it reaches, or a legacy key from before
// there were levels.
//
//	go run ./avoma
//
// This file is the wiring. The API is in api.go, the keys to try in mint.go.
package main

import (
	"context"
	_ "embed"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/scope"
)

//go:embed openapi.json
var openAPI []byte

func main() { demo.Main(avoma) }

var avoma = demo.Product{Name: "avoma", Title: "Avoma", Run: run, Try: []demo.Example{
	{About: "Who the key acts for", Command: `curl -i -H "Authorization: Bearer $KEY" BASE/v1/whoami`},
	{About: "The same, as Basic credentials: the pair is user name and password", Command: `curl -i -u "$KEY" BASE/v1/whoami`},
	{About: "The meetings that the key sees; X-Total-Count says how many", Command: `curl -i -u "$KEY" "BASE/v1/meetings?q=renewal&from=2026-03-01"`},
	{About: "One meeting's transcript; notes and recording likewise", Command: `MEETING=$(curl -s -u "$KEY" BASE/v1/meetings | jq -r '.data[0].id')
curl -i -u "$KEY" BASE/v1/meetings/$MEETING/transcription`},
	{About: "401: the key's last character is missing", Command: `curl -i -u "${KEY%?}" BASE/v1/meetings`},
	{About: "404: not there, or not for this key, which nobody can tell apart", Command: `curl -i -u "$KEY" BASE/v1/meetings/mtg_other`},
}, Controls: []demo.Example{
	{About: "Private meetings aren't for the API: no key of Acme's sees them", Command: `curl -H 'Content-Type: application/json' -d '{"private_via_api": false}' BASE/demo/organisations/org_acme`},
	demo.ControlUser,
}}

func run(ctx context.Context, site *demo.Site) error {
	// 1. What keys look like: pairs, and those from before, whose shape had no
	// checksum. Legacy keys have no end date; the shape wants one, and this is far.
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Pair: true, Foreign: []keyauth.Foreign{{
			Separator: ":", MinLength: legacyLength, MaxLength: legacyLength, Until: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		}}}},
		TagKeys: [][]byte{site.Secret("tag key")}, Hashing: site.Hashing(),
	})
	if err != nil {
		return err
	}

	// 2. Who sees which meetings: the bundled policies know the four levels and
	// legacy. A security team adds rules of its own by Config.Source.
	engine, err := policies.New(policies.Config{Resources: meetings.Resources(), Now: site.Clock.Now})
	if err != nil {
		return err
	}
	defer engine.Close(context.Background())

	// 3. Who verifies keys. The store is also the directory of accounts and users,
	// so a deactivated owner's keys are refused, and the feed. Instances share proofs.
	shared, err := site.Proofs()
	if err != nil {
		return err
	}
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: site.Store, Directory: site.Store, Feed: site.Store,
		Cache: keyauth.Cache{Shared: shared}, Now: site.Clock.Now})
	if err != nil {
		return err
	}
	defer keys.Close(context.Background())

	// 4. What keys are used for: counted on the way out of each request.
	counter, err := usage.New(usage.Config{Store: site.Store, Every: time.Second, Now: site.Clock.Now})
	if err != nil {
		return err
	}
	defer counter.Close(context.Background())

	// 5. Who manages keys, and where.
	manager, page, err := management(site, scheme, engine, counter)
	if err != nil {
		return err
	}

	// 6. Data and keys to try, once for each database.
	err = site.Seed(ctx, func(ctx context.Context) (demo.Minted, error) { return mint(ctx, site, scheme, manager) })
	if err != nil {
		return err
	}

	// 7. How much a caller may do.
	byAddress, byOrganisation, err := limits(site)
	if err != nil {
		return err
	}

	// 8. The routes, each with what it requires; the Developer page, whose visitors
	// are signed in; and the demo's own pages.
	routes := scope.NewRoutes(engine, nil, nil)
	declare(routes, &api{meetings: site.Meetings, policies: engine})
	routes.Public("/settings/developer", page)
	routes.Public("/settings/developer/", page)
	site.Pages(routes, openAPI, keys.Ready, func(context.Context) error { return engine.Ready() })

	// 9. The way of a request, from outside to inside.
	edge := strikeplate.Edge{Dialect: dialect, TrustedProxies: site.TrustedProxies, Done: []func(*strikeplate.Exchange){counter.Observe},
		Refusing: []func(http.Header, *http.Request, *strikeplate.Principal){byOrganisation.Refusing}}
	authenticated := func(next http.Handler) http.Handler {
		return strikeplate.Require(keys)(byOrganisation.Handler(next))
	}
	return site.Serve(ctx, edge.Handler(byAddress.Handler(counter.Browsers(routes.Behind(authenticated)))))
}

// management is for administrators, which the policies decide, too. An organisation
// has ten keys at most. Secrets are kept, encrypted, to be copied later.
func management(site *demo.Site, scheme *keyauth.Scheme, engine *policies.Engine, counter *usage.Counter) (*manage.Service, *console.Console, error) {
	seal, err := site.Seal()
	if err != nil {
		return nil, nil, err
	}
	manager, err := manage.New(manage.Config{
		Scheme: scheme, Keys: site.Store, Directory: site.Store, MaxKeys: 10,
		Reveal: manage.Reveal{Seal: seal}, Authorize: engine.Manage,
		LastUsed: counter.LastUsed, Now: site.Clock.Now,
	})
	if err != nil {
		return nil, nil, err
	}
	page, err := console.New(console.Config{
		Manage: manager, Scheme: scheme, Usage: counter, Members: site, Replays: site.Store,
		SignedIn: site.SignedIn, FreshSignIn: site.FreshSignIn, Now: site.Clock.Now,
		Product: console.Product{Name: "Avoma", Base: "/settings/developer", Home: "/", Data: "meetings",
			EnvironmentVariable: "AVOMA_API_KEY", TryURL: site.Base + "/v1/whoami", SignInURL: "/sign-in"},
	})
	return manager, page, err
}

// limits are 6,000 requests a minute for an organisation and, for whoever has no
// valid key, as many for an address. Fjord announced a large batch of meetings,
// which is accommodated for two days.
func limits(site *demo.Site) (byAddress, byOrganisation *ratelimit.Limiter, err error) {
	strangers, err := site.FixedWindow()
	if err != nil {
		return nil, nil, err
	}
	usual := func(name string) ratelimit.Policy {
		return ratelimit.Policy{Name: name, Limit: 6000, Period: time.Minute}
	}
	byAddress, err = ratelimit.New(ratelimit.Config{Engine: strangers, Rules: []ratelimit.Rule{{Policy: usual("address"), By: ratelimit.ByAddress}}})
	if err != nil {
		return nil, nil, err
	}
	callers, err := site.FixedWindow()
	if err != nil {
		return nil, nil, err
	}
	overrides, err := ratelimit.NewOverrideTable(callers, site.Clock.Now)
	if err != nil {
		return nil, nil, err
	}
	err = overrides.Put(ratelimit.Override{
		Organisation: meetings.OrganisationNamed("other").ID, Reason: "Fjord moves its archive here", Until: site.Clock.Now().Add(48 * time.Hour),
		Policies: []ratelimit.Policy{{Name: "archive", Limit: 12_000, Period: time.Minute}},
	})
	if err != nil {
		return nil, nil, err
	}
	plans, err := ratelimit.NewPlans(ratelimit.PlansConfig{
		Plans: []ratelimit.Plan{{Name: "any", Policies: []ratelimit.Policy{usual("organisation")}}}, Overrides: overrides, Now: site.Clock.Now,
	})
	if err != nil {
		return nil, nil, err
	}
	byOrganisation, err = ratelimit.New(ratelimit.Config{Engine: callers, Plans: plans})
	return byAddress, byOrganisation, err
}
