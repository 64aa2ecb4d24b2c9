# want: has an else
# outcome: refused
# An else would depend on the rules' order.
package policies.scopes

allow["x"] := "y" if {
	input.route.method == "GET"
} else := "z"
