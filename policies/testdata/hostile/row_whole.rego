# want: row_whole.rego:6
# outcome: refused
# The row as a whole. No database can be asked so.
package policies.meetings

allow["x"] := "y" if input.resource == {"owner": "ada"}
