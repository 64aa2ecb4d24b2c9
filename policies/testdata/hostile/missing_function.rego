# want: undefined function data.policies.lib.is_blocked
# outcome: refused
# A helper that isn't there.
package policies.scopes

deny["x"] := "y" if data.policies.lib.is_blocked(input.principal.organisation)
