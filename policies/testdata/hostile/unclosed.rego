# want: rego_parse_error
# outcome: refused
# Half of a file, as an interrupted copy leaves it.
package policies.scopes

deny["x"] := "y" if {
	input.route.method == "GET"
