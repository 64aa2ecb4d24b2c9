# want: must list column names
# outcome: refused
# Columns from the request.
package policies.meetings

mask["x"] := input.principal.scopes if true
