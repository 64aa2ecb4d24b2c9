# want: is unsafe
# outcome: refused
# A variable without a value.
package policies.scopes

deny["x"] := "y" if not blocked == input.principal.organisation
