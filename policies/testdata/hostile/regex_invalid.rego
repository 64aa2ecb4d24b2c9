# want: eval_builtin_error
# outcome: denied
# Repetitions of repetitions, which the engine refuses to compile.
package policies.scopes

deny["x"] := "y" if regex.match("((a{100}){100}){100}", input.route.method)
