# want: 
# outcome: harmless
# Empties the base's denials for itself alone: they hold all the same.
package policies.scopes

allow["x"] := "y" if count(data.strikeplate.scopes.deny) == 0 with data.strikeplate.scopes.deny as {}
