// Package scope says what a credential may do, and lets it do no more: scopes
// such as "meetings:read", catalogs that list a product's scopes with what each
// allows, and routes that require some of them. It imports package strikeplate
// only.
//
//	catalog, err := scope.NewCatalog(
//		scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings"},
//		scope.Entry{Scope: "meetings:write", Description: "Delete meetings"},
//	)
//	...
//	routes := scope.NewRoutes(scope.Plain{}, catalog, nil)
//	routes.Handle("GET /v1/meetings", scope.Requirement{AllOf: []string{"meetings:read"}}, list)
//	routes.Handle("GET /v1/whoami", scope.Requirement{Authenticated: true}, whoami)
//	routes.Public("GET /health", health)
//	http.ListenAndServe(addr, edge.Handler(routes.Behind(strikeplate.Require(keys))))
//
// [Plain] allows what a [Requirement] says. Package policies has an [Authorizer]
// that asks rules in Rego besides. [Require] guards a single handler, for
// services with another router.
//
// # Wildcards
//
// A catalog may declare "meetings:*". It is shorthand for the scopes of that
// resource and is resolved where scopes are granted, by [Catalog.Resolve] and
// [Catalog.Parse]: when a key is created or imported, and when somebody consents.
// What is kept is the scopes themselves. So a wildcard means the same everywhere,
// and a scope that is invented later is not granted by an old key. Who supplies
// scopes otherwise, such as a directory that says what a user may do, resolves
// them first: elsewhere "meetings:*" is a text that equals no scope.
//
// # Security notes
//
// A scope that isn't in the catalog grants nothing: it is refused where keys are
// created and named in the error. There are no wildcards that a catalog didn't
// declare, and an empty set of scopes allows nothing.
//
// A requirement that demands nothing panics where it is registered, so that no
// route stands open because a line was forgotten. [Routes] also refuses what
// somebody put on its mux without declaring it; http.DefaultServeMux, on which
// imported packages may register handlers of their own, is the example.
// [Routes.Undeclared] tells a test. Serving through the mux instead of through
// Routes gives that up; declared handlers are guarded either way.
//
// An Authorizer that fails answers 503, and a denial tells the rule's reason.
// Neither tells an internal error's text.
package scope
