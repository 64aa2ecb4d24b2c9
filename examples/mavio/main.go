// Mavio is an example server: an API for meetings, protected as Mavio's page about
// API keys documents it. Keys that begin with mvo_live_ see live data, those that
// begin with mvo_test_ a sandbox's; their scopes say what they may do. Apps act for
// users by OAuth 2.0, and webhooks tell what happened.
//
//	go run ./mavio
//
// This file is the wiring. What each route requires is in routes.go, the
// authorization server in oauth.go, the keys and apps to try in mint.go.
package main

import (
	"context"
	_ "embed"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/catalogs"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/hooks"
	"github.com/strikeplate/strikeplate/examples/internal/mavio"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/scope"
)

const prefix = "mvo_"

//go:embed openapi.json
var openAPI []byte

func main() { demo.Main(product) }

var product = demo.Product{Name: "mavio", Title: "Mavio", Run: run, Try: []demo.Example{
	{About: "Who the key acts for", Command: `curl -i -H "Authorization: Bearer $KEY" BASE/v1/whoami`},
	{About: "Meetings, newest first; next continues the list as ?cursor=", Command: `curl -s -H "Authorization: Bearer $KEY" "BASE/v1/meetings?limit=2" | jq`},
	{About: "What was said about the budget", Command: `curl -s -H "Authorization: Bearer $KEY" "BASE/v1/transcripts/search?q=budget&limit=2" | jq`},
	{About: "Complete an action item", Command: `ITEM=$(curl -s -H "Authorization: Bearer $KEY" "BASE/v1/action_items?status=open&limit=1" | jq -r '.data[0].id')
curl -i -X PATCH -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d '{"status": "completed"}' BASE/v1/action_items/$ITEM`},
	{About: "A webhook to this machine, where nc -l 9999 shows what comes; its secret is shown once", Command: `curl -i -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d '{"url": "http://127.0.0.1:9999/hook", "events": ["action_item.updated", "action_item.completed"]}' BASE/v1/webhooks`},
	{About: "401: the key's last character is missing", Command: `curl -i -H "Authorization: Bearer ${KEY%?}" BASE/v1/meetings`},
	{About: "Where OAuth clients find everything; apps are registered at BASE/settings/oauth-apps", Command: `curl -s BASE/.well-known/oauth-authorization-server | jq`},
}, Pages: []demo.Page{
	{Path: "/settings/oauth-apps", Title: "OAuth apps", About: "where admins register apps and keep them out"},
	{Path: "/settings/api/connections", Title: "Your apps", About: "where everybody sees which apps act for them"},
}, Controls: []demo.Example{demo.ControlUser}}

