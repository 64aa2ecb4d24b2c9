# want: must not be a reserved name
# outcome: refused
# Rewrites the question.
package policies.scopes

import data.policies.lib as input

allow["x"] := "y" if input.principal
