# want: undefined ref: input.resource
# outcome: refused
# A route has no row.
package policies.scopes

deny["x"] := "y" if input.resource.private == true
