# want: undefined function uuid.rfc4122
# outcome: refused
# Throws dice.
package policies.scopes

allow["x"] := "y" if uuid.rfc4122("x") != ""
