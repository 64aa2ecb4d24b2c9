// Package policies decides by rules in Rego, the language of the Open Policy
// Agent: whether a principal may call a route, whether somebody may manage a
// key, which of a list's rows a principal may see. The rules are files that a
// security team reads, tests and changes without knowing Go; README.md in this
// directory is their manual. A set of bundled rules comes with the package.
//
//	engine, err := policies.New(policies.Config{
//		Source:    policies.Source{Dir: "/etc/myservice/policies"},
//		Resources: []policies.Resource{meetings},
//	})
//	...
//	routes := scope.NewRoutes(engine, catalog, mux)      // may this principal call this route?
//	seen, err := engine.Visible(ctx, p, "meetings", row) // may it see this meeting?
//
// # What a policy may do
//
// Each decision point, called an entry here, is a Rego package: scopes, manage,
// and one for each registered resource. The bundled rules are strikeplate.<entry>,
// the embedder's policies.<entry>. A decision allows if some rule allows and
// none denies, so the embedder's rules can add reasons to allow, and no rule can
// lift a bundled denial. An undefined result, a conflict, an error in a builtin
// function and a missed deadline all deny, as errors: the caller answers 503.
//
// # Revisions
//
// Policies are compiled, checked and prepared into an immutable revision before
// one atomic swap makes it the active one. A change that doesn't compile leaves
// the active revision as it is and is told by [Engine.Ready], [Engine.Stats] and
// one line of the log. [Engine.Try] evaluates a candidate beside the active
// revision and counts where they differ.
//
// # Security notes
//
// Files outside of the packages policies.* are refused, as are functions that
// reach the network, the environment, the clock or chance, unless
// [Config].Builtins names them. Signed bundles are verified, and their revisions
// only rise. Decisions are remembered under everything that the rules may read,
// compared in full; where rules read what can't be told beforehand, nothing is
// remembered. The decision log holds no scopes and no settings unless asked.
package policies
