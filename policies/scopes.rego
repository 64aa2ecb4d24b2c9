# METADATA
# title: May this credential call this route?
# description: |
#   Compares what a route requires with what the credential has. Exactly one of
#   the rules below holds for a request: the environment is told before the
#   access level, and that before missing scopes, so that nobody collects scopes
#   for a route that stays closed.
package strikeplate.scopes

# METADATA
# title: The credential has what the route requires
allow["granted"] := "the credential has what the route requires" if {
	right_environment
	enough_access
	enough_scopes
}

# METADATA
# title: Test credentials reach test routes, live ones live routes
deny["environment"] := "the route is not for the credential's environment" if not right_environment

# METADATA
# title: The route wants another access level
deny["access"] := "the route is not for the credential's access level" if {
	right_environment
	not enough_access
}

# METADATA
# title: A scope is missing
deny["missing"] := "the credential lacks a scope that the route requires" if {
	right_environment
	enough_access
	not enough_scopes
}

# A route that names no environment serves both.
right_environment if input.route.environment == ""

right_environment if input.route.environment == input.principal.environment

# A route that lists no levels has no opinion. Where it lists some, a credential
# without a level passes for none of them.
enough_access if count(input.route.access) == 0

enough_access if {
	input.principal.access != ""
	input.principal.access in input.route.access
}

enough_scopes if {
	every wanted in input.route.all_of { wanted in input.principal.scopes }
	one_of_them
}

one_of_them if count(input.route.any_of) == 0

one_of_them if {
	some wanted in input.route.any_of
	wanted in input.principal.scopes
}
