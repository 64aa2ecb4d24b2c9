# want: undefined function graph.reachable_paths
# outcome: refused
# Lists more paths than there are atoms; no deadline reaches into it.
package policies.scopes

deny["x"] := "y" if {
	ns := numbers.range(1, 30)
	graph.reachable_paths({n: ns | some n in ns}, {1}) == set()
}
