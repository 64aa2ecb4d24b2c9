# want: eval_conflict_error
# outcome: denied
# One member, two values.
package policies.scopes

levels["a"] := 1 if input.route.method == "GET"

levels["a"] := 2 if input.route.pattern != ""

deny["x"] := "y" if levels.a == 3
