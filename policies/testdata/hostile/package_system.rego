# want: is outside of policies
# outcome: refused
# OPA's own entry points.
package system.authz

allow := true
