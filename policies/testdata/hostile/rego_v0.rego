# want: rego_parse_error
# outcome: refused
# The language before version 1.
package policies.scopes

deny["x"] = "y" { input.route.method == "PUT" }
