# want: rego_recursion_error
# outcome: refused
# Reads all rules from within one.
package policies.scopes

deny["x"] := "y" if count(data) == 0
