# want: must not shadow input
# outcome: refused
# Rewrites the question.
package policies.scopes

input := {"principal": {"access": "org-full"}}

allow["x"] := "y" if input.principal.access == "org-full"
