# METADATA
# title: Routes that come with a plan
package policies.scopes

plans_of := {
	"GET /v1/export": {"business", "enterprise"},
	"POST /v1/webhooks": {"team", "business", "enterprise"},
}

# METADATA
# title: The route comes with another plan
# description: The custom member public lets callers read the reason.
# custom:
#   public: true
deny["plan"] := "the route is not part of the organisation's plan" if {
	plans := plans_of[input.route.pattern]
	not input.principal.plan in plans
}
