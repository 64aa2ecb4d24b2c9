# want: must be a literal string
# outcome: refused
# A reason that isn't a string.
package policies.scopes

allow["x"] := true if true
