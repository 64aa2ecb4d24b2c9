# want: would never be defined
# outcome: refused
# A helper that isn't there.
package policies.scopes

deny["x"] := "y" if data.policies.lib.blocked
