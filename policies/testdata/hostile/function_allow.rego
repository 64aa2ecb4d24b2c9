# want: is a function here
# outcome: refused
# Nobody calls it.
package policies.scopes

allow(x) := "y" if x == 1
