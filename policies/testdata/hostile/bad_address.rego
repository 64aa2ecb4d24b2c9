# want: eval_builtin_error
# outcome: denied
# An error in a function: neither yes nor no.
package policies.scopes

deny["x"] := "y" if net.cidr_contains("not a network", "192.0.2.1")
