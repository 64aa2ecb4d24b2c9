# want: row_count.rego:6: count(input.resource.participants)
# outcome: refused
# A function of a relation. No database can be asked so.
package policies.meetings

allow["x"] := "y" if count(input.resource.participants) > 3
