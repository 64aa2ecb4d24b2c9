# want: one id has one reason
# outcome: refused
# One id, two reasons: which one is told would be chance.
package policies.scopes

deny["x"] := "first" if input.route.method == "GET"

deny["x"] := "second" if input.route.method != "PUT"
