# want: must be a literal string
# outcome: refused
# A key that isn't a string.
package policies.scopes

deny[null] := "y" if true
