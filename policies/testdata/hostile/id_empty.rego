# want: must be up to 64 of
# outcome: refused
# An id of no letters.
package policies.scopes

allow[""] := "y" if true
