# want: row_any_member.rego:8: input.resource[name]
# outcome: refused
# A column that can't be told beforehand. No database can be asked so.
package policies.meetings

allow["x"] := "y" if {
	some name
	input.resource[name] == true
}
