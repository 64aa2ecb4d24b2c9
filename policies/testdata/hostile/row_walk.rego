# want: row_walk.rego:
# outcome: refused
# Columns that can't be told beforehand. No database can be asked so.
package policies.meetings

allow["x"] := "y" if {
	walk(input.resource, [_, value])
	value == "ada"
}
