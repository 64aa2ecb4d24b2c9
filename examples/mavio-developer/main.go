// Mavio-developer is an example server: an API for meetings, protected as Mavio's
// page about developer keys documents it. Keys begin with mavio_sk_ and have
// scopes and, if their creator says so, an end; an organisation's plan says how
// many requests a minute it may make with all of its keys.
//
//	go run ./mavio-developer
//
// This file is the wiring. What each route requires is in routes.go, the plans are
// in limits.go, the keys to try in mint.go.
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
	"github.com/strikeplate/strikeplate/examples/internal/rest"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/scope"
)

const prefix = "mavio_sk_"

//go:embed openapi.json
var openAPI []byte

func main() { demo.Main(developer) }

var developer = demo.Product{Name: "mavio-developer", Title: "Mavio Developer", Run: run, Try: []demo.Example{
	{About: "Who the key acts for; the X-RateLimit fields tell what its plan has left", Command: `curl -i -H "Authorization: Bearer $KEY" BASE/v1/whoami`},
	{About: "Meetings, newest first; next continues the list as ?cursor=", Command: `curl -s -H "Authorization: Bearer $KEY" "BASE/v1/meetings?q=renewal&limit=2" | jq`},
	{About: "One meeting's sound, from its middle", Command: `MEETING=$(curl -s -H "Authorization: Bearer $KEY" "BASE/v1/meetings?q=weekly&limit=1" | jq -r '.data[0].id')
curl -s -o part.wav -D - -H "Authorization: Bearer $KEY" -H "Range: bytes=2000-" BASE/v1/meetings/$MEETING/recording`},
	{About: "Minutes for it", Command: `curl -i -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d '{"kind": "minutes", "text": "We agreed."}' BASE/v1/meetings/$MEETING/notes`},
	{About: "400: what is wrong, field by field", Command: `curl -i -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d '{"title": "", "stars": 5}' BASE/v1/meetings`},
	{About: "A webhook to this machine; its secret is shown once", Command: `curl -i -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d '{"url": "http://127.0.0.1:9999/hook", "events": ["note.created"]}' BASE/v1/webhooks`},
	{About: "401: the key's last character is missing", Command: `curl -i -H "Authorization: Bearer ${KEY%?}" BASE/v1/meetings`},
}, Controls: []demo.Example{demo.ControlPlan}}

func run(ctx context.Context, site *demo.Site) error { //nolint:funlen // the wiring, to be read from top to bottom
	// 1. What keys look like, and which scopes there are.
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: prefix}}, TagKeys: [][]byte{site.Secret("tag key")}, Hashing: site.Hashing(),
	})
	if err != nil {
		return err
	}
	catalog := catalogs.MavioDeveloper()

	// 2. Who sees what: the bundled policies know meetings, the demo's own the rest.
	engine, err := policies.New(policies.Config{Resources: append(meetings.Resources(), meetings.Around()...), Source: meetings.Rules(), Now: site.Clock.Now})
	if err != nil {
		return err
	}
	defer engine.Close(context.Background())

	// 3. Who verifies keys. The store is also the directory of accounts and users,
	// and the feed of what changes.
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: site.Store, Directory: site.Store, Feed: site.Store, Now: site.Clock.Now})
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
	manager, err := management(site, scheme, catalog, engine, counter, site.Clock.Now)
	if err != nil {
		return err
	}
	page, err := developerPage(site, scheme, catalog, manager, counter)
	if err != nil {
		return err
	}

	// 6. Who delivers webhooks.
	seal, err := site.Seal()
	if err != nil {
		return err
	}
	sender, err := hooks.New(hooks.Config{Store: site.Meetings, Engine: engine, Directory: site.Store, Seal: seal, InsecureLoopback: !site.InsecureDemo})
	if err != nil {
		return err
	}
	defer sender.Close(context.Background())

	// 7. Data and keys to try, once for each database.
	then := site.Clock.Now().Add(-72 * time.Hour)
	before, err := management(site, scheme, catalog, engine, counter, func() time.Time { return then })
	if err != nil {
		return err
	}
	err = site.Seed(ctx, func(ctx context.Context) (demo.Minted, error) { return mint(ctx, manager, before, then) })
	if err != nil {
		return err
	}

	// 8. How much a caller may do.
	byAddress, byPlan, err := limits(site)
	if err != nil {
		return err
	}

	// 9. The routes, each with the scopes of which it requires one; the Developer
	// page, whose visitors are signed in; and the demo's own pages.
	routes := scope.NewRoutes(engine, catalog, nil)
	declare(routes, &mavio.API{Meetings: site.Meetings, Policies: engine, Hooks: sender, Directory: site.Store, Members: site.Members, Now: site.Clock.Now})
	routes.Public("/settings/developer", page)
	routes.Public("/settings/developer/", page)
	site.Pages(routes, openAPI, keys.Ready, func(context.Context) error { return engine.Ready() })

	// 10. The way of a request, from outside to inside.
	edge := strikeplate.Edge{Dialect: rest.Dialect, TrustedProxies: site.TrustedProxies, Done: []func(*strikeplate.Exchange){counter.Observe},
		Refusing: []func(http.Header, *http.Request, *strikeplate.Principal){byPlan.Refusing}}
	authenticated := func(next http.Handler) http.Handler {
		return strikeplate.Require(keys)(byPlan.Handler(next))
	}
	return site.Serve(ctx, edge.Handler(byAddress.Handler(counter.Browsers(routes.Behind(authenticated)))))
}

// terms: keys are the organisation's, not a user's, and only the Enterprise plan
// has IP allowlists.
var terms = manage.Terms{Access: strikeplate.OrganisationFull, AllowlistPlans: []string{"enterprise"}}

// management is for administrators, which the policies decide, too. An organisation
// has 25 keys at most.
func management(site *demo.Site, scheme *keyauth.Scheme, catalog *scope.Catalog, engine *policies.Engine, counter *usage.Counter, now func() time.Time) (*manage.Service, error) {
	return manage.New(manage.Config{
		Scheme: scheme, Keys: site.Store, Directory: site.Store, Catalog: catalog, MaxKeys: 25, Terms: terms,
		Authorize: engine.Manage, LastUsed: counter.LastUsed, Now: now,
	})
}

func developerPage(site *demo.Site, scheme *keyauth.Scheme, catalog *scope.Catalog, manager *manage.Service, counter *usage.Counter) (*console.Console, error) {
	return console.New(console.Config{
		Manage: manager, Scheme: scheme, Terms: terms, Catalog: catalog, Usage: counter, Members: site, Replays: site.Store,
		SignedIn: site.SignedIn, FreshSignIn: site.FreshSignIn, Now: site.Clock.Now,
		Product: console.Product{Name: "Mavio", Base: "/settings/developer", Home: "/", Data: "meetings",
			EnvironmentVariable: "MAVIO_API_KEY", TryURL: site.Base + "/v1/whoami", SignInURL: "/sign-in"},
	})
}
