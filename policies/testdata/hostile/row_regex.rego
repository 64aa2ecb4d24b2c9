# want: row_regex.rego:6: regex.match("^a", input.resource.owner):
# outcome: refused
# A function of a column. No database can be asked so.
package policies.meetings

allow["x"] := "y" if regex.match("^a", input.resource.owner)
