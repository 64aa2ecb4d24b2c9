# want: undefined ref: input.resource.privat
# outcome: refused
# A denial that would never deny.
package policies.meetings

deny["x"] := "y" if input.resource.privat == true
