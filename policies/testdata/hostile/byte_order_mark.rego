# want: 
# outcome: harmless
# A byte order mark, as some editors write it.
package policies.scopes

deny["x"] := "y" if input.route.method == "never"
