# want: rego_parse_error
# outcome: refused
# Bytes that are no text.
package policies.scopes

deny["x"] := "ÿþ" if input.route.method == "GET"