func run(ctx context.Context, site *demo.Site) error { //nolint:funlen // the wiring, to be read from top to bottom
	// 1. What keys look like, and which scopes there are.
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: prefix, Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}}},
		TagKeys: [][]byte{site.Secret("tag key")}, Hashing: site.Hashing(),
	})
	if err != nil {
		return err
	}
	catalog := catalogs.Mavio()

	// 2. Who sees what: the bundled policies know meetings, the demo's own the rest.
	engine, err := policies.New(policies.Config{Resources: append(meetings.Resources(), meetings.Around()...), Source: meetings.Rules(), Now: site.Clock.Now})
	if err != nil {
		return err
	}
	defer engine.Close(context.Background())

	// 3. Who verifies keys, and who the tokens of apps.
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: site.Store, Directory: site.Store, Feed: site.Store, Now: site.Clock.Now})
	if err != nil {
		return err
	}
	defer keys.Close(context.Background())
	api, tokens, err := resource(site)
	if err != nil {
		return err
	}
	defer api.Close(context.Background())

	// 4. Who lets apps act for users.
	server, err := authorization(site, engine)
	if err != nil {
		return err
	}
	go upkeep(ctx, server)

	// 5. What keys are used for: counted on the way out of each request.
	counter, err := usage.New(usage.Config{Store: site.Store, Every: time.Second, Now: site.Clock.Now})
	if err != nil {
		return err
	}
	defer counter.Close(context.Background())

	// 6. Who manages keys and apps, and where.
	manager, page, err := management(site, scheme, catalog, engine, counter, server)
	if err != nil {
		return err
	}

	// 7. Who delivers webhooks.
	seal, err := site.Seal()
	if err != nil {
		return err
	}
	sender, err := hooks.New(hooks.Config{Store: site.Meetings, Engine: engine, Directory: site.Store, Seal: seal,
		InsecureLoopback: !site.InsecureDemo, Granted: granted(site.Store, site.Clock.Now)})
	if err != nil {
		return err
	}
	defer sender.Close(context.Background())

	// 8. Data, keys and apps to try, once for each database.
	err = site.Seed(ctx, func(ctx context.Context) (demo.Minted, error) { return mint(ctx, manager, server) })
	if err != nil {
		return err
	}

	// 9. How much a caller may do.
	byAddress, err := perMinute(site, 6000, ratelimit.ByAddress)
	if err != nil {
		return err
	}
	byOrganisation, err := perMinute(site, 1000, ratelimit.ByOrganisation)
	if err != nil {
		return err
	}

	// 10. The routes, each with the scope that it requires; where people manage keys
	// and apps; OAuth's own; and the demo's pages.
	routes := scope.NewRoutes(engine, catalog, nil)
	declare(routes, &mavio.API{Meetings: site.Meetings, Policies: engine, Hooks: sender, Directory: site.Store, Members: site.Members, Now: site.Clock.Now})
	settings(routes, page)
	routes.Public("/oauth/", server)
	routes.Public("/.well-known/oauth-authorization-server", server)
	routes.Public(api.MetadataPath(), api.Metadata())
	site.Pages(routes, openAPI, keys.Ready, api.Ready, func(context.Context) error { return engine.Ready() })

	// 11. The way of a request, from outside to inside.
	edge := strikeplate.Edge{Dialect: api.Dialect(worded), TrustedProxies: site.TrustedProxies, Done: []func(*strikeplate.Exchange){counter.Observe},
		Refusing: []func(http.Header, *http.Request, *strikeplate.Principal){byOrganisation.Refusing}}
	authenticated := func(next http.Handler) http.Handler {
		return strikeplate.Require(tokens, keys)(byOrganisation.Handler(next))
	}
	return site.Serve(ctx, edge.Handler(byAddress.Handler(counter.Browsers(routes.Behind(authenticated)))))
}

// management is for administrators, which the policies decide, too. Keys are the
// organisation's, not a user's, and it has 25 at most.
func management(site *demo.Site, scheme *keyauth.Scheme, catalog *scope.Catalog, engine *policies.Engine, counter *usage.Counter, apps *authserver.Server) (*manage.Service, *console.Console, error) {
	terms := manage.Terms{Access: strikeplate.OrganisationFull}
	manager, err := manage.New(manage.Config{
		Scheme: scheme, Keys: site.Store, Directory: site.Store, Catalog: catalog, MaxKeys: 25, Terms: terms,
		Authorize: engine.Manage, LastUsed: counter.LastUsed, Now: site.Clock.Now,
	})
	if err != nil {
		return nil, nil, err
	}
	page, err := console.New(console.Config{
		Manage: manager, Scheme: scheme, Terms: terms, Catalog: catalog, Usage: counter, Members: site, Apps: apps, Replays: site.Store,
		SignedIn: site.SignedIn, FreshSignIn: site.FreshSignIn, Now: site.Clock.Now,
		Product: console.Product{Name: "Mavio", Base: "/settings/api", Home: "/", Data: "meetings",
			EnvironmentVariable: "MAVIO_API_KEY", TryURL: site.Base + "/v1/whoami", SignInURL: "/sign-in"},
	})
	return manager, page, err
}

// perMinute counts live and sandbox apart where it counts organisations.
func perMinute(site *demo.Site, limit int64, by ratelimit.By) (*ratelimit.Limiter, error) {
	engine, err := site.FixedWindow()
	if err != nil {
		return nil, err
	}
	return ratelimit.New(ratelimit.Config{Engine: engine, Rules: []ratelimit.Rule{{
		Policy: ratelimit.Policy{Name: "mavio", Limit: limit, Period: time.Minute}, By: by,
	}}})
}
