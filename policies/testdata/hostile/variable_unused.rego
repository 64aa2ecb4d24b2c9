# want: unused
# outcome: refused
# Strict: what isn't used is often a slip.
package policies.scopes

allow["x"] := "y" if {
	level := input.principal.access
	input.route.method == "GET"
}
