# want: must list column names
# outcome: refused
# Columns that are no strings.
package policies.meetings

mask["x"] := [1] if true
