# want: eval_builtin_error
# outcome: denied
# An error in a function: neither yes nor no.
package policies.scopes

deny["x"] := "y" if count(input.route.all_of) / count(input.route.any_of) > 9
