# want: row_default.rego:6: not own:
# outcome: refused
# A helper with a default on a column. No database can be asked so.
package policies.meetings

allow["x"] := "y" if not own

default own := false

own if input.resource.owner == input.principal.subject
