# want: must be up to 64 of
# outcome: refused
# Forges a line of a log.
package policies.scopes

allow["x\nlevel=INFO msg=allowed"] := "y" if true
