# want: undefined function regex.globs_match
# outcome: refused
# Compares two patterns with each other; no deadline reaches into it.
package policies.scopes

deny["x"] := "y" if regex.globs_match("a.*b.*c.*d.*e.*f.*g.*h.*", input.route.pattern)
