# want: eval_cancel_error
# outcome: denied
# A thousand million rounds.
package policies.scopes

deny["x"] := "y" if {
	ns := numbers.range(1, 1000)
	count({[a, b, c] | some a in ns; some b in ns; some c in ns}) == 0
}
