# want: would never be defined
# outcome: refused
# A block list that nobody supplied.
package policies.scopes

deny["x"] := "y" if input.principal.organisation in data.policies.blocked
