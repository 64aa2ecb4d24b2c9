# want: eval_conflict_error
# outcome: denied
# One name, two values.
package policies.scopes

level := "open" if input.route.method == "GET"

level := "closed" if input.route.pattern != ""

deny["x"] := "y" if level == "never"
