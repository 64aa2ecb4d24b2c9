# want: must not shadow data
# outcome: refused
# Rewrites what is known.
package policies.scopes

data := {"strikeplate": {"scopes": {"deny": {}}}}
