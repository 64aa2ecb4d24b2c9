# want: must be a literal string
# outcome: refused
# A key that isn't a string.
package policies.scopes

allow[0] := "y" if true
