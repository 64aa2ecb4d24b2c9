# want: must not shadow input
# outcome: refused
# Rewrites the question.
package policies.scopes

allow["x"] := "y" if {
	input := {"principal": {"access": "org-full"}}
	input.principal.access == "org-full"
}
