# want: has no id and no reason
# outcome: refused
# The form of other systems.
package policies.scopes

allow if input.route.method == "GET"
