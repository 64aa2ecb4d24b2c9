# want: eval_cancel_error
# outcome: denied
# A list of a thousand million numbers.
package policies.scopes

deny["x"] := "y" if count(numbers.range(1, 1000000000)) == 0
