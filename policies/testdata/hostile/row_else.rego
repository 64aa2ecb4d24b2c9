# want: row_else.rego:6: kind == "own":
# outcome: refused
# A helper with an else on a column. No database can be asked so.
package policies.meetings

allow["x"] := "y" if kind == "own"

kind := "own" if {
	input.resource.owner == input.principal.subject
} else := "other"
