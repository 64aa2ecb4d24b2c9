# want: rego_recursion_error
# outcome: refused
# A function that calls itself.
package policies.scopes

forever(n) := forever(n + 1)

allow["x"] := "y" if forever(1) > 0
