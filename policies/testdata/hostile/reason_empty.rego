# want: must be a literal string
# outcome: refused
# No reason.
package policies.scopes

deny["x"] := "" if true
