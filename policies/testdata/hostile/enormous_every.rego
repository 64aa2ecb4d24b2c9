# want: eval_cancel_error
# outcome: denied
# A thousand million rounds.
package policies.scopes

deny["x"] := "y" if {
	ns := numbers.range(1, 1000)
	every a in ns { every b in ns { every c in ns { (a + b) + c > 0 } } }
}
