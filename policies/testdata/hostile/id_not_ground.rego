# want: must be a literal string
# outcome: refused
# An id from the request: rules without end, and what a caller sends in a log.
package policies.scopes

allow[input.principal.subject] := "y" if true
