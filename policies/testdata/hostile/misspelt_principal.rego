# want: undefined ref: input.principal.organization
# outcome: refused
# A denial that would never deny.
package policies.scopes

deny["x"] := "y" if input.principal.organization == "acme"
