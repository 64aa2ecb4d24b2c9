# want: eval_conflict_error
# outcome: denied
# One call, two values.
package policies.scopes

level(_) := "open" if input.route.method == "GET"

level(_) := "closed" if input.route.pattern != ""

deny["x"] := "y" if level(1) == "never"
