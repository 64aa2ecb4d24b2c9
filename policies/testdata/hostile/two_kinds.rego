# want: also that of another kind of rule
# outcome: refused
# One id allows and denies.
package policies.scopes

allow["x"] := "y" if input.route.method == "GET"

deny["x"] := "y" if input.route.method == "PUT"
