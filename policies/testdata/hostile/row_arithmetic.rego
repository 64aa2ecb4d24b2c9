# want: row_arithmetic.rego:6: input.resource.owner + 1:
# outcome: refused
# Arithmetic with a column. No database can be asked so.
package policies.meetings

allow["x"] := "y" if input.resource.owner + 1 == 2
