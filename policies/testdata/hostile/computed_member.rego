# want: 
# outcome: harmless
# Reads a member that the request names: such decisions are not remembered.
package policies.scopes

deny["x"] := "y" if input.principal[input.route.method] == "never"
