# want: rego_recursion_error
# outcome: refused
# A rule that depends on itself.
package policies.scopes

allow["x"] := "y" if a

a if b

b if a
