# want: undefined function rand.intn
# outcome: refused
# Throws dice.
package policies.scopes

allow["x"] := "y" if rand.intn("x", 2) == 1
