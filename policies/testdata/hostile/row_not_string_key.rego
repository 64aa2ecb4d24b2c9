# want: row_not_string_key.rego:6: input.resource.participants[0]
# outcome: refused
# A position in a relation, which has no order. No database can be asked so.
package policies.meetings

allow["x"] := "y" if input.resource.participants[0] == "ada"
