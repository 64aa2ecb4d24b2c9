# want: eval_cancel_error
# outcome: denied
# Walks a tree again from each of its nodes.
package policies.scopes

deny["x"] := "y" if {
	tree := {n: numbers.range(1, 100) | some n in numbers.range(1, 100)}
	count([1 | walk(tree, [a, _]); walk(tree, [b, _]); a == b; 1 == 2]) > 0
}
