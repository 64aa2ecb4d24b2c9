# want: row_lower.rego:6: lower(input.resource.owner):
# outcome: refused
# A function of a column. No database can be asked so.
package policies.meetings

allow["x"] := "y" if lower(input.resource.owner) == "ada"
