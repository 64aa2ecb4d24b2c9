# want: rego_parse_error
# outcome: refused
# A reserved word.
package policies.scopes

true := false
