# want: rego_parse_error
# outcome: refused
# Bytes that are no text: ÿþ.
package policies.scopes

deny["x"] := "y" if input.route.method == "GET"
