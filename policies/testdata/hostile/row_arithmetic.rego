# want: row_arithmetic.rego:
# outcome: refused
# Arithmetic with a column. No database can be asked so.
package policies.meetings

allow["x"] := "y" if input.resource.owner + 1 == 2
