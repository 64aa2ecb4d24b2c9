# want: number too big
# outcome: refused
# A number of ten million digits.
package policies.scopes

deny["x"] := "y" if 1e9999999 > count(input.principal.scopes)
